"""What replicas say to each other, besides votes and what changes the view: one class a kind.

A frame is a canonical CBOR array whose first item is its kind; ``frames`` has the table of them.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from bftcluster import codec
from bftcluster.ids import Digest, Epoch, Seq, View
from bftcluster.limits import CERTIFICATE_SIZE_MAX_BYTES, FRAME_SIZE_MAX_BYTES
from bftcluster.pbft import shapes
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import Vote

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
"""Whatever a replica takes: a closed set, that ``pbft.inbox`` hands out."""
