"""The ledger's rows and log in SQL, and the replica's write-ahead log."""
