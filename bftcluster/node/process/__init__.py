"""What any process has: configuration, identity, clocks, logs, threads, and its own files."""
