"""Where replicated rows lie, as keys and bytes, and the tree of hashes over them."""
