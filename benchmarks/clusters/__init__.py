"""Clusters to measure: in one process, and of real ones."""
