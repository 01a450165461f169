"""What people read: words, lines and progress."""
