"""Executes ordered requests, deterministically, and keeps the state that a root certifies."""
