"""DAGs of blocks that are here: walks, surveys, files and directories, read within a budget."""
