"""What a peer knows that keeps no ledger: its own duties, with proof; what it asks of relays."""
