"""Lets peers in and out. Who does not vote comes and goes at once; voters change by epoch."""

from dataclasses import replace

from bftcluster.ids import Digest, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.rules.context import Approved, Execution
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.rules.standings import (
    drop,
    keep_on,
    keep_pins,
    let_in,
    problem_with_return,
    problem_with_room,
    put_weighed,
)
from bftcluster.ledger.state.membership_rows import (
    Change,
    next_membership,
    taken_up,
    voters_min,
    voters_to_be,
)
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.limits import MOVES_MAX, REPLICAS_MAX
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart
from bftcluster.reputation import OrderedEvidence


def admit(execution: Execution, approved: Approved, operation: AdmitPeer) -> Outcome:
    """Take a peer in, or change the terms of one that is in, or whether it votes."""
    state, peer = execution.state, operation.peer
    refusal = _refusal(execution, peer)
    if refusal:
        return approved.outcome(OutcomeCode.CHANGE_UNDER_WAY, refusal)
    too_early = problem_with_return(state, peer, execution.period, execution.genesis.period_ms)
    if too_early:
        return approved.outcome(OutcomeCode.EVICTED, too_early)
    known = state.peers.get(peer)
    if known is not None and known.goes_ms:
        detail = "the peer is leaving: admit it when it has left"
        return approved.outcome(OutcomeCode.CHANGE_UNDER_WAY, detail)
    latest = state.epochs[-1].membership
    is_voter = ReplicaId(peer) in latest.replicas
    is_new = known is None
    is_back = not is_new and state.reputations.of(peer).is_evicted
    is_same = is_voter == operation.votes and known is not None and known.terms == operation.terms
    if is_same and not is_back:
        votes = "votes" if is_voter else "does not vote"
        detail = f"the peer is admitted already, with these terms, and {votes}"
        return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
    too_many = _too_many(execution, operation)
    if too_many:
        return approved.outcome(OutcomeCode.INVALID_OPERATION, too_many)
    if operation.votes and not is_voter and voters_to_be(latest, state.changes) >= REPLICAS_MAX:
        detail = f"at most {REPLICAS_MAX} replicas vote"
        return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
    if is_voter and not operation.votes:
        too_few = _too_few(execution, latest)
        if too_few:
            return approved.outcome(OutcomeCode.INVALID_OPERATION, too_few)
    grant(execution, operation, approved.intent.digest)
    if is_voter == operation.votes:
        what = "admitted" if is_new or is_back else "terms changed"
        return approved.outcome(OutcomeCode.COMMITTED, what)
    state.set_changes([*state.changes, Change(peer=peer, votes=operation.votes)])
    return approved.outcome(OutcomeCode.COMMITTED, _when(execution, votes=operation.votes))


def grant(execution: Execution, operation: AdmitPeer, evidence: Digest) -> None:
    """Set the row of a peer that is let in, or the terms of one that is in: these weigh at once.

    One that was leaving stays: a recovery may have it vote. ``evidence`` is what the log has it by:
    the intent, or the request.
    """
    state, peer = execution.state, operation.peer
    known = state.peers.get(peer)
    if known is not None and known.goes_ms:
        keep_on(execution, known)
        known = state.peers[peer]
    is_let_in = known is None or state.reputations.of(peer).is_evicted
    if is_let_in:
        let_in(execution, peer, OrderedEvidence(digest=evidence, seq=execution.seq))
    elif known is not None and known.terms == operation.terms:
        return
    if known is None:
        known = PeerRecord(
            peer=peer, name=operation.name, addresses=operation.addresses, is_replica=False
        )
    is_new_light = operation.terms.is_light and not known.terms.is_light
    put_weighed(execution, replace(known, terms=operation.terms))
    if is_let_in:
        keep_pins(state, peer)
    if is_new_light:
        begin_move(state, peer, is_new_light=True)
    execution.effects.append(PeerChanged(peer))


def remove(execution: Execution, approved: Approved, operation: RemovePeer) -> Outcome:
    """Let a peer go: at once if it does not vote, else when an epoch without it is under way."""
    state, peer = execution.state, operation.peer
    if peer not in state.peers:
        return approved.outcome(OutcomeCode.UNKNOWN_PEER, "no such peer is admitted")
    refusal = _refusal(execution, peer)
    if refusal:
        return approved.outcome(OutcomeCode.CHANGE_UNDER_WAY, refusal)
    if len(state.moves) >= MOVES_MAX:
        detail = f"the pins of {MOVES_MAX} peers that were removed are still being given to others"
        return approved.outcome(OutcomeCode.CHANGE_UNDER_WAY, detail)
    latest = state.epochs[-1].membership
    if ReplicaId(peer) not in latest.replicas:
        drop(execution, peer)
        return approved.outcome(OutcomeCode.COMMITTED, "removed")
    too_few = _too_few(execution, latest)
    if too_few:
        return approved.outcome(OutcomeCode.INVALID_OPERATION, too_few)
    state.set_changes([*state.changes, Change(peer=peer, votes=False, leaves=True)])
    return approved.outcome(OutcomeCode.COMMITTED, _when(execution, votes=False))


def turn(execution: Execution) -> Membership | None:
    """Do what is due at a checkpoint; return the next epoch's voters if it names any."""
    state, interval = execution.state, execution.genesis.checkpoint_interval
    next_seq = Seq(execution.seq + 1)
    last_primary = state.membership_at(execution.seq).primary(state.turns.view)
    for start in state.epochs[1:][-2:]:
        if start.first == next_seq:
            _take_over(execution, start.membership)
        elif start.first + interval == next_seq:
            _let_go(execution, start.membership)
    latest = state.epochs[-1].membership
    state.set_turns(state.turns.at_checkpoint(execution.seq, interval, latest.replicas))
    named = next_membership(
        latest,
        state.changes,
        set(map(ReplicaId, state.accused)),
        sitting_out=state.turns.sitting_out(execution.seq, interval),
        last_primary=last_primary,
    )
    if named is None:
        return None
    state.add_epoch(EpochStart(Seq(execution.seq + interval + 1), named))
    state.set_changes(taken_up(state.changes, latest, named))
    return named


def _take_over(execution: Execution, membership: Membership) -> None:
    """Note who votes from the next batch on; changes without a removal have come to their end."""
    state = execution.state
    state.set_turns(replace(state.turns, view=View(0)))
    for change in state.changes:
        if change.epoch == membership.epoch:
            state.put_peer(replace(state.peers[change.peer], is_replica=change.votes))
            execution.effects.append(PeerChanged(change.peer))
    state.set_changes(
        [change for change in state.changes if change.epoch != membership.epoch or change.leaves]
    )


def _let_go(execution: Execution, membership: Membership) -> None:
    """Remove the voters that left with an epoch which has been under way for an interval."""
    state = execution.state
    leaving = [change for change in state.changes if change.epoch == membership.epoch]
    state.set_changes([change for change in state.changes if change not in leaving])
    for change in leaving:
        drop(execution, change.peer)


def _refusal(execution: Execution, peer: PeerId) -> str:
    """Return why nothing can be changed about a peer now, or nothing."""
    if any(change.peer == peer for change in execution.state.changes):
        return "an earlier change of this peer has not taken effect yet"
    return ""


def _too_many(execution: Execution, operation: AdmitPeer) -> str:
    """Return why a peer does not fit among those of its weight, light or not, or nothing."""
    state, is_light = execution.state, operation.terms.is_light
    if is_light and ReplicaId(operation.peer) in state.epochs[-1].membership.replicas:
        return "a peer that votes cannot be light: first let it vote no more"
    known = state.peers.get(operation.peer)
    if known is not None and known.terms.is_light == is_light:
        return ""
    return problem_with_room(state, is_light=is_light)


def _too_few(execution: Execution, latest: Membership) -> str:
    """Return why one voter less would be too few, or nothing."""
    remaining = voters_to_be(latest, execution.state.changes) - 1
    if remaining >= voters_min(latest.n):
        return ""
    return f"{remaining} replicas would vote, fewer than {voters_min(latest.n)}"


def _when(execution: Execution, *, votes: bool) -> str:
    interval = execution.genesis.checkpoint_interval
    checkpoint = -(-execution.seq // interval) * interval
    verb = "votes" if votes else "votes no more"
    return f"{verb} from batch {checkpoint + interval + 1} on, or an epoch later if others wait"
