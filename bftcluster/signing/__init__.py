"""Keys, envelopes, approvals and certificates: the only place that touches cryptography."""
