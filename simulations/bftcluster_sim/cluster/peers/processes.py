"""What the parts of a simulated process ask of it, and it of the world around it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Protocol

from bftcluster.cid import Cid
from bftcluster.ids import Digest, ReplicaId, Seq
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.membership import Membership
from bftcluster.pbft import Decided, EpochStart, Event, Halt, Notice, Outbound, ReplicaSettings
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.execution import ExecutedBatch
from bftcluster_sim.cluster.environment.checkers import Integrity
from bftcluster_sim.cluster.environment.clocks import VirtualClock
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier
from bftcluster_sim.cluster.environment.traces import Trace
from bftcluster_sim.cluster.peers.audit_speech import AuditLie
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLie
from bftcluster_sim.cluster.peers.contents import SimBlocks
from bftcluster_sim.cluster.peers.databases import Checkpoint
from bftcluster_sim.cluster.peers.states import Founding, LedgerState


class ProcessCrashedError(Exception):
    """The simulated process was killed between two effects."""


class Process(Protocol):
    """One peer, as its executor, its tracker, its transfers and the world see it."""

    @property
    def world(self) -> "Surroundings":
        """Everything around it."""
        ...

    @property
    def index(self) -> int:
        """Its place among the peers."""
        ...

    @property
    def key(self) -> ReplicaId:
        """Who it is."""
        ...

    @property
    def signer(self) -> SimSigner:
        """Signs with that key."""
        ...

    @property
    def life(self) -> int:
        """Grows whenever the process starts and ends."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        ...

    @property
    def is_correct(self) -> bool:
        """Whether it follows the protocol and its disk keeps promises."""
        ...

    @property
    def state(self) -> LedgerState:
        """Its ledger, and how far it is."""
        ...

    @property
    def blocks(self) -> SimBlocks:
        """What it holds."""
        ...

    @property
    def on_executed(self) -> Callable[[ExecutedBatch], None] | None:
        """Told of each batch that was executed here, if anybody wants to know."""
        ...

    @property
    def now_ms(self) -> int:
        """What its monotonic clock shows."""
        ...

    @property
    def wall_ms(self) -> int:
        """What its wall clock shows."""
        ...

    def boundary(self, name: str) -> None:
        """Let an effect happen, unless the process dies just before it."""
        ...

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Have it do something after so many true milliseconds, unless it ends before."""
        ...

    def call_at(self, deadline_ms: int, action: Callable[[], None]) -> None:
        """Have it do something when its clock shows ``deadline_ms``."""
        ...

    def take(self, event: Event) -> None:
        """Give its replica an event."""
        ...

    def say(self, to: ReplicaId, frame: bytes) -> None:
        """Send a frame that does not come from the replica."""
        ...

    def targets(self, outbound: Outbound) -> list[int]:
        """Return the indices of those that ``outbound`` is for."""
        ...

    def reopen(self) -> None:
        """Close, and open again on what was fetched."""
        ...

    def rewrite_votes(self, records: Sequence[bytes]) -> None:
        """Replace the log of votes of a process that does not run."""
        ...


class Surroundings(Protocol):
    """The world as a process sees it: what it draws, whom it reaches, and who watches it."""

    @property
    def random(self) -> Random:
        """Decides everything that is not scripted."""
        ...

    @property
    def clock(self) -> VirtualClock:
        """True time."""
        ...

    @property
    def trace(self) -> Trace:
        """A line for each thing that happens."""
        ...

    @property
    def settings(self) -> ReplicaSettings:
        """Of every replica."""
        ...

    @property
    def log_kept_seqs(self) -> int | None:
        """Log entries kept before a stable checkpoint; None: all."""
        ...

    @property
    def tracks(self) -> bool:
        """Whether peers hold what the ledger wants them to."""
        ...

    @property
    def deals(self) -> bool:
        """Whether members deal keys and make beacons."""
        ...

    @property
    def beacon_lies(self) -> Mapping[int, BeaconLie]:
        """Of some faulty members, by index: what they say instead of what they owe a beacon."""
        ...

    @property
    def audits(self) -> bool:
        """Whether peers answer audits, drawn from those beacons."""
        ...

    @property
    def audit_lies(self) -> Mapping[int, AuditLie]:
        """Of some faulty peers, by index: what they make of audits."""
        ...

    def shows(self, reader: Process, suspect: ReplicaId, challenge: Challenge) -> bool:
        """Return whether a suspect sends the blocks of an audit to one who reads them."""
        ...

    @property
    def founding(self) -> Founding:
        """How the cluster began."""
        ...

    @property
    def approvals(self) -> ApprovalVerifier:
        """Verifies what maintainers sign."""
        ...

    @property
    def verifier(self) -> SimVerifier:
        """Verifies what peers sign."""
        ...

    @property
    def membership(self) -> Membership:
        """Who votes at first."""
        ...

    @property
    def faulty(self) -> set[int]:
        """Indices of peers of which nothing is expected."""
        ...

    @property
    def nodes(self) -> Sequence[Process]:
        """All peers."""
        ...

    @property
    def others(self) -> Sequence[list[int]]:
        """Of each peer, the indices of those with other keys."""
        ...

    @property
    def integrity(self) -> Integrity:
        """Knows what was asked for."""
        ...

    def instances_of(self, keys: tuple[ReplicaId, ...]) -> list[int]:
        """Return the indices of the peers with these keys, in order."""
        ...

    def send(self, node: Process, target: int, frame: bytes) -> None:
        """Carry a frame that left ``node``."""
        ...

    def hand_in(self, request: bytes, what: str, *, to: int) -> None:
        """Have a client hand ``request`` to one peer."""
        ...

    def fetch_delay_ms(self) -> int:
        """Return how long the next content is on its way."""
        ...

    def fetch_problem(self) -> str:
        """Return why the next content does not arrive; nothing if it does."""
        ...

    def on_start(self, node: Process) -> None:
        """A process has started."""
        ...

    def on_killed(self, node: Process) -> None:
        """A process was killed."""
        ...

    def on_stopped(self, node: Process, why: str) -> None:
        """A process could not go on."""
        ...

    def on_disk_failure(self, node: Process) -> None:
        """A call to a disk is about to fail."""
        ...

    def on_broken(self, node: Process, why: str) -> None:
        """A process died of itself."""
        ...

    def on_decided(self, node: Process, one: Decided) -> None:
        """A batch was handed out."""
        ...

    def on_effect(self, node: Process, seq: Seq, request: bytes) -> None:
        """A request changed the state."""
        ...

    def on_executed(self, node: Process, seq: Seq, digest: Digest, chain: Digest) -> None:
        """A batch was executed."""
        ...

    def on_named(self, node: Process, start: EpochStart) -> None:
        """A checkpoint named the next epoch."""
        ...

    def on_learned(self, node: Process, starts: Iterable[EpochStart]) -> None:
        """Others have proved who votes in the next epochs."""
        ...

    def on_installed(self, node: Process, checkpoint: Checkpoint) -> None:
        """A process starts on a state that it fetched."""
        ...

    def on_aimed(self, node: Process, seq: Seq, certificate: bytes) -> None:
        """A process is about to fetch a state."""
        ...

    def on_said(self, node: Process, cids: Iterable[Cid]) -> None:
        """A tracker reports that its peer holds some contents."""
        ...

    def on_blamed(self, node: Process, source: ReplicaId, verdict: Verdict) -> None:
        """A process got something wrong from a source of states."""
        ...

    def on_answer(self, node: Process, seq: Seq, digest: Digest) -> None:
        """The clients of a batch were answered."""
        ...

    def on_report(self, node: Process, report: Notice) -> None:
        """A replica told its operator something."""
        ...

    def on_halt(self, node: Process, halt: Halt) -> None:
        """A replica has stopped for good."""
        ...


class NextLook:
    """When a part of a process looks again whether it owes something."""

    def __init__(self, node: Process, look: Callable[[], None]) -> None:
        self._node = node
        self._look = look
        self._is_planned = False

    def plan(self, delay_ms: int) -> None:
        """Look after so many milliseconds, unless a look is planned already; or now, with 0."""
        if delay_ms == 0 or not self._is_planned:
            self._is_planned = True
            self._node.call_later(delay_ms, self._run)

    def _run(self) -> None:
        self._is_planned = False
        self._look()


class Behaviour(Protocol):
    """Decides what really leaves a peer."""

    def outbound(self, node: Process, outbound: Outbound) -> list[tuple[int, bytes]]:
        """Return (target, frame) pairs in place of ``outbound``."""
        ...
