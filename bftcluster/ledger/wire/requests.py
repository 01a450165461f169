"""The kinds of requests: PBFT orders them as opaque bytes, the ledger executes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest, MaintainerId
from bftcluster.ledger.wire import audit_requests
from bftcluster.ledger.wire.beacon_requests import (
    BeaconRequest,
    read_complain,
    read_contribute,
    read_deal,
)
from bftcluster.ledger.wire.loan_requests import LoanRequest, parse_redeem, read_leave
from bftcluster.ledger.wire.peer_fields import (
    PeerStatement,
    StatementFormat,
    check_peer_texts,
    check_readable,
    statement_parser,
)
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.limits import (
    CID_SIZE_MAX_BYTES,
    DIGEST_SIZE_BYTES,
    EVIDENCE_SIZE_MAX_BYTES,
    INTENT_SIZE_MAX_BYTES,
    PEER_TAG_MAX_CHARS,
    PEER_TAGS_MAX,
    REPORT_ENTRIES_MAX,
    REPORT_ERROR_MAX_BYTES,
    REQUEST_SIZE_MAX_BYTES,
)
from bftcluster.signing.approvals import Approval, ApprovalCertificate, check_scheme
from bftcluster.signing.envelope import Domain, Signer
from bftcluster.signing.policies import ED25519_MULTISIG
from bftcluster.signing.threshold.share_key import Registration
from bftcluster.signing.wire import check_array, check_items, check_size, read_kind

_SUBMIT_SHAPE: Final[list[type]] = [int, bytes, str, bytes, bytes]
_VOTE_SHAPE: Final[list[type]] = [int, str, bytes, bytes, bytes]
_REPORT: Final = StatementFormat(
    RequestKind.REPORT, Domain.REPORT, [int, int, list, list, list], REQUEST_SIZE_MAX_BYTES
)
_JOIN: Final = StatementFormat(
    RequestKind.JOIN, Domain.JOIN, [int, str, list, int, int, list, bytes], REQUEST_SIZE_MAX_BYTES
)
_EVIDENCE_SHAPE: Final[list[type]] = [int, bytes]
_UINT_MAX: Final = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A complete certificate, collected off the log."""

    certificate: ApprovalCertificate

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode([int(RequestKind.SUBMIT), *self.certificate.to_wire()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """A new intent with its first approval, to collect the others on the log."""

    intent: bytes
    approval: Approval
    scheme: str = ED25519_MULTISIG
    """What was signed with the intent's digest, so that nothing else is needed to verify it."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _vote_bytes(RequestKind.PROPOSE, self.scheme, self.intent, self.approval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """One more yes to an intent on the log."""

    intent_digest: Digest
    approval: Approval
    scheme: str = ED25519_MULTISIG
    """What was signed with the digest."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _vote_bytes(RequestKind.APPROVE, self.scheme, self.intent_digest, self.approval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A no to an intent on the log, final for its maintainer, who may have approved before."""

    intent_digest: Digest
    approval: Approval
    """Made by ``signing.approvals.reject``."""
    scheme: str = ED25519_MULTISIG
    """What was signed with the digest."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _vote_bytes(RequestKind.REJECT, self.scheme, self.intent_digest, self.approval)


class HolderStatus(IntEnum):
    """What a holder last reported about a pin. The numbers are part of the wire format."""

    PINNED = 1
    PIN_ERROR = 2
    UNPINNED = 3


class ReportEntry(NamedTuple):
    """What a holder says about one pin."""

    cid: Cid
    status: HolderStatus
    error: str = ""
    """Why, if the status is ``PIN_ERROR``: at most 128 bytes of UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPinned(PeerStatement):
    """A holder's signed account of up to 1000 pins. Made by ``report``."""

    counter: int
    """Higher than in any earlier report or join of this peer."""
    entries: tuple[ReportEntry, ...]
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(PeerStatement):
    """An admitted peer announces itself. Made by ``join``."""

    counter: int
    name: str
    addresses: tuple[str, ...]
    capacity_bytes: int
    free_bytes: int
    tags: tuple[tuple[str, str], ...]
    """Sorted by key."""
    registration: Registration | None
    """The key that shares of a beacon's key are sealed for, its proof unchecked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvidence:
    """Proof that a replica contradicted itself. It speaks for itself, whoever hands it in."""

    evidence: bytes
    """``pbft.Evidence.to_bytes()``."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode([int(RequestKind.EVIDENCE), self.evidence])


def _vote_bytes(kind: RequestKind, scheme: str, subject: bytes, vote: Approval) -> bytes:
    return codec.encode([int(kind), scheme, subject, vote.maintainer, vote.signature])


Announcement: TypeAlias = (
    ReportPinned | Join | BeaconRequest | audit_requests.AuditRequest | LoanRequest
)
"""What peers sign, or who would be one."""
Request: TypeAlias = Submit | Propose | Approve | Reject | ReportEvidence | Announcement
"""A closed set: who forgets a kind somewhere is told by the type checker."""


def report(
    signer: Signer,
    *,
    cluster_id: ClusterId,
    counter: int,
    entries: tuple[ReportEntry, ...],
    free_bytes: int,
) -> ReportPinned:
    """Return the signer's report.

    Raises:
        MalformedMessageError: Over a limit of ``limits.REPORT_…``.
    """
    pinned = [e.cid for e in entries if e.status is HolderStatus.PINNED]
    unpinned = [e.cid for e in entries if e.status is HolderStatus.UNPINNED]
    errors = [[e.cid, e.error] for e in entries if e.status is HolderStatus.PIN_ERROR]
    items = [counter, free_bytes, pinned, unpinned, errors]
    return _read_report(*_REPORT.signed(signer, cluster_id, items))


def join(
    signer: Signer,
    *,
    cluster_id: ClusterId,
    counter: int,
    name: str,
    addresses: tuple[str, ...],
    capacity_bytes: int,
    free_bytes: int,
    tags: dict[str, str],
    registration: bytes = b"",
) -> Join:
    """Return the signer's announcement.

    Raises:
        MalformedMessageError: Over a limit of ``limits.PEER_…``, or an address is no multiaddr.
    """
    pairs = [[key, tags[key]] for key in sorted(tags)]
    items = [counter, name, addresses, capacity_bytes, free_bytes, pairs, registration]
    return _read_join(*_JOIN.signed(signer, cluster_id, items))


def parse_request(data: bytes) -> Request:
    """Return the request that ``data`` encodes; signatures are not checked.

    Raises:
        MalformedMessageError: It encodes none.
    """
    return read_kind(data, _PARSERS, "request", size_max_bytes=REQUEST_SIZE_MAX_BYTES)


def _parse_submit(items: list[Any]) -> Submit:
    _, intent, scheme, signers, signatures = check_array(items, _SUBMIT_SHAPE, "submit")
    return Submit(
        certificate=ApprovalCertificate(
            intent=intent, scheme=scheme, signers=signers, signatures=signatures
        )
    )


def _parse_propose(items: list[Any]) -> Propose:
    scheme, subject, approval = _parse_vote(items)
    if len(subject) > INTENT_SIZE_MAX_BYTES:
        raise MalformedMessageError(f"an intent of {len(subject)} bytes")
    return Propose(intent=subject, approval=approval, scheme=scheme)


def _parse_approve(items: list[Any]) -> Approve:
    scheme, digest, approval = _parse_vote_on_log(items)
    return Approve(intent_digest=digest, approval=approval, scheme=scheme)


def _parse_reject(items: list[Any]) -> Reject:
    scheme, digest, approval = _parse_vote_on_log(items)
    return Reject(intent_digest=digest, approval=approval, scheme=scheme)


def _parse_evidence(items: list[Any]) -> ReportEvidence:
    _, evidence = check_array(items, _EVIDENCE_SHAPE, "evidence")
    if len(evidence) > EVIDENCE_SIZE_MAX_BYTES:
        raise MalformedMessageError(f"evidence of {len(evidence)} bytes")
    return ReportEvidence(evidence=evidence)


def _parse_vote(items: list[Any]) -> tuple[str, bytes, Approval]:
    _, scheme, subject, maintainer, signature = check_array(items, _VOTE_SHAPE, "vote")
    check_scheme(scheme)
    return scheme, subject, Approval(maintainer=MaintainerId(maintainer), signature=signature)


def _parse_vote_on_log(items: list[Any]) -> tuple[str, Digest, Approval]:
    scheme, subject, approval = _parse_vote(items)
    check_size(subject, DIGEST_SIZE_BYTES, "an intent's digest")
    return scheme, Digest(subject), approval


def _read_report(payload: bytes, signature: bytes) -> ReportPinned:
    said, [counter, free_bytes, pinned, unpinned, errors] = _REPORT.read(payload, signature)
    _check_unsigned(counter, free_bytes)
    pairs = [check_array(item, [bytes, str], "report entry") for item in errors]
    for _, text in pairs:
        if len(text.encode()) > REPORT_ERROR_MAX_BYTES:
            raise MalformedMessageError(
                f"an error text of more than {REPORT_ERROR_MAX_BYTES} bytes"
            )
    held, dropped = check_items(pinned, bytes, "a CID"), check_items(unpinned, bytes, "a CID")
    entries = (
        *(ReportEntry(Cid(cid), HolderStatus.PINNED) for cid in held),
        *(ReportEntry(Cid(cid), HolderStatus.UNPINNED) for cid in dropped),
        *(ReportEntry(Cid(cid), HolderStatus.PIN_ERROR, text) for cid, text in pairs),
    )
    if len(entries) > REPORT_ENTRIES_MAX:
        raise MalformedMessageError(f"a report of {len(entries)} entries")
    for entry in entries:
        if not 1 <= len(entry.cid) <= CID_SIZE_MAX_BYTES:
            raise MalformedMessageError("a report names what is no CID")
    return ReportPinned(said=said, counter=counter, entries=entries, free_bytes=free_bytes)


def _read_join(payload: bytes, signature: bytes) -> Join:
    said, items = _JOIN.read(payload, signature)
    counter, name, addresses, capacity, free_bytes, tags, key = items
    _check_unsigned(counter, capacity, free_bytes)
    check_peer_texts(name, tuple(addresses))
    return Join(
        said=said,
        counter=counter,
        name=name,
        addresses=tuple(addresses),
        capacity_bytes=capacity,
        free_bytes=free_bytes,
        tags=_parse_tags(tags),
        registration=_parse_registration(key, said.peer),
    )


def _parse_registration(data: bytes, peer: bytes) -> Registration | None:
    if not data:
        return None
    registration = Registration.from_bytes(data)
    if registration.owner != peer:
        raise MalformedMessageError("the registration is another peer's")
    return registration


def _parse_tags(items: list[Any]) -> tuple[tuple[str, str], ...]:
    if len(items) > PEER_TAGS_MAX:
        raise MalformedMessageError(f"a peer has at most {PEER_TAGS_MAX} tags")
    tags = tuple((k, v) for k, v in (check_array(item, [str, str], "tag") for item in items))
    keys = [key for key, _ in tags]
    if sorted(set(keys)) != keys:
        raise MalformedMessageError("tags must have distinct keys, sorted")
    if any(len(text) > PEER_TAG_MAX_CHARS for pair in tags for text in pair):
        raise MalformedMessageError(f"a tag has at most {PEER_TAG_MAX_CHARS} characters")
    for key, value in tags:
        check_readable(key, "a tag")
        check_readable(value, "a tag")
    return tags


def _check_unsigned(*numbers: int) -> None:
    if not all(0 <= number < _UINT_MAX for number in numbers):
        raise MalformedMessageError("a number outside 63 bits")


_PARSERS: Final[Mapping[int, Callable[[list[Any]], Request]]] = {
    RequestKind.SUBMIT.value: _parse_submit,
    RequestKind.PROPOSE.value: _parse_propose,
    RequestKind.APPROVE.value: _parse_approve,
    RequestKind.REJECT.value: _parse_reject,
    RequestKind.REPORT.value: statement_parser(_read_report, "report"),
    RequestKind.JOIN.value: statement_parser(_read_join, "join"),
    RequestKind.EVIDENCE.value: _parse_evidence,
    RequestKind.DEAL.value: statement_parser(read_deal, "deal"),
    RequestKind.COMPLAIN.value: statement_parser(read_complain, "complain"),
    RequestKind.CONTRIBUTE.value: statement_parser(read_contribute, "contribute"),
    RequestKind.PLEDGE.value: statement_parser(audit_requests.read_pledge, "pledge"),
    RequestKind.ANSWER.value: statement_parser(audit_requests.read_answer, "answer"),
    RequestKind.ATTEST.value: statement_parser(audit_requests.read_attest, "attestation"),
    RequestKind.REDEEM.value: parse_redeem,
    RequestKind.LEAVE.value: statement_parser(read_leave, "leave"),
}
"""By the first item of a request."""
