"""What it costs. `make bench` runs all of it; each module has a ``run``."""
