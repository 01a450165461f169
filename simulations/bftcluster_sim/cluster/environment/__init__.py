"""What surrounds the peers of a run: the network, time, traces, and those who check."""
