"""The ``filter`` parameter of ``/pins`` and ``/allocations``: comma-separated words."""

from dataclasses import replace
from typing import Final

from bftcluster.api.views import PinStatusView
from bftcluster.errors import UsageError
from bftcluster.pins.status import TrackerStatus

_ERRORS: Final = frozenset(
    {TrackerStatus.CLUSTER_ERROR, TrackerStatus.PIN_ERROR, TrackerStatus.UNPIN_ERROR}
)
_COMPOSITES: Final = {
    "error": _ERRORS,
    "queued": frozenset({TrackerStatus.PIN_QUEUED, TrackerStatus.UNPIN_QUEUED}),
}
_STATUSES: Final = {status.word: status for status in TrackerStatus}
_PIN_TYPES: Final = frozenset({"pin", "meta-pin", "clusterdag-pin", "shard-pin", "all"})

StatusFilter = frozenset[TrackerStatus]


def parse_status_filter(text: str) -> StatusFilter | None:
    """Return the statuses wanted, or None for all. Unknown words beside known ones are ignored.

    Raises:
        UsageError: No word is a status.
    """
    if not text:
        return None
    wanted: set[TrackerStatus] = set()
    for word in text.split(","):
        if word in _COMPOSITES:
            wanted |= _COMPOSITES[word]
        elif word in _STATUSES:
            wanted.add(_STATUSES[word])
    if not wanted:
        raise UsageError(f"invalid filter value: {text[:200]!r}")
    return None if TrackerStatus.UNDEFINED in wanted else frozenset(wanted)


def keep_matching(view: PinStatusView, wanted: StatusFilter | None) -> PinStatusView | None:
    """Return ``view`` with only the peers whose status matches, or None if none does."""
    if wanted is None:
        return view
    peers = tuple(peer for peer in view.peers if peer.info.status in wanted)
    return replace(view, peers=peers) if peers else None


def wants_pins(text: str) -> bool:
    """Return whether a filter by pin type lets ordinary pins through: there are no others.

    Raises:
        UsageError: No word is a pin type.
    """
    words = set(text.split(",")) & _PIN_TYPES
    if text and not words:
        raise UsageError(f"invalid filter value: {text[:200]!r}")
    return not text or not words.isdisjoint({"pin", "all"})
