"""The one door into the order: what clients ask for, and what this peer itself has to say."""
