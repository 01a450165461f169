"""SQL state, log and certificates; the write-ahead log of the replica."""
