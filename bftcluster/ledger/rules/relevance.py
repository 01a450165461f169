"""Whether ordering a request could change anything, as far as our state knows.

Asked before a request takes a place in the order, and never of a batch that others proposed: one
who lags would refuse what is right. It is answered from memory; the disk is asked only about votes
on proposals that are not at hand, and about intents as old as our memory.
"""

from typing import Final, assert_never

from bftcluster.ids import Digest, MaintainerId, PeerId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_history import Read
from bftcluster.ledger.rules.audits.lines import foreseen_refusal_of_lines
from bftcluster.ledger.rules.beacon.members import unproven
from bftcluster.ledger.rules.beacon.verdicts import foreseen_refusal
from bftcluster.ledger.rules.context import nonce_key, replayed
from bftcluster.ledger.rules.loans.departures import refusal_to_leave
from bftcluster.ledger.rules.loans.invitations import refusal_to_come
from bftcluster.ledger.rules.peer_reports import (
    refusal_by,
    refusal_by_share,
    unproven_registration,
)
from bftcluster.ledger.state.loans.invitations import invite_record
from bftcluster.ledger.state.records import ClosedProposal, ProposalRecord, proposal
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire import requests
from bftcluster.ledger.wire.audit_requests import Answer, Attest, AuditRequest, Pledge
from bftcluster.ledger.wire.beacon_requests import BeaconRequest, Complain, Contribute, Deal
from bftcluster.ledger.wire.bounded_cache import Recent
from bftcluster.ledger.wire.loan_requests import Leave, Redeem
from bftcluster.ledger.wire.operations import content_of
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.limits import COMING_MEMORY_MAX_BYTES, SHARE_USED_UP_PACE_MS
from bftcluster.signing.approvals import Intent

_COMING_SIZE_BYTES: Final = 200


class Wanting:
    """Judges requests by the state as it is. May be asked in any thread."""

    def __init__(
        self, state: State, read: Read, verifier: ApprovalVerifier, *, period_ms: int
    ) -> None:
        """Prepare.

        Args:
            state: Of the ledger, which goes on changing it.
            read: Reads rows as of the last flush, or a little later; in any thread.
            verifier: Checks points, and remembers what it found.
            period_ms: How long a period of this cluster is.
        """
        self._verifier = verifier
        self._period_ms = period_ms
        self._state = state
        self._read = read
        self._coming: Recent[Seq] = Recent(COMING_MEMORY_MAX_BYTES)
        """Proposals that were wanted when they came, so that votes on them are, until one is
        refused; and the last batch before that."""

    def refusal(self, inspected: Inspected, by_state_alone: bool = False) -> Outcome | None:
        """Return what would become of an admissible request that changes nothing, or ``None``.

        Others may not have heard of the proposals that are coming: ``by_state_alone``, a vote on
        one of those changes nothing.
        """
        match inspected.request:
            case None:
                return Outcome(OutcomeCode.MALFORMED, inspected.problem)
            case requests.Submit():
                assert inspected.intent is not None, "a parsed submit has an intent"
                return self._of_intent(inspected.intent)
            case requests.Propose() as request:
                assert inspected.intent is not None, "a parsed proposal has an intent"
                return self._of_proposal(inspected.intent, request, by_state_alone)
            case requests.Approve() | requests.Reject() as request:
                return self._of_vote(request, by_state_alone)
            case requests.Join() | requests.ReportPinned() as request:
                return self._of_announcement(inspected, request)
            case Deal() | Complain() | Contribute() as request:
                return self._of_beacon(inspected, request)
            case Pledge() | Answer() | Attest() as request:
                return self._of_audits(request)
            case Redeem() as request:
                return self._of_redemption(request)
            case Leave() as request:
                return self._of_leave(request)
            case requests.ReportEvidence():
                return self._of_evidence(inspected)
            case _ as unreachable:
                assert_never(unreachable)

    def _of_intent(self, intent: Intent) -> Outcome | None:
        refusal = self._of_terms(intent)
        if refusal is None and self._state.seen.may_have(intent):
            refusal = self._of_used(intent)
        return refusal or self._of_tried(intent)

    def _of_terms(self, intent: Intent) -> Outcome | None:
        """Judge what an intent says of policy and time."""
        policy, now_ms = self._state.policy, self._now_ms
        if (intent.policy_version, intent.policy_hash) != (policy.version, policy.hash):
            detail = f"approved under another policy than the current version {policy.version}"
            return Outcome(OutcomeCode.WRONG_POLICY, detail, intent.digest)
        if now_ms >= intent.expires_ms:
            detail = f"expired at {intent.expires_ms} ms, it is {now_ms} ms"
            return Outcome(OutcomeCode.EXPIRED, detail, intent.digest)
        return None

    def _of_used(self, intent: Intent) -> Outcome | None:
        used = self._read(Space.NONCE, nonce_key(intent))
        return None if used is None else replayed(intent.digest, Seq(int.from_bytes(used, "big")))

    def _of_tried(self, intent: Intent) -> Outcome | None:
        """Return why an intent was refused lately, if it is to wait before it is tried again."""
        return self._state.tried.refusal(intent, self._state.head)

    def _of_proposal(
        self, intent: Intent, request: requests.Propose, by_state_alone: bool
    ) -> Outcome | None:
        refusal = self._of_terms(intent) or self._of_maintainer(intent.digest, request)
        if refusal is not None:
            return refusal
        known = None
        if self._state.seen.may_have(intent):
            refusal = self._of_used(intent)
            if refusal is not None:
                return refusal
            known = self._proposal(intent.digest)
        problem = self._problem_of_share(intent, request, is_known=known is not None)
        if problem:
            return Outcome(OutcomeCode.TOO_MANY_PROPOSALS, problem, intent.digest)
        if known is not None:
            return self._of_known(known, intent.digest, request, by_state_alone)
        refusal = self._of_tried(intent)
        if refusal is not None:
            return refusal
        self._coming.put(intent.digest, self._state.head.seq, _COMING_SIZE_BYTES)
        return None

    def _problem_of_share(
        self, intent: Intent, request: requests.Propose, *, is_known: bool
    ) -> str:
        """Return why a proposal is too much for its maintainer, or nothing.

        One whose hour is used up is heard now and then, with what counts whenever it is ordered.
        """
        share, now_ms = self._state.share(request.approval.maintainer), self._now_ms
        size_bytes = len(intent.encoded)
        problem = "" if is_known else share.problem(now_ms, size_bytes)
        counts_for_a_while = (
            intent.not_before_ms <= now_ms < intent.expires_ms - SHARE_USED_UP_PACE_MS
        )
        if not problem and (is_known or not counts_for_a_while):
            problem = share.problem_of_hour(now_ms, size_bytes)
        return problem

    def _problem_of_hour(self, maintainer: MaintainerId) -> str:
        return self._state.share(maintainer).problem_of_hour(self._now_ms)

    @property
    def _now_ms(self) -> int:
        """As far as the log tells: the head of an idle cluster lags behind."""
        return self._state.head.timestamp_ms

    def _of_vote(
        self, request: requests.Approve | requests.Reject, by_state_alone: bool
    ) -> Outcome | None:
        digest = request.intent_digest
        refusal = self._of_maintainer(digest, request)
        if refusal is not None:
            return refusal
        known = self._proposal(digest)
        if known is not None:
            return self._of_known(known, digest, request, by_state_alone)
        is_coming = not by_state_alone and self._is_coming(digest)
        if is_coming and not self._problem_of_hour(request.approval.maintainer):
            return None
        detail = "no such proposal, or it expired"
        return Outcome(OutcomeCode.UNKNOWN_PROPOSAL, detail, digest)

    def _is_coming(self, digest: Digest) -> bool:
        came = self._coming.get(digest)
        return came is not None and not self._state.tried.was_refused_after(came, digest)

    def _of_maintainer(
        self, digest: Digest, request: requests.Propose | requests.Approve | requests.Reject
    ) -> Outcome | None:
        policy = self._state.policy
        if request.approval.maintainer not in policy.positions:
            detail = "the signer is not a maintainer of this cluster"
            return Outcome(OutcomeCode.UNKNOWN_MAINTAINER, detail, digest)
        if request.scheme != policy.scheme:
            detail = f"the policy takes {policy.scheme}, not {request.scheme}"
            return Outcome(OutcomeCode.BAD_SIGNATURE, detail, digest)
        return None

    def _proposal(self, digest: Digest) -> ProposalRecord | ClosedProposal | None:
        known = self._state.proposal_at_hand(digest)
        if known is not None:
            return known
        value = self._read(Space.PROPOSAL, digest)
        return None if value is None else proposal(value)

    def _of_known(
        self,
        known: ProposalRecord | ClosedProposal,
        digest: Digest,
        request: requests.Propose | requests.Approve | requests.Reject,
        by_state_alone: bool,
    ) -> Outcome | None:
        """Judge a vote on a proposal that is on the log."""
        if isinstance(known, ClosedProposal):
            return replayed(digest, known.seq)
        refusal = self._of_terms(known.intent)
        if refusal is not None:
            return refusal
        maintainer = request.approval.maintainer
        has_rejected = maintainer in known.rejecters
        if isinstance(request, requests.Reject):
            return (
                Outcome(OutcomeCode.ALREADY, "rejected already", digest) if has_rejected else None
            )
        if has_rejected:
            detail = "this maintainer rejected it, and a rejection is final"
            return Outcome(OutcomeCode.ALREADY_REJECTED, detail, digest)
        count, threshold = len(known.approvals), self._state.policy.threshold
        if maintainer not in known.approvers:
            return None
        if count >= threshold:
            refusal = self._of_tried(known.intent)
            may_wait = by_state_alone and self._state.tried.may_have_forgotten(self._state.head)
            if refusal is None and may_wait:
                detail = "the state refused it, when is not known"
                refusal = Outcome(OutcomeCode.INVALID_OPERATION, detail, digest)
            return refusal
        detail = f"{count} of {threshold} approvals"
        return Outcome(OutcomeCode.ALREADY, detail, digest, content_of(known.operation))

    def _of_announcement(
        self, inspected: Inspected, request: requests.Join | requests.ReportPinned
    ) -> Outcome | None:
        record = self._state.peers.get(request.peer)
        if record is None:
            detail = "the peer is not one of this cluster's"
            return Outcome(OutcomeCode.NOT_ADMITTED, detail)
        refusal = refusal_by(record, request, self._now_ms)
        if refusal is None and not self._verifier.is_proven(inspected):
            refusal = unproven_registration()
        return refusal

    def _of_beacon(self, inspected: Inspected, request: BeaconRequest) -> Outcome | None:
        """Judge what a member says to have a beacon; only what may count costs a pairing."""
        state = self._state
        if request.peer not in state.peers:
            return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
        head, beacon = state.head, state.beacon
        refusal = foreseen_refusal(beacon, request, Seq(head.seq + 1), head.period)
        if refusal is not None:
            return refusal
        if not self._verifier.is_proven(inspected):
            return unproven()
        if isinstance(request, Complain) and beacon.open is not None:
            self._verifier.judged_complaint(inspected, beacon.open.transcript)
        return None

    def _of_audits(self, request: AuditRequest) -> Outcome | None:
        """Judge what a peer says about audits: something of it must count."""
        state = self._state
        record = state.peers.get(request.peer)
        if record is None:
            return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
        refusal = refusal_by_share(record, self._now_ms)
        if refusal is not None:
            return refusal
        voters = state.membership_at(Seq(state.head.seq + 1))
        return foreseen_refusal_of_lines(state.audits, voters, request)

    def _of_redemption(self, request: Redeem) -> Outcome | None:
        """Judge what somebody asks who has an invitation; it costs one read of the disk."""
        state = self._state
        value = self._read(Space.INVITE, request.invite)
        record = None if value is None else invite_record(value)
        return refusal_to_come(state, record, request, self._now_ms, self._period_ms)

    def _of_leave(self, request: Leave) -> Outcome | None:
        record = self._state.peers.get(request.peer)
        if record is None:
            return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
        return refusal_to_leave(self._state, record, request, self._now_ms)

    def _of_evidence(self, inspected: Inspected) -> Outcome | None:
        assert inspected.evidence is not None, "a parsed report of evidence has evidence"
        first = inspected.evidence.first
        membership = self._state.membership_of(first.epoch)
        if membership is None or first.replica not in membership.replicas:
            detail = f"it accuses nobody who votes in epoch {first.epoch}"
            return Outcome(OutcomeCode.UNKNOWN_PEER, detail)
        if PeerId(first.replica) in self._state.accused:
            return Outcome(OutcomeCode.ALREADY, "proof against this peer is recorded already")
        return None
