"""What this node must do about the ledger: desired against actual."""
