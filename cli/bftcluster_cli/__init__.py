"""The `bftcluster` command."""
