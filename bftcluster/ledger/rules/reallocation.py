"""Looks at the pins of peers that left, were not heard for long, or are back.

Each peer's duties say which these are: what it costs goes by them, and not by all pins there are. A
bounded number is looked at after each batch. What has too few copies waits for `repair`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import KeepPin
from bftcluster.ledger.rules.holders.allocation import NotEnoughPeers, allocate, pin_seed
from bftcluster.ledger.rules.placement import factors, is_sound, place
from bftcluster.ledger.state.duties import duties_between, head_of, report_at
from bftcluster.ledger.state.holder_reports import forget_all, is_full
from bftcluster.ledger.state.progress.moves import Move
from bftcluster.ledger.state.records import PinRecord, pin_record
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.limits import MOVED_ROWS_MAX, REPAIR_ABSENT_KEPT_MAX


def begin_move(state: State, peer: PeerId, *, is_new_light: bool = False) -> None:
    """Have the pins of a peer looked at: those of a move under way once more.

    Who is light from now on is not to be known as a holder of what everybody keeps: what it said of
    that is forgotten as if it had left.
    """
    count = head_of(state, peer).count
    if count or is_new_light or peer not in state.peers:
        state.end_move(peer)
        state.set_move(Move(peer=peer, slot=count))
    elif is_full(state, peer):
        state.end_move(peer)


def move_on(execution: Execution) -> None:
    """Look at the next pins of the first peer whose pins are to be looked at, if any."""
    state = execution.state
    first = state.moves.first
    if first is None:
        return
    end = min(first.slot, head_of(state, first.peer).count)
    start = max(0, end - MOVED_ROWS_MAX)
    duties = duties_between(first.peer, start, end, partial(state.get, Space.DUTY))
    state.prefetch((Space.PIN, duty.cid) for duty in duties)
    for duty in reversed(duties):
        look_at(execution, duty.cid)
    is_done = start == 0
    if is_done and not is_full(state, first.peer):
        is_done = forget_all(state, first.peer, MOVED_ROWS_MAX)
    if is_done:
        state.end_move(first.peer)
    else:
        state.set_move(replace(first, slot=start))


def look_at(execution: Execution, cid: Cid) -> None:
    """Take a pin from peers that left, and from live ones if it has too many.

    If it is short of live ones it waits for repair, otherwise no longer.
    """
    state = execution.state
    value = state.get(Space.PIN, cid)
    assert value is not None, "a duty goes with its pin"
    record = pin_record(value)
    put_at(execution, record, still_of(execution, record))


def put_at(execution: Execution, record: PinRecord, allocations: Sequence[PeerId]) -> None:
    """Have these peers hold a pin, or if there are none, those that were to."""
    kept = tuple(sorted(allocations)) or record.allocations
    placed = place(execution.state, replace(record, allocations=kept), record)
    if kept != record.allocations:
        execution.effects.append(KeepPin(record.cid, placed))


def still_of(execution: Execution, record: PinRecord) -> tuple[PeerId, ...]:
    """Return who is to hold a pin of those that were: absent peers, who may come back, included.

    Of more sound ones than the most, those that have it stay, and the worst draws go. Suspended
    ones are not counted among those, and keep what they have.
    """
    state = execution.state
    live = [peer for peer in record.allocations if is_sound(state, peer)]
    suspended = [p for p in record.allocations if state.is_live(p) and not is_sound(state, p)]
    held = [peer for peer in record.allocations if state.may_hold(peer)]
    absent = [peer for peer in held if not state.is_live(peer)]
    least, most = factors(state, record)
    if len(live) >= least:
        suspended = suspended[:REPAIR_ABSENT_KEPT_MAX]
    if len(live) > most:
        seed = pin_seed(execution.draws_from, record.cid)
        have = [peer for peer in live if _has(state, record, peer)]
        chosen = allocate(seed, state.roster, least=1, most=most, current=live, preferred=have)
        assert not isinstance(chosen, NotEnoughPeers), "there are more than enough"
        live = list(chosen)
    return (*live, *suspended, *absent)


def _has(state: State, record: PinRecord, peer: PeerId) -> bool:
    """Return whether a holder reported that it has a pin."""
    slot = record.slots[record.allocations.index(peer)]
    report = report_at(peer, slot, partial(state.get, Space.DUTY))
    return report is not None and report.status is HolderStatus.PINNED
