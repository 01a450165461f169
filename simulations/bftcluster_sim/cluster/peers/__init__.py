"""One simulated peer: its disks, database, executor, tracker and transfers."""
