"""The rows of the state, as values: read and written here only.

A pin's row is packed, because a report looks at up to a thousand pins and must not decode the rest
for their numbers and allocations.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.ids import Digest, MaintainerId, PeerId, Seq
from bftcluster.ledger.wire.operations import Operation, PinOperation, parse_operation
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES
from bftcluster.signing.approvals import Approval, Intent

_PIN_HEADER: Final = struct.Struct(">QI")
"""The pin's number, and the size of what follows; the rest are the allocations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderReport:
    """What one holder last reported about one pin."""

    peer: PeerId
    status: HolderStatus
    reported_ms: int
    """Timestamp of the batch that ordered the report."""
    error: str = ""
    """Why, if the status is ``PIN_ERROR``."""


@dataclass(slots=True, init=False, unsafe_hash=True)
class PinRecord:
    """One entry of the pinset."""

    number: Final[int]
    """From 0, in the order of all pins there ever were; it keeps it when it is changed."""
    options: Final[PinOperation]
    """As approved; after a pin update, with the copied options; with the contents that an earlier
    pin of it named, if this one names none."""
    replication_min: Final[int]
    """Effective: -1 is everywhere, otherwise at least 1."""
    replication_max: Final[int]
    allocations: Final[tuple[PeerId, ...]]
    """Who holds it, sorted; empty is everywhere."""
    timestamp_ms: Final[int]
    """Timestamp of the batch that ordered it."""
    seq: Final[Seq]
    intent_digest: Final[Digest]
    approvers: Final[tuple[MaintainerId, ...]]
    """Sorted by key."""
    reports: Final[tuple[HolderReport, ...]]
    """Sorted by peer; not part of the row."""

    def __init__(
        self,
        *,
        number: int,
        options: PinOperation,
        replication_min: int,
        replication_max: int,
        allocations: tuple[PeerId, ...],
        timestamp_ms: int,
        seq: Seq,
        intent_digest: Digest,
        approvers: tuple[MaintainerId, ...],
        reports: tuple[HolderReport, ...] = (),
    ) -> None:
        self.number = number
        self.options = options
        self.replication_min = replication_min
        self.replication_max = replication_max
        self.allocations = allocations
        self.timestamp_ms = timestamp_ms
        self.seq = seq
        self.intent_digest = intent_digest
        self.approvers = approvers
        self.reports = reports

    @property
    def cid(self) -> Cid:
        """What is pinned."""
        return self.options.cid

    @property
    def name(self) -> str:
        """What people call it."""
        return self.options.name

    @property
    def is_everywhere(self) -> bool:
        """Whether every peer is to hold it."""
        return not self.allocations

    def is_owed_by(self, peer: PeerId) -> bool:
        """Return whether ``peer`` is to hold it."""
        return self.is_everywhere or peer in self.allocations

    @property
    def holders(self) -> tuple[PeerId, ...]:
        """Who reported to have it."""
        pinned = HolderStatus.PINNED
        return tuple(report.peer for report in self.reports if report.status is pinned)

    def to_value(self, operation: bytes = b"") -> bytes:
        """Return the row's value, which has no reports.

        Args:
            operation: The encoding of ``options``, if it is at hand.
        """
        core = codec.encode(
            [
                operation or self.options.to_bytes(),
                self.replication_min,
                self.replication_max,
                self.timestamp_ms,
                self.seq,
                self.intent_digest,
                b"".join(self.approvers),
            ]
        )
        return b"".join((_PIN_HEADER.pack(self.number, len(core)), core, *self.allocations))


def pin_record(value: bytes) -> PinRecord:
    """Return the pin in a row of ``Space.PIN``; for its reports see ``holdings.reports_of``."""
    number, allocations = number_and_allocations(value)
    operation, least, most, timestamp_ms, seq, digest, approvers = codec.decode(
        value[_PIN_HEADER.size : len(value) - len(allocations)]
    )
    options = parse_operation(operation)
    assert isinstance(options, PinOperation), "a pin's row holds a pin operation"
    return PinRecord(
        number=number,
        options=options,
        replication_min=least,
        replication_max=most,
        allocations=tuple(PeerId(key) for key in _split_keys(allocations)),
        timestamp_ms=timestamp_ms,
        seq=Seq(seq),
        intent_digest=Digest(digest),
        approvers=tuple(MaintainerId(key) for key in _split_keys(approvers)),
    )


def number_and_allocations(value: bytes) -> tuple[int, bytes]:
    """Return what a report needs of a pin's row; the allocations are ids of 32 bytes, packed."""
    number, core_size = _PIN_HEADER.unpack_from(value)
    return number, value[_PIN_HEADER.size + core_size :]


def _split_keys(data: bytes) -> list[bytes]:
    return [
        data[at : at + PUBLIC_KEY_SIZE_BYTES] for at in range(0, len(data), PUBLIC_KEY_SIZE_BYTES)
    ]


class ProposalState(IntEnum):
    """Where an intent on the log stands. The numbers are part of the state."""

    OPEN = 0
    EXECUTED = 1
    REJECTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRecord:
    """An intent that collects approvals on the log."""

    intent: Intent
    operation: Operation
    """The intent's, parsed."""
    proposer: MaintainerId
    proposed_ms: int
    approvals: tuple[Approval, ...] = ()
    """Verified, sorted by maintainer."""
    rejections: tuple[Approval, ...] = ()
    """Verified, sorted by maintainer."""

    @property
    def approvers(self) -> tuple[MaintainerId, ...]:
        """Who approved, sorted by key."""
        return tuple(approval.maintainer for approval in self.approvals)

    @property
    def rejecters(self) -> tuple[MaintainerId, ...]:
        """Who rejected, sorted by key."""
        return tuple(rejection.maintainer for rejection in self.rejections)

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode(
            [
                int(ProposalState.OPEN),
                self.intent.encoded,
                self.proposer,
                self.proposed_ms,
                [[vote.maintainer, vote.signature] for vote in self.approvals],
                [[vote.maintainer, vote.signature] for vote in self.rejections],
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedProposal:
    """What is left of a decided proposal until its intent expires; the rest is on the log."""

    state: ProposalState
    proposer: MaintainerId
    proposed_ms: int
    expires_ms: int
    seq: Seq
    """The batch that closed it."""

    def to_value(self) -> bytes:
        """Return the row's value, of less than 100 bytes."""
        return codec.encode(
            [int(self.state), self.proposer, self.proposed_ms, self.expires_ms, self.seq]
        )


def proposal(value: bytes) -> ProposalRecord | ClosedProposal:
    """Return the proposal in a row of ``Space.PROPOSAL``."""
    state, *items = codec.decode(value)
    if state != ProposalState.OPEN:
        proposer, proposed_ms, expires_ms, seq = items
        return ClosedProposal(
            state=ProposalState(state),
            proposer=MaintainerId(proposer),
            proposed_ms=proposed_ms,
            expires_ms=expires_ms,
            seq=Seq(seq),
        )
    encoded, proposer, proposed_ms, approvals, rejections = items
    intent = Intent.from_bytes(encoded)
    return ProposalRecord(
        intent=intent,
        operation=parse_operation(intent.operation),
        proposer=MaintainerId(proposer),
        proposed_ms=proposed_ms,
        approvals=_votes(approvals),
        rejections=_votes(rejections),
    )


def _votes(items: list[list[bytes]]) -> tuple[Approval, ...]:
    return tuple(Approval(maintainer=MaintainerId(key), signature=sig) for key, sig in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecord:
    """The first proof against one peer that was ordered."""

    evidence: bytes
    seq: Seq
    timestamp_ms: int

    @property
    def digest(self) -> Digest:
        """How people name it: SHA-256 of the proof, as in the names of the nodes' files."""
        return Digest(hashlib.sha256(self.evidence).digest())

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode([self.evidence, self.seq, self.timestamp_ms])


def evidence_record(value: bytes) -> EvidenceRecord:
    """Return what a row of ``Space.EVIDENCE`` holds."""
    evidence, seq, timestamp_ms = codec.decode(value)
    return EvidenceRecord(evidence=evidence, seq=Seq(seq), timestamp_ms=timestamp_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far the log was executed."""

    seq: Seq
    timestamp_ms: int
    """Of the last batch; never falls."""
    chain: Digest
    """SHA-256 over the previous chain and the last batch: commits to the whole log."""
    next_sweep_ms: int
    """When expired rows are next looked for."""
    pins: int
    """How many pins there are."""
    pins_ever: int
    """How many there ever were: the number of the next one."""
    proposals_open: int
    period: int
    """The number of the last batch's period: its timestamp over the genesis' ``period_ms``."""

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode(
            [
                self.seq,
                self.timestamp_ms,
                self.chain,
                self.next_sweep_ms,
                self.pins,
                self.pins_ever,
                self.proposals_open,
                self.period,
            ]
        )


def head(value: bytes) -> Head:
    """Return the head in the row ``b"head"`` of ``Space.META``."""
    seq, timestamp_ms, chain, next_sweep_ms, *rest = codec.decode(value)
    pins, pins_ever, proposals_open, period = rest
    return Head(
        seq=Seq(seq),
        timestamp_ms=timestamp_ms,
        chain=Digest(chain),
        next_sweep_ms=next_sweep_ms,
        pins=pins,
        pins_ever=pins_ever,
        proposals_open=proposals_open,
        period=period,
    )
