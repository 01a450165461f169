"""Writes down who holds a pin: in its row, among its holders' duties, in the queue of repairs.

Whoever changes the allocations of a pin does it here.
"""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import holder_reports
from bftcluster.ledger.state.duties import Duty, assign, release, resize
from bftcluster.ledger.state.records import HolderReport, PinRecord
from bftcluster.ledger.state.repairs import WITHOUT_HASTE, repair_key
from bftcluster.ledger.state.replication import reachable
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.operations import PinOperation


def place(
    state: State, record: PinRecord, before: PinRecord | None, operation: bytes = b""
) -> PinRecord:
    """Write a pin's row if it changes, and what refers to it; return the pin with its slots.

    What a holder reported stays with it, whether the pin was everybody's before or is now.

    Args:
        state: To be changed.
        record: The pin, and who is to hold it.
        before: As it was; None: it is new.
        operation: The encoding of its options, if it is at hand.
    """
    carried = {} if before is None else _given_up(state, record, before)
    held = {} if before is None else dict(zip(before.allocations, before.slots, strict=True))
    size_bytes = size_of(record.options)
    slots = []
    for peer in record.allocations:
        if peer in held:
            resize(state, peer, held[peer], size_bytes)
            slots.append(held[peer])
        else:
            duty = Duty(number=record.number, cid=record.cid, size_bytes=size_bytes)
            slots.append(assign(state, peer, duty.reported(carried.get(peer))))
    queued_as = _queued(state, record, before)
    placed = replace(record, slots=tuple(slots), queued_as=queued_as) if slots else record
    if placed != before:
        state.put(Space.PIN, record.cid, placed.to_value(operation))
    return placed


def _given_up(state: State, record: PinRecord, before: PinRecord) -> dict[PeerId, HolderReport]:
    """Take a pin from those that are not to hold it any more.

    Returns:
        What those that are to hold it said of it while it was everybody's.
    """
    if before.is_everywhere and record.is_everywhere:
        return {}
    if before.is_everywhere:
        reports = holder_reports.of_everybody(state, record.number, record.allocations)
        holder_reports.forget(state, record.number, holder_reports.full_peers(state))
        return {report.peer: report for report in reports}
    for peer, slot in zip(before.allocations, before.slots, strict=True):
        if peer not in record.allocations:
            report = release(state, peer, slot).report_of(peer)
            if record.is_everywhere and report is not None and holder_reports.is_full(state, peer):
                holder_reports.carry(state, record.number, report)
    return {}


def take_away(state: State, record: PinRecord) -> None:
    """Remove a pin's row and what refers to it."""
    if record.is_everywhere:
        holder_reports.forget(state, record.number, holder_reports.full_peers(state))
    for peer, slot in zip(record.allocations, record.slots, strict=True):
        release(state, peer, slot)
    _leave_queue(state, record)
    state.put(Space.PIN, record.cid, None)


def size_of(options: PinOperation) -> int:
    """Return how large a pin is; 0 if nobody said."""
    return 0 if options.contents is None else options.contents.size_bytes


def factors(state: State, record: PinRecord) -> tuple[int, int]:
    """Return how many copies a pin is to have, least and most.

    Those by default are at most as many as there are peers.
    """
    least, most = record.replication_min, record.replication_max
    return reachable(record.options, least, most, len(state.peers))


def is_sound(state: State, peer: PeerId) -> bool:
    """Return whether what a peer holds counts, and it is not suspended."""
    return state.is_live(peer) and state.reputations.of(peer).gets_data


def _queued(state: State, record: PinRecord, before: PinRecord | None) -> int:
    """Put a pin into the queue of repairs or take it out; return one more than its place there."""
    place = _place_in_queue(state, record)
    queued_as = 0 if place is None else place + 1
    if before is not None and before.queued_as != queued_as:
        _leave_queue(state, before)
    if queued_as and (before is None or before.queued_as != queued_as):
        key = repair_key(queued_as - 1, record.number)
        state.put(Space.REPAIR, key, record.cid)
        state.set_repair(state.repair.with_more(key))
    return queued_as


def _place_in_queue(state: State, record: PinRecord) -> int | None:
    """Return where a pin is to wait for other holders, or None if it need not."""
    sound = sum(1 for peer in record.allocations if is_sound(state, peer))
    if not record.allocations or sound >= record.replication_min:
        return None
    least, _ = factors(state, record)
    if sound >= least:
        return None
    live = sum(1 for peer in record.allocations if state.is_live(peer))
    return live if live < least else WITHOUT_HASTE + sound


def _leave_queue(state: State, record: PinRecord) -> None:
    if record.queued_as:
        state.put(Space.REPAIR, repair_key(record.queued_as - 1, record.number), None)
        state.set_repair(state.repair.with_less())
