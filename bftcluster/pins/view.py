"""What to tell people about one CID at one peer, derived when they ask."""

from dataclasses import dataclass

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.pins.items import Item
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.status import TrackerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PinInfo:
    """The status of one CID at one peer (ipfs-cluster's ``PinInfo``)."""

    cid: Cid
    peer: PeerId
    status: TrackerStatus
    timestamp_ms: int
    """Since when, unix; 0 if unknown."""
    error: str = ""
    attempt_count: int = 0
    priority_pin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the ledger and the store say about a CID at this peer."""

    is_pinned: bool
    """Whether it is part of the pinset."""
    is_desired: bool = False
    """Whether it is allocated to this peer."""
    is_present: bool = False
    """Whether the store holds all of it and keeps it."""
    is_reported: bool = False
    """Whether the ledger has this peer among its holders."""
    since_ms: int = 0
    """When the pin was ordered, unix."""

    def __post_init__(self) -> None:
        assert self.is_pinned or not self.is_desired, "only a pin is allocated"


def here(
    cid: Cid,
    me: PeerId,
    situation: Situation,
    item: Item | None,
    *,
    settings: TrackerSettings,
    wall_ms: int,
) -> PinInfo:
    """Return the status at this peer. Work in memory is the newest truth there is."""
    if item is None:
        status = _settled(situation)
        return PinInfo(cid=cid, peer=me, status=status, timestamp_ms=situation.since_ms)
    return PinInfo(
        cid=cid,
        peer=me,
        status=item.status,
        timestamp_ms=item.changed_ms,
        error=item.error,
        attempt_count=item.attempts,
        priority_pin=item.is_priority(settings, wall_ms),
    )


def elsewhere(
    cid: Cid,
    peer: PeerId,
    *,
    is_desired: bool,
    reported: TrackerStatus | None,
    error: str = "",
    timestamp_ms: int = 0,
) -> PinInfo:
    """Return the status at another peer, from what it last reported to the ledger.

    Args:
        cid: What is pinned.
        peer: Who is to hold it, or not.
        is_desired: Whether it is allocated to ``peer``.
        reported: ``PINNED``, ``PIN_ERROR`` or ``UNPINNED``; None if it never reported.
        error: What it reported with a ``PIN_ERROR``.
        timestamp_ms: When it reported; when the pin was ordered if it never did.
    """
    if not is_desired:
        status = TrackerStatus.REMOTE
    elif reported is None:
        status = TrackerStatus.PINNING
    elif reported is TrackerStatus.UNPINNED:
        status = TrackerStatus.UNEXPECTEDLY_UNPINNED
    else:
        status = reported
    return PinInfo(cid=cid, peer=peer, status=status, timestamp_ms=timestamp_ms, error=error)


def _settled(situation: Situation) -> TrackerStatus:
    if not situation.is_pinned:
        return TrackerStatus.UNPINNED
    if not situation.is_desired:
        return TrackerStatus.REMOTE
    if situation.is_present:
        return TrackerStatus.PINNED
    if situation.is_reported:
        return TrackerStatus.UNEXPECTEDLY_UNPINNED
    return TrackerStatus.PIN_QUEUED
