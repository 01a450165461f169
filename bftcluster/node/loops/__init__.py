"""What a peer does all the time, each loop with one owner of what it changes."""
