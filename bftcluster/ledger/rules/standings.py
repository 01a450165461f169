"""What follows from where a peer stands: who comes in with which reputation, and who goes."""

from dataclasses import replace

from bftcluster.ids import PeerId, ReplicaId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerChanged, PeerRemoved
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.state.audit_changes import forget_verdicts
from bftcluster.ledger.state.deadlines import leave_deadline
from bftcluster.ledger.state.duties import head_of
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.state import State
from bftcluster.limits import (
    GONE_NOTED_MAX,
    LIGHT_PEERS_MAX,
    MOVES_MAX,
    PEERS_MAX,
    REPUTATIONS_KEPT_MAX,
)
from bftcluster.reputation import OrderedEvidence, newcomer


def problem_with_return(state: State, peer: PeerId, period: int, period_ms: int) -> str:
    """Return why a peer may not be let in yet, or nothing."""
    before = state.reputations.get(peer)
    if before is None or not before.is_evicted:
        return ""
    first = before.first_period_back(state.reputations.terms)
    if period >= first:
        return ""
    return f"the peer was evicted; it may be admitted again from {first * period_ms} ms on"


def problem_with_room(state: State, *, is_light: bool) -> str:
    """Return why one peer more does not fit among those of its weight, light or not, or nothing.

    May be asked in any thread.
    """
    bound = LIGHT_PEERS_MAX if is_light else PEERS_MAX
    if len(state.peers) < bound:
        return ""
    peers = list(state.peers.values())  # At once: others may come meanwhile.
    if sum(1 for each in peers if each.terms.is_light == is_light) < bound:
        return ""
    if is_light:
        return f"{LIGHT_PEERS_MAX} light peers are admitted"
    return f"{PEERS_MAX} peers are admitted, as many as can keep a link to each other"


def let_in(execution: Execution, peer: PeerId, evidence: OrderedEvidence) -> None:
    """Give a peer that is admitted its reputation."""
    state = execution.state
    before = state.reputations.get(peer)
    terms = state.reputations.terms
    state.put_reputation(peer, newcomer(execution.period, terms, evidence, before=before))


def keep_pins(state: State, peer: PeerId) -> None:
    """Leave the pins that a peer had before it was let in again, and nobody else took, with it.

    They count once it is heard.
    """
    if head_of(state, peer).count:
        state.set_absent(peer, is_absent=True)
    begin_move(state, peer)


def keep_on(execution: Execution, record: PeerRecord) -> None:
    """Have a peer stay that was leaving: what it holds counts again, and it is given more."""
    state, peer = execution.state, record.peer
    state.put(Space.DEADLINE, leave_deadline(peer, record.goes_ms), None)
    state.put_peer(replace(record, goes_ms=0))
    begin_move(state, peer)
    execution.effects.append(PeerChanged(peer))


def put_weighed(execution: Execution, record: PeerRecord) -> None:
    """Set a peer's row, with what it has free and how far it is trusted as its weight from now on.

    It holds until the next period, whatever is ordered meanwhile.
    """
    state, period = execution.state, execution.period
    reputation = state.reputations.of(record.peer)
    state.put_peer(record.weighed(reputation, period, state.reputations.terms))


def drop(execution: Execution, peer: PeerId) -> None:
    """Let a peer go now; what it held goes to others, and its reputation stays."""
    state = execution.state
    state.remove_peer(peer)
    begin_move(state, peer)
    for each in state.reputations.forgettable(state.peers, REPUTATIONS_KEPT_MAX, execution.period):
        state.put_reputation(each, None)
        forget_verdicts(state, each)
    execution.effects.append(PeerRemoved(peer))


def condemn(execution: Execution, peer: PeerId, proof: OrderedEvidence) -> None:
    """Evict a peer that ``proof`` convicts, also if it left: then it may not come back soon."""
    state, period = execution.state, execution.period
    before = state.reputations.get(peer)
    if before is None:
        before = newcomer(period, state.reputations.terms, proof)
    if before.is_evicted:
        return
    state.put_reputation(peer, before.defrauded(period, proof))
    if peer in state.peers:
        expel(execution, peer)


def expel(execution: Execution, peer: PeerId) -> None:
    """Do what follows from the eviction of a member: it goes, and what it held goes to others.

    Who votes goes on voting, since that is the maintainers' to say. It holds no pins any more.
    """
    if not dismiss(execution, peer):
        begin_move(execution.state, peer)
        execution.effects.append(PeerChanged(peer))


def dismiss_gone(execution: Execution) -> None:
    """Let those go that were not heard for a month, a bounded number: nobody waits for them.

    Who votes stays: no absence takes a vote away. A time in which nothing was ordered for long
    counts for nobody. Their reputations stay, and another admission lets them in again.
    """
    state, terms = execution.state, execution.state.reputations.terms
    latest_ms = execution.now_ms - terms.gone_ms
    is_after_silence = execution.now_ms - state.head.timestamp_ms >= terms.silence_ms
    if is_after_silence or state.absence.since_ms > latest_ms:
        return
    gone = [p for p in sorted(state.absence.peers) if _is_silent_since(state, p, latest_ms)]
    for peer in gone[:GONE_NOTED_MAX]:
        dismiss(execution, peer)


def _is_silent_since(state: State, peer: PeerId, latest_ms: int) -> bool:
    record = state.peers.get(peer)
    return record is not None and 0 < record.reported_ms <= latest_ms and not record.is_replica


def dismiss(execution: Execution, peer: PeerId) -> bool:
    """Let an evicted peer go, unless it is needed or too many are going; return whether it went."""
    if len(execution.state.moves) >= MOVES_MAX or _is_needed(execution, peer):
        return False
    drop(execution, peer)
    return True


def _is_needed(execution: Execution, peer: PeerId) -> bool:
    """Return whether the votes of a peer count, will count, or counted an interval ago."""
    state = execution.state
    if any(change.peer == peer for change in state.changes):
        return True
    before = Seq(max(1, execution.seq - execution.genesis.checkpoint_interval))
    recent = [start.membership for start in state.epochs if start.first > before]
    recent.append(state.membership_at(before))
    return any(ReplicaId(peer) in membership.replicas for membership in recent)
