"""What the pages of a scan say: the ledger's pins and the store's roots, side by side."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.pins.events import Observation, Scan, Scanned, ScanOf


class Pin(Protocol):
    """A pin, as the ledger has it."""

    @property
    def cid(self) -> Cid:
        """What is pinned."""
        ...

    @property
    def timestamp_ms(self) -> int:
        """When it was ordered, unix."""
        ...

    @property
    def holders(self) -> Collection[PeerId]:
        """Who reported to have it; as far as it is known, at least whether we did."""
        ...

    def is_owed_by(self, peer: PeerId) -> bool:
        """Return whether ``peer`` is to hold it."""
        ...


P = TypeVar("P", bound=Pin)


def owed(pins: Sequence[P], me: PeerId) -> list[P]:
    """Return the pins that this peer is to hold."""
    return [pin for pin in pins if pin.is_owed_by(me)]


def desired_page(scan: Scan, pins: Sequence[Pin], present: Collection[Cid], me: PeerId) -> Scanned:
    """Return what a page of the pinset says.

    Args:
        scan: What was asked for.
        pins: All pins of the page, in order; fewer than ``scan.limit`` are the last.
        present: Those of our own that the store has all of, and keeps.
        me: This peer.
    """
    assert scan.of is ScanOf.DESIRED, "the pinset was asked for"
    seen = [_observed(pin, me, is_present=pin.cid in present) for pin in owed(pins, me)]
    return _page(scan, [pin.cid for pin in pins], seen)


def kept_page(
    scan: Scan,
    roots: Mapping[Cid, bool],
    pins: Mapping[Cid, Pin],
    me: PeerId,
    *,
    lent: Collection[Cid] = (),
) -> Scanned:
    """Return what a page of the store says.

    Args:
        scan: What was asked for.
        roots: All roots of the page, in order, and whether each is whole.
        pins: Those of them that are pinned.
        me: This peer.
        lent: What stays here for others to fetch, whoever is to keep it.
    """
    assert scan.of is ScanOf.KEPT, "the store was asked for"
    seen = []
    for cid, is_whole in roots.items():
        pin = pins.get(cid)
        if pin is not None and pin.is_owed_by(me):
            seen.append(_observed(pin, me, is_present=is_whole))
        elif cid not in lent:
            seen.append(_unwanted(cid))
    return _page(scan, list(roots), seen)


def _page(scan: Scan, walked: Sequence[Cid], seen: Sequence[Observation]) -> Scanned:
    ended = len(walked) < scan.limit
    return Scanned(observations=tuple(seen), next_after=None if ended else walked[-1])


def _observed(pin: Pin, me: PeerId, *, is_present: bool) -> Observation:
    return Observation(
        cid=pin.cid,
        is_desired=pin.is_owed_by(me),
        is_present=is_present,
        is_reported=me in pin.holders,
        since_ms=pin.timestamp_ms,
    )


def _unwanted(cid: Cid) -> Observation:
    """Return what a scan says about content that is here and need not be."""
    return Observation(cid=cid, is_desired=False, is_present=True, is_reported=False, since_ms=0)
