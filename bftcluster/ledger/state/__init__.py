"""The replicated rows, and the tree of hashes over them."""
