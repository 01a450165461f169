"""The demonstration with volunteers: some of them lie, and are found out."""
