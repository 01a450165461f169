"""Parses and verifies each request once per process, however often it is looked at.

A request is looked at when a client brings it, when the primary proposes it and when it is
executed. Whether its signatures verify depends on its bytes and its policy alone, so the answer is
kept, within a bound, for as long as it may be asked for again.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias, assert_never

from bftcluster import codec
from bftcluster.errors import ClusterError, MalformedMessageError, SigningError
from bftcluster.ids import ClusterId, Digest, MaintainerId, ReplicaId
from bftcluster.ledger.wire.audit_requests import Answer, Attest, Pledge
from bftcluster.ledger.wire.beacon_proofs import domain_of, proves_itself
from bftcluster.ledger.wire.beacon_requests import BeaconRequest, Complain, Contribute, Deal
from bftcluster.ledger.wire.bounded_cache import Recent
from bftcluster.ledger.wire.loan_requests import Leave, Redeem, is_signed
from bftcluster.ledger.wire.operations import Operation, parse_operation
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.ledger.wire.request_weights import weight_bytes
from bftcluster.ledger.wire.requests import (
    Announcement,
    Approve,
    Join,
    Propose,
    Reject,
    ReportEvidence,
    ReportPinned,
    Request,
    Submit,
    parse_request,
)
from bftcluster.limits import VERIFIED_LARGE_MEMORY_MAX_BYTES, VERIFIED_MEMORY_MAX_BYTES
from bftcluster.membership import Membership
from bftcluster.pbft.evidence import Evidence, verify_evidence
from bftcluster.pbft.pool import request_digest
from bftcluster.signing.approvals import Intent, is_valid_vote
from bftcluster.signing.envelope import Domain, Verifier, is_valid
from bftcluster.signing.policies import Policy
from bftcluster.signing.schemes import SCHEMES, verify_signatures
from bftcluster.signing.threshold.complaints import judge_complaint
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.library import best_curve
from bftcluster.signing.threshold.transcript import Transcript
from bftcluster.signing.threshold.verdicts import ComplaintVerdict

_LARGE_BYTES: Final = 8 << 10
"""A request that is longer is remembered apart, so that many of them crowd out no ordinary one."""
_SUBMIT: Final = int(RequestKind.SUBMIT)
_SUBMIT_STRINGS: Final = 4
"""Intent, scheme, signers, signatures."""
_EVIDENCE: Final = int(RequestKind.EVIDENCE)


class Inspected:
    """A request's parsed form, and what is known about its signatures so far."""

    __slots__ = (
        "approvers",
        "complaint",
        "culprit",
        "evidence",
        "intent",
        "is_proven",
        "is_valid",
        "name",
        "operation",
        "problem",
        "request",
    )

    def __init__(
        self,
        request: Request | None,
        problem: str = "",
        *,
        intent: Intent | None = None,
        operation: Operation | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        self.request = request
        """``None`` if the bytes are none."""
        self.problem = problem
        """Why not."""
        self.intent = intent
        """Of a ``Submit`` or ``Propose``."""
        self.operation = operation
        """Of the intent."""
        self.approvers: tuple[MaintainerId, ...] | SigningError | None = None
        """Of a ``Submit``: who approved or what is wrong; ``None`` until verified."""
        self.is_valid: bool | None = None
        """Of the others: whether the one signature verifies; ``None`` until verified."""
        self.is_proven: bool | None = None
        """Of what peers say: whether the points in it are right; ``None`` until it was looked."""
        self.complaint: ComplaintVerdict | None = None
        """Of a ``Complain``: what it shows; ``None`` until judged."""
        self.evidence = evidence
        """Of a ``ReportEvidence``."""
        self.name: Digest | None = None
        """What it goes by while it is under way; ``None`` until asked."""
        self.culprit: ReplicaId | ClusterError | None = None
        """Of a ``ReportEvidence``: whom it convicts or what is wrong; ``None`` until verified."""

    @property
    def proposed(self) -> tuple[Intent, Operation]:
        """The intent of a ``Submit`` or ``Propose``, and its operation."""
        assert self.intent is not None, "a parsed submit or proposal has an intent"
        assert self.operation is not None, "an inspected intent has an operation"
        return self.intent, self.operation


Judge: TypeAlias = Callable[[Inspected, bool], Outcome | None]
"""What the state thinks of a request; if so asked, without what was heard besides."""


class ApprovalVerifier:
    """What ingress, agreement and execution share. Safe to call from several threads."""

    def __init__(
        self,
        cluster_id: ClusterId,
        verifier: Verifier,
        *,
        curve: Curve | None = None,
        memory_max_bytes: int = VERIFIED_MEMORY_MAX_BYTES,
        large_memory_max_bytes: int = VERIFIED_LARGE_MEMORY_MAX_BYTES,
    ) -> None:
        self.cluster_id = cluster_id
        self.curve = curve or best_curve()
        """What points of holders and dealers are checked with."""
        self._verifier = verifier
        self._policies: dict[tuple[int, Digest], Policy] = {}
        self._inspected: Recent[Inspected] = Recent(memory_max_bytes)
        self._large: Recent[Inspected] = Recent(large_memory_max_bytes)
        self._judge: Judge | None = None

    def sibling(self) -> "ApprovalVerifier":
        """Return a verifier for another state in this process, as simulations have many.

        It shares what is known of requests and policies, and asks its own ledger what is wanted.
        """
        other = ApprovalVerifier(self.cluster_id, self._verifier, curve=self.curve)
        other._policies = self._policies
        other._inspected, other._large = self._inspected, self._large
        return other

    def learn(self, policy: Policy) -> None:
        """Verify what names this policy from now on; the ledger calls it for policies in force."""
        self._policies[policy.version, policy.hash] = policy

    def follow(self, judge: Judge) -> None:
        """Ask ``judge`` from now on what the state thinks of a request; the ledger calls it."""
        self._judge = judge

    def inspect(self, request: bytes) -> Inspected:
        """Return the parsed request; never raises."""
        memory = self._memory_of(request)
        inspected = memory.get(request)
        if inspected is None:
            inspected = _parse(request)
            memory.put(
                request, inspected, weight_bytes(request, inspected.request, inspected.operation)
            )
        return inspected

    def _memory_of(self, request: bytes) -> Recent[Inspected]:
        return self._inspected if len(request) <= _LARGE_BYTES else self._large

    def admissible(self, request: bytes) -> bool:
        """Return whether ``request`` deserves a place in the order.

        False only for what no state could accept: no request at all, another cluster's, a signature
        that is provably bad. What depends on the state, an unknown policy included, is admissible
        and judged at execution.
        """
        inspected = self.inspect(request)
        match inspected.request:
            case None:
                return False
            case Submit():
                policy = self._policy_of(inspected)
                if policy is None:
                    return self._is_ours(inspected)
                return isinstance(self.approvers(inspected, policy), tuple)
            case Propose(approval=approval):
                if not (self._is_ours(inspected) and self.is_valid_vote(inspected)):
                    return False
                policy = self._policy_of(inspected)
                if policy is None:
                    return True
                return approval.maintainer in policy.positions
            case Approve() | Reject():
                return self.is_valid_vote(inspected)
            case ReportPinned() | Join() | Deal() | Complain() | Contribute() as said:
                ours = said.cluster_id == self.cluster_id
                is_valid = ours and self.is_valid_announcement(inspected)
                if is_valid and not isinstance(said, ReportPinned):
                    self.refusal(request)  # Pairings, if it is wanted; execution finds them done.
                return is_valid
            case Pledge() | Answer() | Attest() | Redeem() | Leave() as said:
                return said.cluster_id == self.cluster_id and self.is_valid_announcement(inspected)
            case ReportEvidence():
                return not isinstance(self.culprit(inspected), ClusterError)
            case _ as unreachable:
                assert_never(unreachable)

    def name(self, request: bytes) -> Digest:
        """Return what a request goes by while it is under way.

        Anybody can make variants of some: another choice of an intent's signers, another proof
        against the same replica. Their effect is the same, so one name stands for all of them.
        Asked before there is known to be room for the request: it is cheap, and remembers nothing.
        """
        inspected = self._memory_of(request).get(request)
        if inspected is None:
            return _name(request)
        if inspected.name is None:
            inspected.name = _name(request)
        return inspected.name

    def is_wanted(self, request: bytes) -> bool:
        """Return whether ordering ``request`` could change anything, as far as our state knows."""
        return self.refusal(request) is None

    def refusal(self, request: bytes) -> Outcome | None:
        """Return what would become of an admissible request that is not wanted, else ``None``."""
        return None if self._judge is None else self._judge(self.inspect(request), False)

    def is_owed(self, request: bytes) -> bool:
        """Return whether that is so for everybody who knows the state, whatever else was heard."""
        return self._judge is None or self._judge(self.inspect(request), True) is None

    def approvers(
        self, inspected: Inspected, policy: Policy
    ) -> tuple[MaintainerId, ...] | SigningError:
        """Return who approved a ``Submit``, under the policy its intent names, or what is wrong."""
        if inspected.approvers is None:
            assert isinstance(inspected.request, Submit), "only a submit carries a certificate"
            assert inspected.intent is not None, "a parsed submit has an intent"
            certificate = inspected.request.certificate
            try:
                inspected.approvers = verify_signatures(
                    certificate, inspected.intent, policy, self._verifier
                )
            except SigningError as exc:
                inspected.approvers = exc
        return inspected.approvers

    def is_valid_vote(self, inspected: Inspected) -> bool:
        """Return whether the vote of a ``Propose``, ``Approve`` or ``Reject`` verifies.

        What was signed is in the request: neither state nor policy is needed.
        """
        if inspected.is_valid is None:
            request = inspected.request
            assert isinstance(request, Propose | Approve | Reject), "only these carry one vote"
            domain = Domain.REJECTION if isinstance(request, Reject) else Domain.APPROVAL
            inspected.is_valid = request.scheme in SCHEMES and is_valid_vote(
                request.approval, domain, _subject(inspected), request.scheme, self._verifier
            )
        return inspected.is_valid

    def is_valid_announcement(self, inspected: Inspected) -> bool:
        """Return whether an announcement was signed by the peer that it names."""
        if inspected.is_valid is None:
            request = inspected.request
            assert isinstance(request, Announcement), "only peers announce"
            if isinstance(request, Redeem | Leave):
                inspected.is_valid = is_signed(self._verifier, request)
            else:
                signed = (request.peer, request.payload, request.signature)
                inspected.is_valid = is_valid(self._verifier, domain_of(request), *signed)
        return inspected.is_valid

    def is_proven(self, inspected: Inspected) -> bool:
        """Return whether the points that a peer sent are points, and it has the secrets to them.

        Takes pairings: whoever asks has seen that the rest of the request counts.
        """
        if inspected.is_proven is None:
            request = inspected.request
            assert isinstance(request, ReportPinned | Join | BeaconRequest), "of what peers say"
            inspected.is_proven = proves_itself(self.curve, request)
        return inspected.is_proven

    def judged_complaint(self, inspected: Inspected, transcript: Transcript) -> ComplaintVerdict:
        """Return what a complaint shows that ``foreseen_complaint`` has nothing against."""
        request = inspected.request
        assert isinstance(request, Complain), "only a complaint is judged as one"
        dealing = transcript.dealing_of(request.complaint.dealer)
        assert dealing is not None, "a complaint that is heard is about a dealing"
        if inspected.complaint is None:
            inspected.complaint = judge_complaint(
                self.curve, transcript.ceremony, dealing, request.complaint
            )
        return inspected.complaint

    def culprit(self, inspected: Inspected) -> ReplicaId | ClusterError:
        """Return whom evidence convicts, if it was a member of the epoch, or what is wrong."""
        if inspected.culprit is None:
            request, evidence = inspected.request, inspected.evidence
            assert isinstance(request, ReportEvidence), "only a report of evidence carries any"
            assert evidence is not None, "a parsed report of evidence has evidence"
            alone = Membership(evidence.first.epoch, (evidence.first.replica,))
            try:
                inspected.culprit = verify_evidence(
                    request.evidence, alone, self.cluster_id, self._verifier
                )
            except ClusterError as exc:
                inspected.culprit = exc
        return inspected.culprit

    def _policy_of(self, inspected: Inspected) -> Policy | None:
        """Return the policy an intent of ours names, if it was learnt."""
        intent = inspected.intent
        assert intent is not None, "a parsed submit or proposal has an intent"
        if intent.cluster_id != self.cluster_id:
            return None
        return self._policies.get((intent.policy_version, intent.policy_hash))

    def _is_ours(self, inspected: Inspected) -> bool:
        assert inspected.intent is not None, "a parsed submit or proposal has an intent"
        return inspected.intent.cluster_id == self.cluster_id


def _subject(inspected: Inspected) -> Digest:
    """Return the digest of the intent that a vote is about."""
    request = inspected.request
    if isinstance(request, Approve | Reject):
        return request.intent_digest
    assert inspected.intent is not None, "a parsed proposal has an intent"
    return inspected.intent.digest


def _name(data: bytes) -> Digest:
    """Return a request's name. Nothing long is decoded for it: whoever wrote it may not be right.

    What is no request may have the name of one, as a certificate with a wrong signature has.
    """
    kind, strings = codec.first_number(data), codec.strings_after_number(data)
    if kind == _SUBMIT and len(strings) == _SUBMIT_STRINGS:
        return request_digest(b"intent" + strings[0])
    if kind == _EVIDENCE and len(strings) == 1:
        with suppress(MalformedMessageError):
            accused = Evidence.from_bytes(strings[0]).first
            epoch = accused.epoch.to_bytes(8, "big")
            return request_digest(b"evidence" + epoch + accused.replica)
    return request_digest(data)


def _parse(data: bytes) -> Inspected:
    try:
        request = parse_request(data)
        match request:
            case Submit(certificate=certificate):
                return _inspect_intent(request, certificate.intent)
            case Propose(intent=encoded):
                return _inspect_intent(request, encoded)
            case ReportEvidence(evidence=data):
                return Inspected(request, evidence=Evidence.from_bytes(data))
            case Approve() | Reject() | ReportPinned() | Join() | Redeem() | Leave():
                return Inspected(request)
            case Deal() | Complain() | Contribute():
                return Inspected(request)
            case Pledge() | Answer() | Attest():
                return Inspected(request)
            case _ as unreachable:
                assert_never(unreachable)
    except MalformedMessageError as exc:
        return Inspected(None, str(exc))


def _inspect_intent(request: Submit | Propose, encoded: bytes) -> Inspected:
    intent = Intent.from_bytes(encoded)
    operation = parse_operation(intent.operation)
    if isinstance(operation, RecoverCluster):
        return Inspected(None, "a recovery is not ordered: it is applied to peers that stand")
    return Inspected(request, intent=intent, operation=operation)
