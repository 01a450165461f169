"""The tracker's rules: it compares what this node owes by the ledger with what it has."""
