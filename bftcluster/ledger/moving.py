"""Gives the pins of removed peers to others: a bounded number is looked at after each batch."""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.allocation import NotEnoughPeers, allocate
from bftcluster.ledger.execution import Execution
from bftcluster.ledger.members import Move
from bftcluster.ledger.outcomes import Keep
from bftcluster.ledger.records import PinRecord, pin_record
from bftcluster.ledger.spaces import Space
from bftcluster.limits import MOVED_ROWS_MAX


def move_on(execution: Execution) -> None:
    """Look at the next pins for the peer that was removed first, if any."""
    state = execution.state
    if not state.moves:
        return
    first, *others = state.moves
    rows = state.after(Space.PIN, first.after, MOVED_ROWS_MAX)
    for _, value in rows:
        if value.find(first.peer) >= 0:
            _move(execution, pin_record(value), first.peer)
    if len(rows) < MOVED_ROWS_MAX:
        state.set_moves(others)
    else:
        state.set_moves([Move(peer=first.peer, after=rows[-1][0]), *others])


def _move(execution: Execution, record: PinRecord, peer: PeerId) -> None:
    """Forget what a removed peer reported about a pin, and have another hold it."""
    reports = tuple(report for report in record.reports if report.peer != peer)
    allocations = record.allocations
    if peer in allocations:
        allocations = _without(execution, record, peer)
    moved = replace(record, reports=reports, allocations=allocations)
    if moved != record:
        execution.state.put(Space.PIN, record.cid, moved.to_value())
        execution.effects.append(Keep(record.cid, moved))


def _without(execution: Execution, record: PinRecord, peer: PeerId) -> tuple[PeerId, ...]:
    """Return who is to hold a pin now: fewer than its minimum, if there is nobody else.

    Never nobody: an empty list would mean everybody.
    """
    state = execution.state
    current = [each for each in record.allocations if each != peer and each in state.peers]
    least, most = record.replication_min, record.replication_max
    chosen = allocate(record.cid, state.roster, least=least, most=most, current=current)
    if isinstance(chosen, NotEnoughPeers):
        chosen = allocate(
            record.cid, state.roster, least=len(current) + 1, most=most, current=current
        )
    if isinstance(chosen, NotEnoughPeers):
        return tuple(current) or record.allocations
    return chosen
