"""How far that has come which takes several batches."""
