"""What `bftcluster lend` does before and beside the peer that it runs."""
