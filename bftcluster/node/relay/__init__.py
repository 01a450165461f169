"""What a peer does for light peers that dial it."""
