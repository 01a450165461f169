"""The embedded block store: files by hash, an index beside them, and a hard quota."""
