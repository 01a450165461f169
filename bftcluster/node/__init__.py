"""One process: a peer, put together of loops, of what comes in to them, and of what is seen."""
