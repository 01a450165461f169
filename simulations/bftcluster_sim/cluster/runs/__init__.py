"""Whole runs, and many of them: what the commands of the simulator do."""
