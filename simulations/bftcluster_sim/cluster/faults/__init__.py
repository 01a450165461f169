"""What goes wrong in a run, planned from a seed."""
