"""What happens when a period begins: what allocation goes by is set for as long as it lasts.

A period is an interval of consensus time, counted from 1970 so that all peers number them alike. It
begins with the first batch whose timestamp lies in it; those in which nothing is ordered never do.
"""

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.rules.standings import dismiss_evicted, dismiss_gone, expel
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import TIME_MAX_MS
from bftcluster.reputation import (
    OrderedEvidence,
    PeerReputation,
    Standing,
    at_period,
    period_of,
)


def begin_period(execution: Execution) -> None:
    """Do what is due at the first batch of a period, before anything else in that batch.

    Every peer is judged by the period that ended, and weighed by the room that it had until now. A
    report changes nothing before the next period; who joins meanwhile is weighed as it joins.
    """
    state, terms = execution.state, execution.state.reputations.terms
    dismiss_evicted(execution)
    capacities = {peer: record.terms.capacity_bytes for peer, record in state.peers.items()}
    after = _observed(execution)
    judgement = at_period(execution.period, after, capacities, terms)
    after.update((change.peer, change.after) for change in judgement.changes)
    for peer in sorted(after):
        if after[peer] is not state.reputations.of(peer):
            state.put_reputation(peer, after[peer])
        record = state.peers[peer]
        weighed = record.weighed(after[peer], execution.period, terms)
        if record.joined_ms and weighed != record:
            state.put_peer(weighed)
    for change in judgement.changes:
        if change.after.is_evicted:
            expel(execution, change.peer)
            continue
        execution.effects.append(PeerChanged(change.peer))
        if Standing.SUSPENDED in (change.before, change.after.standing):
            begin_move(state, change.peer)
    dismiss_gone(execution)
    state.set_waiting(judgement.waiting)


def period_due_ms(state: State, genesis: Genesis) -> int | None:
    """Return from which time of a batch on the next period has something to do, if it has."""
    if not _was_anybody_seen(state, genesis):
        return None
    begins_ms = (state.head.period + 1) * genesis.period_ms
    return begins_ms if begins_ms <= TIME_MAX_MS else None


def _was_anybody_seen(state: State, genesis: Genesis) -> bool:
    """Return whether a peer was heard of in the last period. Otherwise it counts for nobody."""
    return period_of(state.reported_ms, genesis.period_ms) == state.head.period


def _observed(execution: Execution) -> dict[PeerId, PeerReputation]:
    """Return all reputations, with the period that ended counted: was a peer heard of in it?"""
    state, period_ms = execution.state, execution.genesis.period_ms
    ended, terms = state.head.period, state.reputations.terms
    reputations = state.reputations.of_all(state.peers)
    if _was_anybody_seen(state, execution.genesis):
        evidence = OrderedEvidence(digest=state.head.chain, seq=state.head.seq)
        for peer, record in state.peers.items():
            if record.joined_ms:
                was_seen = period_of(record.reported_ms, period_ms) == ended
                reputations[peer] = reputations[peer].observed(
                    ended, terms, was_seen=was_seen, evidence=evidence
                )
    return reputations
