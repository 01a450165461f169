"""The rows of those who lend room, and of who may come."""
