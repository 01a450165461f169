"""How much of the pins a peer is to be given."""

from typing import Final

from bftcluster.reputation.arithmetic import WEIGHT_MAX

_UNIT_SHIFT: Final = 20
"""Weights are MiB."""


def weight_of(free_bytes: int) -> int:
    """Return the weight of a peer with so much room: at least 1 if there is any, otherwise 0.

    What is beyond 16 TiB weighs no more.
    """
    return min(max(1, free_bytes >> _UNIT_SHIFT), WEIGHT_MAX) if free_bytes > 0 else 0
