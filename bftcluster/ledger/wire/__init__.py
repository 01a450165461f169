"""What is signed and ordered, and what can become of it."""
