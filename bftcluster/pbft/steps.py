"""What a replica wants done: a closed set of steps. Every shell carries all of them out.

``Ready`` is a contract, after etcd's raft: its steps are carried out one after the other, in their
order. Whoever reorders them can make a replica contradict itself after a crash.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from bftcluster.ids import Digest, ReplicaId, Seq, View
from bftcluster.pbft.messages import LogEntry
from bftcluster.pbft.verdicts import Verdict


class Lane(Enum):
    """Which stream a frame travels on, so that bulk cannot delay votes."""

    CONSENSUS = "consensus"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Outbound:
    """A frame to send."""

    to: ReplicaId | None
    """None: every voter, as the step that sends it names them."""
    lane: Lane
    frame: bytes
    beyond_voters: bool = False
    """With ``to`` None: to every other peer that the transport knows as well."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send frames. What comes before the step that appends holds no vote."""

    frames: tuple[Outbound, ...]
    voters: tuple[ReplicaId, ...]
    """Whom ``Outbound.to`` None means: all others who vote in this epoch or the next, once that is
    named, and those who left with the last epoch, for one interval more. Nobody else is sent what
    is said to all: who does not vote asks for what was decided."""


@dataclass(frozen=True, slots=True)
class Append:
    """Append records to the write-ahead log, with one fsync, before anything after this."""

    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch in its final place: to be executed, and then answered with ``BatchesExecuted``.

    They come in order, each once per process life, from the one after ``Recovered.executed``.
    """

    seq: Seq
    view: View
    batch: bytes
    """``Batch.to_bytes()``. A null batch (timestamp 0, no requests) changes nothing; a tick
    (no requests) only carries the time."""
    certificate: bytes
    """``CommitCertificate.to_bytes()``: why anybody may believe it."""

    @property
    def entry(self) -> LogEntry:
        """As the log keeps it."""
        return LogEntry(self.seq, self.batch, self.certificate)


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Please read decided entries from the log store, and answer with ``LogEntriesRead``."""

    to: ReplicaId
    first: Seq
    count: int


@dataclass(frozen=True, slots=True)
class StartStateTransfer:
    """The state itself is to be fetched: we are far behind, or nobody's log reaches back to us.

    Instead of any other; it comes again with newer states, or after a while. Once the state is
    there, a new ``Replica`` is started on it, with ``Recovered.checkpoint``.
    """

    seq: Seq
    state_root: Digest
    """What the state after ``seq`` must have."""
    certificate: bytes
    """``CheckpointCertificate.to_bytes()``, verified."""
    sources: tuple[ReplicaId, ...]
    """Who signed it, for they had that state; then others who say that they have."""


@dataclass(frozen=True, slots=True)
class FetchEpochs:
    """Ask a peer to prove who votes: it speaks of an epoch that is unknown to us."""

    of: ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something an operator may want to see in a log or a counter. Proves nothing by itself."""

    verdict: Verdict
    peer: ReplicaId | None
    """Who caused it; None if no peer did."""
    detail: str


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """Keep a proof that a member contradicted itself, and have it ordered."""

    piece: bytes
    """``Evidence.to_bytes()``."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Rewrite the write-ahead log as ``Replica.live_records()``, if that is worth while.

    A stable checkpoint or a new view has superseded much of it. A ledger whose checkpoint that is
    has to be durable before.
    """


class HaltReason(Enum):
    """What only happens when more than f replicas are faulty, or our own state is damaged."""

    CONFLICTING_DECISIONS = "two certified decisions for one sequence number"
    DIVERGED_STATE = "a quorum certified another state than ours"


@dataclass(frozen=True, slots=True)
class Halt:
    """The replica has stopped: nothing else will ever come. Keep the exhibits, and tell people."""

    reason: HaltReason
    exhibits: tuple[bytes, ...]
    """The certificates (or NEW-VIEW frame) that cannot both be."""


Step: TypeAlias = (
    Send
    | Append
    | Decided
    | ReadLog
    | StartStateTransfer
    | FetchEpochs
    | Notice
    | KeepEvidence
    | Halt
    | Compact
)


@dataclass(frozen=True, slots=True)
class Ready:
    """What to do now."""

    steps: tuple[Step, ...]
    deadline_ms: int
    """When to send a Tick, if nothing else happens before."""
