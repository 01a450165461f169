"""Translates between ledger and tracker: effects become its events, its reports become requests.

Ledger and tracker do not know each other. Pure: loops and simulations translate alike.
"""

from collections.abc import Iterable
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import DropPin, Effect, KeepPin
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from bftcluster.pins.events import Desired, NotDesired, Observation, ReportLine
from bftcluster.pins.status import TrackerStatus

_HOLDER_STATUS: Final = {
    TrackerStatus.PINNED: HolderStatus.PINNED,
    TrackerStatus.PIN_ERROR: HolderStatus.PIN_ERROR,
    TrackerStatus.UNPINNED: HolderStatus.UNPINNED,
}


def event_of(
    effect: Effect, me: PeerId, *, is_held: bool, is_lent: bool = False
) -> Desired | NotDesired | None:
    """Return what ``effect`` changes for this peer, if it does.

    Args:
        effect: What a batch led to.
        me: This peer.
        is_held: Whether the store was found to hold what is to be kept, and keeps it.
        is_lent: Whether it stays here for others to fetch, whoever is to keep it.
    """
    match effect:
        case KeepPin(cid=cid, record=record) if record.is_owed_by(me):
            return Desired(cid=cid, since_ms=record.timestamp_ms, is_held=is_held)
        case KeepPin(cid=cid) if not is_lent:
            return NotDesired(cid=cid)
        case DropPin(cid=cid):
            return NotDesired(cid=cid)
        case _:
            return None


def observation(record: PinRecord, me: PeerId, *, is_present: bool) -> Observation:
    """Return what a scan says about a pin."""
    return Observation(
        cid=record.cid,
        is_desired=record.is_owed_by(me),
        is_present=is_present,
        is_reported=me in record.holders,
        since_ms=record.timestamp_ms,
    )


def unwanted(cid: Cid) -> Observation:
    """Return what a scan says about content that is here and need not be."""
    return Observation(cid=cid, is_desired=False, is_present=True, is_reported=False, since_ms=0)


def entries_of(lines: Iterable[ReportLine]) -> tuple[ReportEntry, ...]:
    """Return a report's entries."""
    return tuple(ReportEntry(line.cid, _HOLDER_STATUS[line.status], line.error) for line in lines)
