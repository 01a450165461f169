"""What goes into a replica, and what comes out: its whole surface to the shell.

``Ready`` is a contract, after etcd's raft: make ``records`` durable, then send ``messages``, then
execute ``decided``. Whoever reorders that can make a replica contradict itself after a crash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias

from bftcluster.ids import Digest, ReplicaId, Seq, View
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart
from bftcluster.pbft.verdicts import Report


class Lane(Enum):
    """Which stream a frame travels on, so that bulk cannot delay votes."""

    CONSENSUS = "consensus"
    SYNC = "sync"


class Application(Protocol):
    """What consensus asks of whoever executes the batches."""

    def admissible(self, request: bytes) -> bool:
        """Return False only when ``request`` is provably wrong, whatever the state.

        A primary does not propose such a request, and backups do not vote for it. Must be
        deterministic over the life of a proposal; what depends on state is judged at execution.
        """
        ...

    def is_wanted(self, request: bytes) -> bool:
        """Return whether ordering ``request`` could change anything, as far as our state knows.

        Asked before a request is taken in, passed on or proposed; never a reason to refuse a batch
        that others proposed, since one who lags would refuse what is right.
        """
        ...

    def is_owed(self, request: bytes) -> bool:
        """Return whether whoever knows the state wants ``request`` too, and nothing else besides.

        Asked of what is wanted, before a primary is blamed: it may not have heard what we heard.
        """
        ...


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A frame from the consensus or the sync stream."""

    sender: ReplicaId
    """The authenticated far end of the connection."""
    frame: bytes


@dataclass(frozen=True, slots=True)
class RequestSubmitted:
    """A client handed us a request; the primary gets it if that is not us."""

    request: bytes


@dataclass(frozen=True, slots=True)
class Tick:
    """The deadline of the last Ready has passed."""


@dataclass(frozen=True, slots=True)
class Executed:
    """The executor has made the effects of everything up to ``seq`` durable."""

    seq: Seq
    state_root: Digest | None = None
    """Of the state after ``seq``; must be given when ``seq`` is a checkpoint."""
    next_membership: Membership | None = None
    """Only at a checkpoint: who votes from one interval after ``seq`` on, in the next epoch. The
    state root must cover it."""
    wants_batches: bool = False
    """Whether the state has work to do that moves on with the batches. A primary that has nothing
    to order then orders null batches: a change of members does not wait for somebody's pins."""
    due_ms: int | None = None
    """At what time of a batch the state has something to do next, if at any: a primary that has
    nothing to order then orders a batch that is nothing but a time, a tick."""


@dataclass(frozen=True, slots=True)
class LogRead:
    """The answer to a ``LogReadRequest``."""

    to: ReplicaId
    entries: tuple[bytes, ...]
    """Consecutive, from the first one asked for; empty if the log does not hold that one."""


@dataclass(frozen=True, slots=True)
class EpochsLearned:
    """The answer to ``Ready.epochs_from``: proved, each by the voters of the one before."""

    starts: tuple[EpochStart, ...]


Event: TypeAlias = MessageReceived | RequestSubmitted | Tick | Executed | LogRead | EpochsLearned


@dataclass(frozen=True, slots=True)
class Outbound:
    """A frame to send."""

    to: ReplicaId | None
    """None: every voter, as ``Ready.voters`` names them."""
    lane: Lane
    frame: bytes
    beyond_voters: bool = False
    """With ``to`` None: to every other peer that the transport knows as well."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch in its final place."""

    seq: Seq
    view: View
    batch: bytes
    """``Batch.to_bytes()``. A null batch (timestamp 0, no requests) changes nothing; a tick
    (no requests) only carries the time."""
    certificate: bytes
    """``CommitCertificate.to_bytes()``: why anybody may believe it."""


@dataclass(frozen=True, slots=True)
class LogReadRequest:
    """Please read decided entries from the log store, and answer with ``LogRead``."""

    to: ReplicaId
    first: Seq
    count: int


@dataclass(frozen=True, slots=True)
class StateFetch:
    """The state itself is to be fetched: we are far behind, or nobody's log reaches back to us."""

    seq: Seq
    state_root: Digest
    """What the state after ``seq`` must have."""
    certificate: bytes
    """``CheckpointCertificate.to_bytes()``, verified."""
    sources: tuple[ReplicaId, ...]
    """Who signed it, for they had that state; then others who say that they have."""


class HaltReason(Enum):
    """What only happens when more than f replicas are faulty, or our own state is damaged."""

    CONFLICTING_DECISIONS = "two certified decisions for one sequence number"
    DIVERGED_STATE = "a quorum certified another state than ours"


@dataclass(frozen=True, slots=True)
class Halt:
    """The replica has stopped and will not speak again. Keep the exhibits, and tell people."""

    reason: HaltReason
    exhibits: tuple[bytes, ...]
    """The certificates (or NEW-VIEW frame) that cannot both be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What to do now, in the order of the fields."""

    early: tuple[Outbound, ...]
    """May leave at once: nothing in it is a vote."""
    records: tuple[bytes, ...]
    """To append to the write-ahead log, with one fsync, before any of ``messages`` leaves."""
    messages: tuple[Outbound, ...]
    decided: tuple[Decided, ...]
    """In order, each once per process life, from the one after ``Recovered.executed``."""
    log_reads: tuple[LogReadRequest, ...]
    truncate_to: Seq | None
    """Much of the log is superseded, by a stable checkpoint or a new view: it may be rewritten as
    ``Replica.live_records()``. Records of slots up to here are of no use any more."""
    voters: tuple[ReplicaId, ...]
    """Whom ``Outbound.to`` None means: all others who vote in this epoch or the next, once that is
    named, and those who left with the last epoch, for one interval more. Nobody else is sent what
    is said to all: who does not vote asks for what was decided."""
    deadline_ms: int
    """When to send a Tick, if nothing else happens before."""
    reports: tuple[Report, ...]
    evidence: tuple[bytes, ...]
    """``Evidence.to_bytes()`` of members that contradicted themselves, to be ordered."""
    state_fetch: StateFetch | None
    """Fetch this state, instead of any other; it comes again with newer states, or after a while.
    Once it is there, start a new ``Replica`` on it, with ``Recovered.checkpoint``."""
    epochs_from: tuple[ReplicaId, ...]
    """Ask these peers to prove who votes: they speak of an epoch that is unknown to us."""
    halt: Halt | None
    """Not None from the moment it happens: nothing else will ever come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What storage found at start."""

    records: Sequence[bytes] = ()
    """Of the write-ahead log, in the order they were appended. None at all: votes were lost."""
    executed: Seq = field(default=Seq(0))
    """The last sequence number whose effects are in the ledger store."""
    timestamp_ms: int = 0
    """The timestamp of the last batch executed, 0 if there is none."""
    checkpoint_root: Digest | None = None
    """The state root of the last checkpoint that was executed, if storage knows it."""
    checkpoint: bytes | None = None
    """The certificate of the last state that was fetched, if one was."""
    epochs: tuple[EpochStart, ...] = ()
    """All that the ledger knows, past and to come; empty while there has been one epoch only."""
    learned: tuple[EpochStart, ...] = ()
    """Those behind them that were proved in an earlier life: nobody proves them to us again."""
    wants_batches: bool = False
    """As the last ``Executed`` would say."""
    due_ms: int | None = None
    """Likewise."""
    decided: Mapping[Digest, int] = field(default_factory=dict)
    """What ``decided_lately`` finds in the log."""
