"""Lets a peer go that says so itself: its pins are given to others while it still serves them.

When nothing waits for it any more only the peer has to know, which sees the same state: it says so
with a second word. The ledger counts no copies for that; it waits for so long at most.
"""

from dataclasses import replace

from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.rules.peer_reports import refusal_by_share
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.rules.standings import drop, keep_on
from bftcluster.ledger.state.deadlines import leave_deadline, time_of
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.loan_requests import Leave
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.limits import (
    LEAVE_SAID_AHEAD_MAX_MS,
    LEAVE_SAID_MAX_MS,
    MOVES_MAX,
    TIME_MAX_MS,
)


def leave(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Leave
) -> Outcome:
    """Begin to take a peer's pins from it, or let it go if it says that it goes at once."""
    if request.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "made for another cluster")
    state, peer, now_ms = execution.state, request.peer, execution.now_ms
    record = state.peers.get(peer)
    if record is None:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
    if not verifier.is_valid_announcement(inspected):
        return Outcome(OutcomeCode.BAD_SIGNATURE, "the peer's signature does not verify")
    refusal = refusal_to_leave(state, record, request, now_ms)
    if refusal is None and request.said_ms > now_ms + LEAVE_SAID_AHEAD_MAX_MS:
        detail = f"said at {request.said_ms} ms, it is {now_ms} ms"
        refusal = Outcome(OutcomeCode.NOT_YET_VALID, detail)
    if refusal is not None:
        if refusal.code is not OutcomeCode.TOO_MUCH:
            spent = record.spent.refused(now_ms, len(request.payload))
            state.put_peer(replace(record, spent=spent))
        return refusal
    if request.is_final:
        _let_go(execution, record)
        return Outcome(OutcomeCode.COMMITTED, "left")
    ends_ms = min(now_ms + state.reputations.terms.leave_ms, TIME_MAX_MS)
    state.put_peer(replace(record, goes_ms=ends_ms))
    state.put(Space.DEADLINE, leave_deadline(peer, ends_ms), b"\x80")
    begin_move(state, peer)
    execution.effects.append(PeerChanged(peer))
    return Outcome(OutcomeCode.COMMITTED, f"leaves at {ends_ms} ms at the latest")


def refusal_to_leave(
    state: State, record: PeerRecord, request: Leave, now_ms: int
) -> Outcome | None:
    """Return why what a peer says of its leaving changes nothing, as far as the state tells.

    A word from the future is refused in execution alone, since an idle cluster's state lags behind;
    what that may cost in an hour is bounded by the peer's share.
    """
    is_timely = request.said_ms <= now_ms + LEAVE_SAID_AHEAD_MAX_MS
    too_much = refusal_by_share(record, now_ms, is_timely=is_timely)
    if too_much is not None:
        return too_much
    if request.said_ms <= now_ms - LEAVE_SAID_MAX_MS:
        detail = f"said at {request.said_ms} ms, it is {now_ms} ms"
        return Outcome(OutcomeCode.EXPIRED, detail)
    if is_needed(state, record.peer):
        detail = "a peer that votes does not go by itself: maintainers remove it"
        return Outcome(OutcomeCode.INVALID_OPERATION, detail)
    if len(state.moves) >= MOVES_MAX:
        detail = f"the pins of {MOVES_MAX} peers are still being given to others"
        return Outcome(OutcomeCode.CHANGE_UNDER_WAY, detail)
    if record.goes_ms and not request.is_final:
        return Outcome(OutcomeCode.ALREADY, "the peer is leaving")
    return None


def end_leave(execution: Execution, deadline: bytes, peer: PeerId) -> None:
    """Let a peer go whose pins had their time to be given to others, unless it votes since."""
    state = execution.state
    state.put(Space.DEADLINE, deadline, None)
    record = state.peers.get(peer)
    if record is None or record.goes_ms != time_of(deadline):
        return  # Maintainers removed it meanwhile, and perhaps let it in again.
    if is_needed(state, peer):
        keep_on(execution, record)
    else:
        drop(execution, peer)


def is_needed(state: State, peer: PeerId) -> bool:
    """Return whether a peer votes, or a change of its vote is under way."""
    is_changing = any(change.peer == peer for change in state.changes)
    return is_changing or ReplicaId(peer) in state.epochs[-1].membership.replicas


def _let_go(execution: Execution, record: PeerRecord) -> None:
    if record.goes_ms:
        deadline = leave_deadline(record.peer, record.goes_ms)
        execution.state.put(Space.DEADLINE, deadline, None)
    drop(execution, record.peer)
