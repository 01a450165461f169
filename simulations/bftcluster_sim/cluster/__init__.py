"""A cluster in memory: the real replicas on a simulated network, disk and clock."""
