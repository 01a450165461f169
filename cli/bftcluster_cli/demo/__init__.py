"""The demonstration: a whole cluster on this machine, told as a story."""
