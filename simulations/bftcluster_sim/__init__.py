"""Deterministic simulation of the real core."""
