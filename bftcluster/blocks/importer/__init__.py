"""From files, directories and CARs to DAGs in a store."""
