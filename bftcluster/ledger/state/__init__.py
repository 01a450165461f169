"""What the replicated rows say."""
