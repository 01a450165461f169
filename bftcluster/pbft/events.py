"""The events that a replica takes in. What it gives back is in ``steps``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from bftcluster.ids import Digest, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart


class Application(Protocol):
    """What consensus asks of whoever executes the batches."""

    def admissible(self, request: bytes) -> bool:
        """Return False only when ``request`` is provably wrong, whatever the state.

        A primary does not propose such a request, and backups do not vote for it. Must be
        deterministic over the life of a proposal; what depends on state is judged at execution.
        """
        ...

    def name(self, request: bytes) -> Digest:
        """Return what ``request`` is known by: SHA-256 of it, unless it has variants.

        Variants have one effect together, whichever is ordered, and each is wanted if one is; that
        one is admissible says nothing of another. Must depend on the bytes alone.
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
class ReplicaDeadlinePassed:
    """The deadline of the last ``Ready`` has passed."""


@dataclass(frozen=True, slots=True)
class BatchesExecuted:
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
class LogEntriesRead:
    """The answer to a ``ReadLog``."""

    to: ReplicaId
    entries: tuple[bytes, ...]
    """Consecutive, from the first one asked for; empty if the log does not hold that one."""


@dataclass(frozen=True, slots=True)
class EpochsLearned:
    """The answer to ``FetchEpochs``: proved, each by the voters of the one before."""

    starts: tuple[EpochStart, ...]


Event: TypeAlias = (
    MessageReceived
    | RequestSubmitted
    | ReplicaDeadlinePassed
    | BatchesExecuted
    | LogEntriesRead
    | EpochsLearned
)


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
    """As the last ``BatchesExecuted`` would say."""
    due_ms: int | None = None
    """Likewise."""
    decided: Mapping[Digest, int] = field(default_factory=dict)
    """What ``decided_lately`` finds in the log."""
