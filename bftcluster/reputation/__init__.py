"""Says how far to trust a peer.

Its rules arrive with audits; until then every admitted peer weighs what its free space weighs.
"""
