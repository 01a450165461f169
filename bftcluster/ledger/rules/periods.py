"""What happens when a period begins: what allocation goes by is set for as long as it lasts.

A period is an interval of consensus time, counted from 1970 so that all peers number them alike. It
begins with the first batch whose timestamp lies in it; those in which nothing is ordered never do.

Then each peer has its turn, in the order of their ids, a bounded number in each batch. Until its
turn a peer stands and weighs as before. Whoever is heard earlier has its turn just before that, so
that nothing ordered in a period bears on how the peer is judged and weighed for it.
"""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.rules.standings import dismiss, dismiss_gone, expel
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.progress.period_turns import PeriodPhase, PeriodTurn
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import (
    EVICTED_PER_BATCH_MAX,
    JUDGED_PER_BATCH_MAX,
    LIGHT_HEARD_PERIODS,
    TIME_MAX_MS,
)
from bftcluster.reputation import OrderedEvidence, Standing, due_for_eviction, settled


def judge_on(execution: Execution) -> None:
    """Begin a period if one has come, and give the next peers their turn.

    Before anything else in a batch. A period that comes while the peers have their turn for an
    earlier one begins when that is over.
    """
    state = execution.state
    turn = state.period_turn
    if turn.is_over:
        if execution.period <= turn.period:
            return
        state.set_period_turn(_begun(execution, turn))
    if state.period_turn.phase is PeriodPhase.JUDGING:
        _judge_next(execution)
    if state.period_turn.phase is PeriodPhase.EVICTING:
        _evict_next(execution)


def judge_early(execution: Execution, peer: PeerId) -> None:
    """Give a member its turn now if it is to have one: what is ordered next is of the new period.

    One that was evicted and waits to go is left until its turn: whoever asks has to do with it yet.
    """
    state = execution.state
    turn = state.period_turn
    if turn.phase is PeriodPhase.JUDGING and not state.reputations.of(peer).is_evicted:
        state.set_period_turn(_judge(execution, turn, peer))


def period_due_ms(state: State, genesis: Genesis) -> int | None:
    """Return from which time of a batch on the next period has something to do, if it has."""
    turn = state.period_turn
    if not turn.is_over or not _was_anybody_heard(state, turn):
        return None
    begins_ms = (turn.period + 1) * genesis.period_ms
    return begins_ms if begins_ms <= TIME_MAX_MS else None


def _was_anybody_heard(state: State, turn: PeriodTurn) -> bool:
    """Return whether a peer was heard of since a turn began. Otherwise that counts for nobody."""
    return state.reported_ms >= turn.begun_ms


def _begun(execution: Execution, last: PeriodTurn) -> PeriodTurn:
    state, head = execution.state, execution.state.head
    was_heard = _was_anybody_heard(state, last)
    return PeriodTurn(
        period=execution.period,
        begun_ms=execution.now_ms,
        phase=PeriodPhase.JUDGING,
        ended=head.period,
        heard_from_ms=last.begun_ms,
        evidence=OrderedEvidence(digest=head.chain, seq=head.seq) if was_heard else None,
    )


def _judge_next(execution: Execution) -> None:
    state = execution.state
    turn = state.period_turn
    rows = state.after(Space.PEER, turn.after, JUDGED_PER_BATCH_MAX)
    for key, _ in rows:
        turn = replace(_judge(execution, turn, PeerId(key)), after=key)
    if len(rows) < JUDGED_PER_BATCH_MAX:
        turn = replace(turn, phase=PeriodPhase.EVICTING)
    state.set_period_turn(turn)


def _judge(execution: Execution, turn: PeriodTurn, peer: PeerId) -> PeriodTurn:
    """Judge a peer by the period that ended, and weigh it by the room that it had until now.

    Whoever was judged for this period, or let in after it began, is left as it is; and who was
    evicted goes, if it could not go then: it voted.
    """
    state, terms = execution.state, execution.state.reputations.terms
    before, record = state.reputations.of(peer), state.peers[peer]
    if before.is_evicted:
        dismiss(execution, peer)
        return turn
    if before.judged >= turn.period:
        return turn
    after = before
    if turn.evidence is not None and record.joined_ms:
        was_seen = record.reported_ms >= _heard_from_ms(execution.genesis, turn, record)
        after = after.observed(turn.ended, terms, was_seen=was_seen, evidence=turn.evidence)
    after = settled(replace(after, judged=turn.period), turn.period, terms)
    state.put_reputation(peer, after)
    weighed = record.weighed(after, turn.period, terms)
    if record.joined_ms and weighed != record:
        state.put_peer(weighed)
    if after.standing is not before.standing:
        execution.effects.append(PeerChanged(peer))
        if Standing.SUSPENDED in (before.standing, after.standing):
            begin_move(state, peer)
    return replace(turn, ration=turn.ration.judged(record.terms.capacity_bytes))


def _heard_from_ms(genesis: Genesis, turn: PeriodTurn, record: PeerRecord) -> int:
    """Return since when a peer must have been heard to have been there in what ended.

    What a light peer says counts for several periods, since it announces itself more rarely.
    """
    if not record.terms.is_light:
        return turn.heard_from_ms
    return min(turn.heard_from_ms, turn.begun_ms - LIGHT_HEARD_PERIODS * genesis.period_ms)


def _evict_next(execution: Execution) -> None:
    """Evict the worst of those that are to go, as far as the ration reaches; the rest wait."""
    state, terms = execution.state, execution.state.reputations.terms
    turn = state.period_turn
    reputations = state.reputations.of_all(state.peers)
    due = due_for_eviction(reputations, turn.period, terms)
    done = 0
    for peer in due[:EVICTED_PER_BATCH_MAX]:
        ration = turn.ration.used(state.peers[peer].terms.capacity_bytes)
        if ration is None:
            break
        turn = replace(turn, ration=ration)
        state.put_reputation(peer, reputations[peer].moved(Standing.EVICTED, turn.period))
        expel(execution, peer)
        done += 1
    if done == EVICTED_PER_BATCH_MAX:
        state.set_period_turn(turn)
        return
    dismiss_gone(execution)
    state.set_waiting(due[done:])
    state.set_period_turn(replace(turn, phase=PeriodPhase.OVER))
