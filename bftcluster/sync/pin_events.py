"""What the ledger asks of a peer, as its tracker is told; what the tracker says, as the ledger is.

Ledger and tracker do not know each other.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import DropPin, Effect, KeepPin
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from bftcluster.pins.events import Desired, NotDesired, ReportLine
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.tracker import Tracker

_HOLDER_STATUS: Final = {
    TrackerStatus.PINNED: HolderStatus.PINNED,
    TrackerStatus.PIN_ERROR: HolderStatus.PIN_ERROR,
    TrackerStatus.UNPINNED: HolderStatus.UNPINNED,
}


def expect_new(effects: Iterable[Effect], me: PeerId, tracker: Tracker) -> list[Cid]:
    """Return the pins that are new to this peer's tracker: the store may hold them already.

    The tracker expects to be told soon.
    """
    new = [
        effect.cid
        for effect in effects
        if isinstance(effect, KeepPin)
        and effect.record.is_owed_by(me)
        and tracker.item(effect.cid) is None
    ]
    tracker.expect(new)
    return new


def events_of(
    effects: Iterable[Effect],
    me: PeerId,
    *,
    held: Collection[Cid],
    is_lent: Callable[[Cid], bool] = lambda _cid: False,
) -> list[Desired | NotDesired]:
    """Return what some effects change for this peer, in order.

    Args:
        effects: What batches led to.
        me: This peer.
        held: Those of ``expect_new`` that the store was found to hold, and keeps.
        is_lent: Returns whether something stays here for others to fetch, whoever is to keep it.
    """
    events: list[Desired | NotDesired] = []
    for effect in effects:
        match effect:
            case KeepPin(cid=cid, record=record) if record.is_owed_by(me):
                since_ms, is_held = record.timestamp_ms, cid in held
                events.append(Desired(cid=cid, since_ms=since_ms, is_held=is_held))
            case KeepPin(cid=cid) if not is_lent(cid):
                events.append(NotDesired(cid=cid))
            case DropPin(cid=cid):
                events.append(NotDesired(cid=cid))
            case _:
                pass
    return events


def entries_of(lines: Iterable[ReportLine]) -> tuple[ReportEntry, ...]:
    """Return a report's entries."""
    return tuple(ReportEntry(line.cid, _HOLDER_STATUS[line.status], line.error) for line in lines)
