"""Gives the pins of removed peers to others: a bounded number is looked at after each batch."""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.allocation import NotEnoughPeers, allocate, pin_seed
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import KeepPin
from bftcluster.ledger.state.holder_reports import forget, forget_all
from bftcluster.ledger.state.membership_rows import Move
from bftcluster.ledger.state.records import PinRecord, pin_record
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
    stays = first.peer in state.peers
    is_forgotten = stays or forget_all(state, first.peer, MOVED_ROWS_MAX)
    if len(rows) < MOVED_ROWS_MAX and is_forgotten:
        state.set_moves(others)
    else:
        after = rows[-1][0] if rows else first.after
        state.set_moves([Move(peer=first.peer, after=after), *others])


def _move(execution: Execution, record: PinRecord, peer: PeerId) -> None:
    """Have another hold a pin if a removed peer was to, and forget what that reported."""
    if peer not in record.allocations:
        return
    forget(execution.state, record.number, (peer,))
    moved = replace(record, allocations=_without(execution, record, peer))
    if moved != record:
        execution.state.put(Space.PIN, record.cid, moved.to_value())
        execution.effects.append(KeepPin(record.cid, moved))


def _without(execution: Execution, record: PinRecord, peer: PeerId) -> tuple[PeerId, ...]:
    """Return who is to hold a pin now: fewer than its minimum, if there is nobody else.

    Never nobody: an empty list would mean everybody.
    """
    state = execution.state
    current = [each for each in record.allocations if each != peer and each in state.peers]
    least, most = record.replication_min, record.replication_max
    seed = pin_seed(execution.genesis.cluster_id, record.cid)
    chosen = allocate(seed, state.roster, least=least, most=most, current=current)
    if isinstance(chosen, NotEnoughPeers):
        chosen = allocate(seed, state.roster, least=len(current) + 1, most=most, current=current)
    if isinstance(chosen, NotEnoughPeers):
        return tuple(current) or record.allocations
    return chosen
