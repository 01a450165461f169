"""The rows of the state, as values: read and written here only.

A pin's row is packed, because a report looks at up to a thousand pins and must not decode the rest
for their numbers and slots.
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

_PIN_HEADER: Final = struct.Struct(">QHI")
"""The pin's number, its place in the queue of repairs, and the size of what follows; the rest are
the allocations."""
_SLOT_SIZE: Final = 4
HOLDER_SIZE: Final = PUBLIC_KEY_SIZE_BYTES + _SLOT_SIZE
"""Of one allocation in a pin's row: the peer's id, and the pin's slot among its duties."""


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
    slots: Final[tuple[int, ...]]
    """Where it is among the duties of each of ``allocations``, in their order."""
    queued_as: Final[int]
    """One more than the live copies with which it waits for repair; 0 if it does not."""
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
        slots: tuple[int, ...] = (),
        queued_as: int = 0,
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
        self.slots = slots
        self.queued_as = queued_as
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
        holders = [
            peer + slot.to_bytes(_SLOT_SIZE, "big")
            for peer, slot in zip(self.allocations, self.slots, strict=True)
        ]
        return b"".join((_PIN_HEADER.pack(self.number, self.queued_as, len(core)), core, *holders))


def pin_record(value: bytes) -> PinRecord:
    """Return the pin in a row of ``Space.PIN``; for its reports see `queries`."""
    number, queued_as, core_size = _PIN_HEADER.unpack_from(value)
    holders = value[_PIN_HEADER.size + core_size :]
    operation, least, most, timestamp_ms, seq, digest, approvers = codec.decode(
        value[_PIN_HEADER.size : _PIN_HEADER.size + core_size]
    )
    options = parse_operation(operation)
    assert isinstance(options, PinOperation), "a pin's row holds a pin operation"
    starts = range(0, len(holders), HOLDER_SIZE)
    return PinRecord(
        number=number,
        options=options,
        replication_min=least,
        replication_max=most,
        allocations=tuple(PeerId(holders[at : at + PUBLIC_KEY_SIZE_BYTES]) for at in starts),
        timestamp_ms=timestamp_ms,
        seq=Seq(seq),
        intent_digest=Digest(digest),
        approvers=tuple(
            MaintainerId(approvers[at : at + PUBLIC_KEY_SIZE_BYTES])
            for at in range(0, len(approvers), PUBLIC_KEY_SIZE_BYTES)
        ),
        slots=tuple(_slot_at(holders, at) for at in starts),
        queued_as=queued_as,
    )


def number_and_holders(value: bytes) -> tuple[int, bytes]:
    """Return what a report needs of a pin's row; of the holders, `slot_of` finds one."""
    number, _, core_size = _PIN_HEADER.unpack_from(value)
    return number, value[_PIN_HEADER.size + core_size :]


def slot_of(peer: PeerId, holders: bytes) -> int | None:
    """Return a pin's slot among the duties of one of its holders; None if it is not one."""
    at = _find(peer, holders)
    return None if at is None else _slot_at(holders, at)


def with_slot(value: bytes, peer: PeerId, slot: int) -> bytes:
    """Return a pin's row with another slot at one of its holders."""
    _, holders = number_and_holders(value)
    at = _find(peer, holders)
    assert at is not None, "the pin is one of the peer's duties"
    start = len(value) - len(holders) + at + PUBLIC_KEY_SIZE_BYTES
    return value[:start] + slot.to_bytes(_SLOT_SIZE, "big") + value[start + _SLOT_SIZE :]


def _find(peer: PeerId, holders: bytes) -> int | None:
    starts = range(0, len(holders), HOLDER_SIZE)
    return next((at for at in starts if holders.startswith(peer, at)), None)


def _slot_at(holders: bytes, at: int) -> int:
    start = at + PUBLIC_KEY_SIZE_BYTES
    return int.from_bytes(holders[start : start + _SLOT_SIZE], "big")


class ProposalState(IntEnum):
    """Where an intent on the log stands. The numbers are part of the state."""

    OPEN = 0
    EXECUTED = 1
    REJECTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRecord:
    """An intent that collects approvals on the log."""

    proposer: MaintainerId
    proposed_ms: int
    intent: Intent
    operation: Operation
    """The intent's, parsed."""
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


@dataclass(frozen=True, slots=True)
class ClosedProposal:
    """What is left of a decided proposal until its intent expires; the rest is on the log.

    Its row has the fields in their order.
    """

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
        return ClosedProposal(ProposalState(state), *items)
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


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """The first proof against one peer that was ordered. Its row has the fields in their order."""

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
    return EvidenceRecord(*codec.decode(value))


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log was executed. Its row has the fields in their order."""

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
    return Head(*codec.decode(value))
