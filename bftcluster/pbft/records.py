"""What a replica writes to its log before it speaks, and reads back after a crash."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from bftcluster import codec
from bftcluster.errors import CorruptRecordError, MalformedMessageError
from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import CERTIFICATE_SIZE_MAX_BYTES, FRAME_SIZE_MAX_BYTES
from bftcluster.pbft import shapes
from bftcluster.pbft.certificates import CheckpointCertificate, PreparedCertificate
from bftcluster.pbft.votes import VoteKind


class RecordKind(IntEnum):
    """The first item of a record. Numbers are never reused."""

    VOTED = 1
    BODY = 2
    PROPOSAL = 3
    PREPARED = 4
    STABLE = 5
    VIEW_CHANGED = 6
    VIEW_ENTERED = 7
    STARTED = 8
    SILENCED = 20
    PROMISED = 21


class VoteLoss(IntEnum):
    """Why votes of ours are missing."""

    NO_LOG = 1
    """Nothing was there at the start: the disk is another one, or was emptied."""
    OLD_COPY = 2
    """Others know more of us than we do: the disk was restored from an older copy."""


@dataclass(frozen=True, slots=True)
class Voted:
    """We are about to sign this: what the sign guard must remember."""

    kind: VoteKind
    epoch: Epoch
    view: View
    seq: Seq
    digest: Digest

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode(
            [RecordKind.VOTED.value, self.kind.value, self.epoch, self.view, self.seq, self.digest]
        )


@dataclass(frozen=True, slots=True)
class BodyKept:
    """A batch that we promise to hold, by voting for its digest."""

    seq: Seq
    body: bytes

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.BODY.value, self.seq, self.body])


@dataclass(frozen=True, slots=True)
class ProposalAccepted:
    """The PRE-PREPARE we made or accepted: an element of the Q set."""

    epoch: Epoch
    view: View
    seq: Seq
    digest: Digest
    signature: bytes
    """The primary's."""

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode(
            [
                RecordKind.PROPOSAL.value,
                self.epoch,
                self.view,
                self.seq,
                self.digest,
                self.signature,
            ]
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared certificate: an element of the P set."""

    certificate: PreparedCertificate

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.PREPARED.value, self.certificate.to_bytes()])


@dataclass(frozen=True, slots=True)
class Stable:
    """A stable checkpoint: everything up to it may be forgotten."""

    certificate: CheckpointCertificate

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.STABLE.value, self.certificate.to_bytes()])


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """We gave up our view: the VIEW-CHANGE we sent, to be sent again unaltered."""

    frame: bytes

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.VIEW_CHANGED.value, self.frame])


@dataclass(frozen=True, slots=True)
class ViewEntered:
    """We entered a view: the NEW-VIEW that justifies it, for ourselves and for laggards."""

    frame: bytes

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.VIEW_ENTERED.value, self.frame])


@dataclass(frozen=True, slots=True)
class Started:
    """The first record of every log: whose it is. A log without it was lost."""

    cluster_id: ClusterId
    replica: ReplicaId

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.STARTED.value, self.cluster_id, self.replica])


@dataclass(frozen=True, slots=True)
class Silenced:
    """Votes of ours are lost: we are silent up to ``until``, in later lives too."""

    until: Seq
    """The last slot that we may have voted in; 0 while that is not known yet."""
    loss: VoteLoss

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.SILENCED.value, self.until, self.loss.value])


@dataclass(frozen=True, slots=True)
class Promised:
    """A VIEW-CHANGE of ours that we forgot was shown to us: no vote in earlier views."""

    epoch: Epoch
    view: View

    def to_bytes(self) -> bytes:
        """Return the record."""
        return codec.encode([RecordKind.PROMISED.value, self.epoch, self.view])


Record: TypeAlias = (
    Started
    | Voted
    | BodyKept
    | ProposalAccepted
    | Prepared
    | Stable
    | ViewChanged
    | ViewEntered
    | Silenced
    | Promised
)


def birth_records(cluster_id: ClusterId, me: ReplicaId) -> tuple[bytes, ...]:
    """Return what the log of a replica holds whose key has signed nothing yet.

    Only who made the key knows that. A replica on an empty log has lost its memory.
    """
    return (Started(cluster_id, me).to_bytes(),)


def recovery_records(
    cluster_id: ClusterId, me: ReplicaId, proof: CheckpointCertificate | None
) -> tuple[bytes, ...]:
    """Return what the log of a replica holds that goes on from the checkpoint of a recovery.

    No vote behind the checkpoint counts any more, since each binds an epoch that is over.

    Args:
        cluster_id: Of the cluster.
        me: Whose log.
        proof: Of the checkpoint; None: it is the genesis.
    """
    stable = () if proof is None else (Stable(proof).to_bytes(),)
    return (*birth_records(cluster_id, me), *stable)


def parse_record(data: bytes) -> Record:
    """Return the record that ``data`` encodes.

    Raises:
        CorruptRecordError: Not a record this version knows. The log's checksums hold, so another
            version wrote it, or a bug did.
    """
    try:
        value = shapes.tagged(codec.decode(data, size_max_bytes=FRAME_SIZE_MAX_BYTES))
        return _parse(RecordKind(value[0]), value)
    except (MalformedMessageError, ValueError) as exc:
        raise CorruptRecordError(
            f"unknown record in the write-ahead log: {exc}",
            hint="was the log written by a newer version?",
        ) from None


def _parse(kind: RecordKind, value: list[Any]) -> Record:
    match kind:
        case RecordKind.VOTED:
            _, vote, epoch, view, seq, digest = shapes.array(value, 6, "a vote")
            return Voted(
                VoteKind(shapes.counter(vote)),
                shapes.epoch(epoch),
                shapes.view(view),
                shapes.seq(seq),
                shapes.digest(digest),
            )
        case RecordKind.BODY:
            _, seq, body = shapes.array(value, 3, "a body")
            return BodyKept(shapes.seq(seq), shapes.blob(body, FRAME_SIZE_MAX_BYTES))
        case RecordKind.PROPOSAL:
            _, epoch, view, seq, digest, signature = shapes.array(value, 6, "a proposal")
            return ProposalAccepted(
                shapes.epoch(epoch),
                shapes.view(view),
                shapes.seq(seq),
                shapes.digest(digest),
                shapes.signature(signature),
            )
        case RecordKind.PREPARED:
            _, data = shapes.array(value, 2, "a prepared certificate")
            blob = shapes.blob(data, CERTIFICATE_SIZE_MAX_BYTES)
            return Prepared(PreparedCertificate.from_bytes(blob))
        case RecordKind.STABLE:
            _, data = shapes.array(value, 2, "a stable checkpoint")
            blob = shapes.blob(data, CERTIFICATE_SIZE_MAX_BYTES)
            return Stable(CheckpointCertificate.from_bytes(blob))
        case RecordKind.VIEW_CHANGED:
            _, frame = shapes.array(value, 2, "a view change")
            return ViewChanged(shapes.blob(frame, FRAME_SIZE_MAX_BYTES))
        case RecordKind.VIEW_ENTERED:
            _, frame = shapes.array(value, 2, "a view entered")
            return ViewEntered(shapes.blob(frame, FRAME_SIZE_MAX_BYTES))
        case RecordKind.STARTED:
            _, cluster, replica = shapes.array(value, 3, "a start")
            return Started(ClusterId(shapes.digest(cluster)), shapes.replica(replica))
        case RecordKind.SILENCED:
            _, until, loss = shapes.array(value, 3, "a silence")
            return Silenced(shapes.seq(until), VoteLoss(shapes.counter(loss)))
        case RecordKind.PROMISED:
            _, epoch, view = shapes.array(value, 3, "a promise")
            return Promised(shapes.epoch(epoch), shapes.view(view))
