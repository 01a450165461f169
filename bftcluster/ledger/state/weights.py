"""How much of the pins a peer is to be given: by what it has free, and by how far it is trusted."""

from typing import Final

from bftcluster.reputation import PeerReputation, Terms
from bftcluster.reputation.arithmetic import UNITS_MAX

_UNIT_SHIFT: Final = 20
"""Units are MiB."""


def units_of(free_bytes: int) -> int:
    """Return the units of so much room: at least 1 if there is any, at most those of 2 TiB."""
    return min(max(1, free_bytes >> _UNIT_SHIFT), UNITS_MAX) if free_bytes > 0 else 0


def weight_of(free_bytes: int, reputation: PeerReputation, period: int, terms: Terms) -> int:
    """Return the weight of a peer with so much room in a period.

    It is at most the units of the room, and at least 1 if there is any and it may be used.
    """
    if free_bytes <= 0 or not reputation.gets_data:
        return 0
    return max(1, reputation.weight(units_of(free_bytes), period, terms))
