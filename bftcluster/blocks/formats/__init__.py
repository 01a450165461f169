"""What blocks are and how they are encoded: dag-pb, dag-cbor, UnixFS, and layouts of files."""
