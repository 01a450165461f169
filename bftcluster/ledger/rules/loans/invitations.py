"""Lets peers in by invitations: the threshold approves terms, for whoever has the secret."""

import hashlib

from bftcluster.ids import Digest
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Approved, Execution
from bftcluster.ledger.rules.membership import grant
from bftcluster.ledger.rules.standings import problem_with_return, problem_with_room
from bftcluster.ledger.state.loans.invitations import (
    InviteRecord,
    forget_invite,
    invite_of,
    invite_record,
    put_invite,
)
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.invitation_operations import Invite, RevokeInvite
from bftcluster.ledger.wire.loan_requests import Redeem
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.limits import INVITES_MAX, PUBLIC_KEY_SIZE_BYTES
from bftcluster.reputation import period_of

_LAST_KEY = b"\xff" * (PUBLIC_KEY_SIZE_BYTES + 1)


def invite(execution: Execution, approved: Approved, operation: Invite) -> Outcome:
    """Open an invitation."""
    state = execution.state
    if operation.expires_ms <= execution.now_ms:
        detail = f"it would have expired at {operation.expires_ms} ms, it is {execution.now_ms} ms"
        return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
    if invite_of(state, operation.key) is not None:
        return approved.outcome(OutcomeCode.INVALID_OPERATION, "there is an invitation of this key")
    if len(state.first(Space.INVITE, _LAST_KEY, INVITES_MAX)) >= INVITES_MAX:
        detail = f"{INVITES_MAX} invitations have not expired yet"
        return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
    put_invite(state, InviteRecord(invite=operation, seq=execution.seq))
    return approved.outcome(OutcomeCode.COMMITTED, "invited")


def revoke(execution: Execution, approved: Approved, operation: RevokeInvite) -> Outcome:
    """Close an invitation; its row stays until it expires, to say so to who comes by it."""
    record = invite_of(execution.state, operation.key)
    if record is None or record.is_revoked:
        return approved.outcome(OutcomeCode.INVALID_OPERATION, "no such invitation is open")
    closed = InviteRecord(invite=record.invite, seq=record.seq, is_revoked=True, came=record.came)
    put_invite(execution.state, closed)
    return approved.outcome(OutcomeCode.COMMITTED, f"revoked, {len(record.came)} came by it")


def expire(execution: Execution, key: bytes) -> None:
    """Forget an invitation whose time is over."""
    value = execution.state.get(Space.INVITE, key)
    assert value is not None, "a deadline goes with its invitation"
    forget_invite(execution.state, invite_record(value))


def redeem(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Redeem
) -> Outcome:
    """Let a newcomer in with what its invitation grants, which has one use less then."""
    if request.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "made for another cluster")
    if not verifier.is_valid_announcement(inspected):
        return Outcome(OutcomeCode.BAD_SIGNATURE, "the newcomer or the invitation did not sign it")
    state, peer = execution.state, request.peer
    record = invite_of(state, request.invite)
    period_ms = execution.genesis.period_ms
    refusal = refusal_to_come(state, record, request, execution.now_ms, period_ms)
    if refusal is not None:
        return refusal
    assert record is not None, "an unknown invitation is refused"
    admission = AdmitPeer(
        peer=peer,
        name=request.name,
        addresses=request.addresses,
        votes=False,
        terms=_terms(record.invite, request.asked),
    )
    grant(execution, admission, Digest(hashlib.sha256(request.to_bytes()).digest()))
    put_invite(state, record.used_by(peer))
    return Outcome(OutcomeCode.COMMITTED, "let in")


def refusal_to_come(
    state: State, record: InviteRecord | None, request: Redeem, now_ms: int, period_ms: int
) -> Outcome | None:
    """Return why a redemption changes nothing, as far as the invitation and the members tell.

    Args:
        state: Who is in, and who may not be.
        record: The invitation, if there is one.
        request: The redemption.
        now_ms: Of the batch, or of the last one.
        period_ms: How long a period is.
    """
    is_member = request.peer in state.peers
    refusal = _refusal_by_invite(record, request, now_ms, is_member=is_member)
    if refusal is not None:
        return refusal
    assert record is not None, "an unknown invitation is refused"
    period = period_of(now_ms, period_ms)
    too_early = problem_with_return(state, request.peer, period, period_ms)
    if too_early:
        return Outcome(OutcomeCode.EVICTED, too_early)
    too_many = problem_with_room(state, is_light=record.invite.terms.is_light)
    return Outcome(OutcomeCode.INVALID_OPERATION, too_many) if too_many else None


def _refusal_by_invite(
    record: InviteRecord | None, request: Redeem, now_ms: int, *, is_member: bool
) -> Outcome | None:
    """Judge a redemption by its invitation.

    What a peer sent once is on the log for all to send again: it lets nobody in a second time.
    """
    if record is None or now_ms >= record.invite.expires_ms:
        detail = "there is no such invitation, or it expired"
        return Outcome(OutcomeCode.UNKNOWN_INVITE, detail)
    if is_member:
        return Outcome(OutcomeCode.ALREADY, "the peer is let in already")
    if request.peer in record.came:
        detail = "this peer came by this invitation before, and left"
        return Outcome(OutcomeCode.INVITE_CLOSED, detail)
    if record.is_revoked:
        return Outcome(OutcomeCode.INVITE_CLOSED, "this invitation was revoked")
    if not record.uses_left:
        detail = f"this invitation is used up: it let in {record.invite.uses}"
        return Outcome(OutcomeCode.INVITE_CLOSED, detail)
    return None


def _terms(invited: Invite, asked: PeerTerms) -> PeerTerms:
    """Return what a newcomer is let in with: what was approved, and no more than it asks for."""
    approved = invited.terms
    place = asked if invited.is_place_open else approved
    return PeerTerms(
        capacity_bytes=min(approved.capacity_bytes, asked.capacity_bytes),
        quota_class=approved.quota_class,
        domain=approved.domain or place.domain,
        operator=approved.operator or place.operator,
        is_light=approved.is_light,
    )
