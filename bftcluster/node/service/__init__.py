"""The peer as clients of its HTTP API see it: content, status, pins and proofs."""
