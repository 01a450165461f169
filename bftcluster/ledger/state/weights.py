"""How much of the pins a peer is to be given, and whom it may fail together with."""

from typing import Final

from bftcluster.ledger.state.records import PeerRecord
from bftcluster.reputation.arithmetic import WEIGHT_MAX

GROUP_TAG: Final = "group"
"""Peers with the same value of this tag may fail together, as in ipfs-cluster's ``tag:group``."""
_UNIT_SHIFT: Final = 20
"""Weights are MiB."""


def weight_of(free_bytes: int) -> int:
    """Return the weight of a peer with so much room: at least 1 if there is any, otherwise 0.

    What is beyond 16 TiB weighs no more.
    """
    return min(max(1, free_bytes >> _UNIT_SHIFT), WEIGHT_MAX) if free_bytes > 0 else 0


def domain_of(record: PeerRecord) -> str:
    """Return a peer's failure domain; it has one of its own if that is empty."""
    return dict(record.tags).get(GROUP_TAG, "")


def operator_of(record: PeerRecord) -> str:
    """Return who runs a peer; unknown, and so one of its own, until admissions say it."""
    return ""
