"""What a request does: each kind of operation and of request where it belongs."""
