"""How much of the pins a peer is to be given: its weight among those that a pin may go to."""

from typing import Final

_UNIT_SHIFT: Final = 20
"""Weights are MiB."""


def weight_of(free_bytes: int) -> int:
    """Return the weight of a peer with so much room: at least 1 if there is any, otherwise 0."""
    return max(1, free_bytes >> _UNIT_SHIFT) if free_bytes > 0 else 0
