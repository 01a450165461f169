"""What an ordered operation means: deterministic execution over authenticated state."""
