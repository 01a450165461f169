"""Gives pins that have too few live copies more of them, the most endangered first.

A bounded number is looked at after each batch, and each peer is given a bounded part in a period,
so that a departure of many neither holds up the order nor fills the links of those who stay. For
what nobody could take, the next turn waits for another candidate, or for the next period.
"""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.holders.allocation import pick_by, pin_seed
from bftcluster.ledger.rules.holders.strategies import draw_of
from bftcluster.ledger.rules.placement import factors, is_sound, size_of
from bftcluster.ledger.rules.reallocation import put_at
from bftcluster.ledger.state.duties import head_of, note_repair
from bftcluster.ledger.state.records import PinRecord, pin_record
from bftcluster.ledger.state.repairs import RepairTurn
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import (
    REPAIR_ABSENT_KEPT_MAX,
    REPAIR_CANDIDATES_SPARE,
    REPAIR_PIN_MIN_BYTES,
    REPAIR_RATE_BYTES_PER_S,
    REPAIR_WITHOUT_HASTE_PARTS,
    REPAIRED_ROWS_MAX,
    TIME_MAX_MS,
)


def repair_on(execution: Execution) -> None:
    """Look at the next pins that have too few live copies, if any."""
    state = execution.state
    turn = _turn_at(execution)
    if turn.is_over:
        return
    state.set_repair(turn)
    rows = state.after(Space.REPAIR, turn.after, REPAIRED_ROWS_MAX)
    state.prefetch((Space.PIN, cid) for _, cid in rows)
    is_short = turn.is_short
    for _, cid in rows:
        value = state.get(Space.PIN, cid)
        assert value is not None, "what waits for repair is pinned"
        is_short |= _repair(execution, pin_record(value))
    if state.repair.waiting:
        is_over = len(rows) < REPAIRED_ROWS_MAX
        after = rows[-1][0] if rows else turn.after
        state.set_repair(replace(state.repair, is_over=is_over, after=after, is_short=is_short))


def repair_due_ms(state: State, genesis: Genesis) -> int | None:
    """Return from which time of a batch on peers may be given more of what waits, if it does."""
    turn = state.repair
    if not (turn.waiting and turn.is_short):
        return None
    begins_ms = (turn.period + 1) * genesis.period_ms
    return begins_ms if begins_ms <= TIME_MAX_MS else None


def _turn_at(execution: Execution) -> RepairTurn:
    """Return the turn to go on with: a new one if there is a reason to begin again."""
    state, turn = execution.state, execution.state.repair
    if not turn.waiting:
        return replace(turn, is_over=True)
    period = execution.period
    is_again = turn.is_over and (
        turn.candidates != state.roster.digest() or (turn.is_short and period > turn.period)
    )
    if not is_again and (turn.is_over or turn.after):
        return turn
    candidates = state.roster.digest()
    return RepairTurn(waiting=turn.waiting, period=period, candidates=candidates)


def _repair(execution: Execution, record: PinRecord) -> bool:
    """Give a pin as many copies as it may have; return whether some candidate had its part.

    One that has enough live copies, some of them at suspended peers, is given its minimum of sound
    ones, and without haste: as long as candidates have not had a quarter of their part. Where the
    holders are sound again it is given nothing, and leaves the queue.
    """
    state = execution.state
    live = [peer for peer in record.allocations if state.is_live(peer)]
    held = [peer for peer in record.allocations if state.may_hold(peer)]
    absent = [peer for peer in held if not state.is_live(peer)]
    least, most = factors(state, record)
    is_urgent = len(live) < least
    sound = sum(1 for peer in live if is_sound(state, peer))
    count = most - len(live) if is_urgent else max(0, least - sound)
    chosen, is_short = _targets(execution, record, count, is_urgent=is_urgent)
    put_at(execution, record, (*live, *absent[:REPAIR_ABSENT_KEPT_MAX], *chosen))
    period = execution.period
    for peer in chosen:
        note_repair(state, peer, period, _cost_bytes(record))
    return is_short


def _targets(
    execution: Execution, record: PinRecord, count: int, *, is_urgent: bool
) -> tuple[list[PeerId], bool]:
    """Return who is to hold a pin besides, and whether more could have if asked another period."""
    state, genesis = execution.state, execution.genesis
    seed = pin_seed(execution.draws_from, record.cid)
    draw = draw_of(record.options.strategy or genesis.strategy)
    wanted = count + REPAIR_CANDIDATES_SPARE
    ranked = pick_by(draw, state.roster, seed, wanted, record.allocations)
    period = execution.period
    part_bytes = REPAIR_RATE_BYTES_PER_S * genesis.period_ms // 1000
    if not is_urgent:
        part_bytes //= REPAIR_WITHOUT_HASTE_PARTS
    free = []
    for peer in ranked:
        head = head_of(state, peer)
        if head.period != period or head.repaired_bytes < part_bytes:
            free.append(peer)
    return free[:count], len(free) < min(count, len(ranked))


def _cost_bytes(record: PinRecord) -> int:
    return max(size_of(record.options), REPAIR_PIN_MIN_BYTES)
