"""What replicas say to each other, besides votes, and parsing all of it.

A frame is a canonical CBOR array whose first item is its kind. Votes are frames of kinds 1 to 4.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import (
    BATCH_REQUESTS_MAX,
    CERTIFICATE_SIZE_MAX_BYTES,
    FRAME_SIZE_MAX_BYTES,
    LOG_ENTRIES_MAX,
    REQUEST_SIZE_MAX_BYTES,
    VOTE_FRAME_MAX_BYTES,
    VOUCH_VOTES_MAX,
)
from bftcluster.pbft import shapes
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.view_messages import NewView, ViewChange, parse_signed_view_change
from bftcluster.pbft.votes import Vote, VoteKind

BODY: Final = 10
REQUESTS: Final = 11
STATUS: Final = 12
FETCH_BODY: Final = 13
FETCH_ENTRIES: Final = 14
ENTRIES: Final = 15
STABLE: Final = 16
PROBE: Final = 17
VOUCH: Final = 18
FOLLOW: Final = 45
DOUBT: Final = 46


@dataclass(frozen=True, slots=True)
class Body:
    """A batch, beside its PRE-PREPARE or in answer to ``FetchBody``. Its digest names it."""

    batch: bytes

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([BODY, self.batch])


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of clients, forwarded to the primary or, when it is slow, to everybody."""

    requests: tuple[bytes, ...]
    relayed: bool
    """Whether everybody got them, because the primary is suspected."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([REQUESTS, self.relayed, list(self.requests)])


@dataclass(frozen=True, slots=True)
class Status:
    """Where its sender is: drives retransmission and catch-up. A hint that proves nothing."""

    epoch: Epoch
    view: View
    """The last view it entered."""
    target_view: View
    """The view it wants to enter; equal to ``view`` if it works there."""
    stable: Seq
    """Its stable checkpoint."""
    decided: Seq
    """It has decided everything up to here."""
    executed: Seq
    """It can serve log entries up to here."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode(
            [
                STATUS,
                self.epoch,
                self.view,
                self.target_view,
                self.stable,
                self.decided,
                self.executed,
            ]
        )


@dataclass(frozen=True, slots=True)
class Doubt:
    """The sender would give up its view if others did: it is repeated as long as that holds.

    It binds nobody, so it is not signed; who says it is what the transport vouches for.
    """

    epoch: Epoch
    view: View

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([DOUBT, self.epoch, self.view])


@dataclass(frozen=True, slots=True)
class FetchBody:
    """Please send me this batch."""

    digest: Digest

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([FETCH_BODY, self.digest])


@dataclass(frozen=True, slots=True)
class FetchEntries:
    """Please send me ``count`` log entries from ``first`` on."""

    first: Seq
    count: int

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([FETCH_ENTRIES, self.first, self.count])


@dataclass(frozen=True, slots=True)
class Follow:
    """Please send me log entries from ``first`` on, as soon as there are any."""

    first: Seq
    stable: Seq
    """The asker's stable checkpoint: if there is a later one, it is sent too."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([FOLLOW, self.first, self.stable])


@dataclass(frozen=True, slots=True)
class Entries:
    """Log entries from ``first`` on; none if the sender's log does not hold that one."""

    first: Seq
    entries: tuple[bytes, ...]
    """``LogEntry.to_bytes()`` of each."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([ENTRIES, self.first, list(self.entries)])


@dataclass(frozen=True, slots=True)
class StableCheckpoint:
    """The sender's stable checkpoint, for one who missed the votes."""

    certificate: CheckpointCertificate

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([STABLE, self.certificate.to_bytes()])


@dataclass(frozen=True, slots=True)
class Probe:
    """I have just started: which votes of mine do you hold?"""

    nonce: int
    """Tells the answers to this start from older ones."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([PROBE, self.nonce])


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouch:
    """The answer to ``Probe``: what the sender knows of the asker, and how far that reaches."""

    nonce: int
    epoch: Epoch
    """Where the sender is: it knows nothing of what was said in later ones."""
    horizon: Seq
    """The highest slot that anybody can have voted in, as far as the sender knows."""
    is_sure: bool
    """Whether the sender forgot nothing itself."""
    votes: tuple[bytes, ...]
    """Frames of the asker's latest votes, if the sender holds any; of any epoch and view."""
    view_change: ViewChange | None
    """The asker's latest, without its proofs."""
    heard: tuple[Epoch, View, Seq]
    """Epoch, target view and stable checkpoint that the asker once said it had: a mere hint."""
    stable: CheckpointCertificate | None

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        change, stable = self.view_change, self.stable
        return codec.encode(
            [
                VOUCH,
                self.nonce,
                self.epoch,
                self.horizon,
                self.is_sure,
                list(self.votes),
                b"" if change is None else codec.encode(change.to_wire(with_proofs=False)),
                list(self.heard),
                b"" if stable is None else stable.to_bytes(),
            ]
        )


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A decided batch as storage keeps it and as peers exchange it."""

    seq: Seq
    batch: bytes
    certificate: bytes
    """``CommitCertificate.to_bytes()``."""

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode([self.seq, self.batch, self.certificate])

    @classmethod
    def from_bytes(cls, data: bytes) -> "LogEntry":
        """Return the entry that ``data`` encodes; nothing is verified.

        Raises:
            MalformedMessageError: Not a log entry.
        """
        value = codec.decode(data, size_max_bytes=FRAME_SIZE_MAX_BYTES)
        seq, batch, certificate = shapes.array(value, 3, "a log entry")
        return cls(
            shapes.seq(seq),
            shapes.blob(batch, FRAME_SIZE_MAX_BYTES),
            shapes.blob(certificate, CERTIFICATE_SIZE_MAX_BYTES),
        )


Message: TypeAlias = (
    Vote
    | ViewChange
    | NewView
    | Body
    | Requests
    | Status
    | FetchBody
    | FetchEntries
    | Follow
    | Doubt
    | Entries
    | StableCheckpoint
    | Probe
    | Vouch
)

_VOTE_KINDS: Final = {kind.value: kind for kind in VoteKind}


def parse_frame(sender: ReplicaId, frame: bytes) -> Message:
    """Return the message in ``frame``. Signatures are not checked.

    Raises:
        MalformedMessageError: Not a message of this protocol.
    """
    value = shapes.tagged(codec.decode(frame, size_max_bytes=FRAME_SIZE_MAX_BYTES))
    kind = _VOTE_KINDS.get(value[0])
    if kind is not None:
        return _parse_vote(sender, kind, value)
    if value[0] < BODY:
        return _parse_view_message(value)
    return _parse_sync(value)


def _parse_view_message(value: list[Any]) -> ViewChange | NewView:
    match value[0]:
        case 5:
            return ViewChange.from_wire(value[1:], with_proofs=True)
        case 6:
            return NewView.from_wire(value[1:])
        case _:
            raise MalformedMessageError(f"unknown frame kind {value[0]}")


def _parse_sync(value: list[Any]) -> Message:
    match value[0]:
        case 10:
            _, batch = shapes.array(value, 2, "a body")
            return Body(shapes.blob(batch, FRAME_SIZE_MAX_BYTES))
        case 11:
            return _parse_requests(value)
        case 12:
            _, epoch, view, target, stable, decided, executed = shapes.array(value, 7, "a status")
            return Status(
                shapes.epoch(epoch),
                shapes.view(view),
                shapes.view(target),
                shapes.seq(stable),
                shapes.seq(decided),
                shapes.seq(executed),
            )
        case 13:
            _, digest = shapes.array(value, 2, "a body fetch")
            return FetchBody(shapes.digest(digest))
        case 14:
            _, first, count = shapes.array(value, 3, "an entry fetch")
            return FetchEntries(shapes.seq(first), shapes.counter(count))
        case 15:
            _, first, entries = shapes.array(value, 3, "log entries")
            blobs = shapes.items(entries, LOG_ENTRIES_MAX, "log entries")
            return Entries(
                shapes.seq(first), tuple(shapes.blob(e, FRAME_SIZE_MAX_BYTES) for e in blobs)
            )
        case 16:
            _, data = shapes.array(value, 2, "a stable checkpoint")
            blob = shapes.blob(data, CERTIFICATE_SIZE_MAX_BYTES)
            return StableCheckpoint(CheckpointCertificate.from_bytes(blob))
        case 17:
            _, nonce = shapes.array(value, 2, "a probe")
            return Probe(shapes.counter(nonce))
        case 18:
            return _parse_vouch(value)
        case 45:
            _, first, stable = shapes.array(value, 3, "a question of a follower")
            return Follow(shapes.seq(first), shapes.seq(stable))
        case 46:
            _, epoch, view = shapes.array(value, 3, "a doubt")
            return Doubt(shapes.epoch(epoch), shapes.view(view))
        case _:
            raise MalformedMessageError(f"unknown frame kind {value[0]}")


def _parse_vote(sender: ReplicaId, kind: VoteKind, value: list[Any]) -> Vote:
    _, epoch, view, seq, digest, signature = shapes.array(value, 6, "a vote")
    return Vote(
        kind,
        shapes.epoch(epoch),
        shapes.view(view),
        shapes.seq(seq),
        shapes.digest(digest),
        sender,
        shapes.signature(signature),
    )


def _parse_requests(value: list[Any]) -> Requests:
    _, relayed, requests = shapes.array(value, 3, "requests")
    if type(relayed) is not bool:
        raise MalformedMessageError("relayed or not")
    blobs = shapes.items(requests, BATCH_REQUESTS_MAX, "requests")
    checked = tuple(shapes.blob(request, REQUEST_SIZE_MAX_BYTES) for request in blobs)
    if not all(checked):
        raise MalformedMessageError("a request is not empty")
    return Requests(checked, relayed)


def _parse_vouch(value: list[Any]) -> Vouch:
    _, nonce, epoch, horizon, is_sure, votes, change, heard, stable = shapes.array(
        value, 9, "a vouch"
    )
    if type(is_sure) is not bool:
        raise MalformedMessageError("sure or not")
    frames = shapes.items(votes, VOUCH_VOTES_MAX, "votes")
    wish = shapes.blob(change, FRAME_SIZE_MAX_BYTES)
    said_epoch, said_view, said_stable = shapes.array(heard, 3, "what was heard")
    data = shapes.blob(stable, CERTIFICATE_SIZE_MAX_BYTES)
    return Vouch(
        nonce=shapes.counter(nonce),
        epoch=shapes.epoch(epoch),
        horizon=shapes.seq(horizon),
        is_sure=is_sure,
        votes=tuple(shapes.blob(frame, VOTE_FRAME_MAX_BYTES) for frame in frames),
        view_change=parse_signed_view_change(wish) if wish else None,
        heard=(shapes.epoch(said_epoch), shapes.view(said_view), shapes.seq(said_stable)),
        stable=CheckpointCertificate.from_bytes(data) if data else None,
    )
