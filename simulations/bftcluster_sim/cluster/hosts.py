"""Carrying out what a replica says: a disk that remembers, an executor that hashes, crashes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.pbft import (
    Append,
    Application,
    Batch,
    BatchesExecuted,
    Compact,
    Decided,
    EpochsLearned,
    EpochStart,
    Event,
    FetchEpochs,
    Halt,
    KeepEvidence,
    LogEntriesRead,
    LogEntry,
    MessageReceived,
    Notice,
    Outbound,
    ReadLog,
    Ready,
    Recovered,
    Replica,
    ReplicaDeadlinePassed,
    ReplicaSettings,
    Send,
    StartStateTransfer,
    Step,
    birth_records,
    decided_lately,
    request_digest,
)
from bftcluster.signing.envelope import Verifier
from bftcluster.sync.epoch_proofs import links_frame
from bftcluster.sync.frames import FetchEpochLinks
from bftcluster_sim.cluster.environment.clocks import VirtualClock
from bftcluster_sim.cluster.environment.links import RecordedLinks
from bftcluster_sim.cluster.environment.signatures import SimSigner, sim_key

WALL_EPOCH_MS = 1_700_000_000_000
DUE = b"due:"
"""A request that starts so lets something be due at the time that follows, as decimal digits."""
MEMBERS = b"members:"
"""A request that starts so asks for the replicas with the indices that follow, a byte each."""


class Effect(Enum):
    """Where a process can be interrupted: before each of these."""

    PERSIST = "persist"
    SEND = "send"
    EXECUTE = "execute"
    TRUNCATE = "truncate"


class HostCrashedError(Exception):
    """The simulated process was killed in the middle of a Ready."""


@dataclass(slots=True)
class HostDisk:
    """What survives a crash: everything in it counts as flushed."""

    records: list[bytes] = field(default_factory=list)
    """Of the write-ahead log; none on a disk that was emptied, or is another one."""
    entries: list[bytes] = field(default_factory=list)
    """The log store, from sequence number 1 on."""
    root: Digest = field(default=Digest(bytes(32)))
    """The state: a hash over everything executed."""
    timestamp_ms: int = 0
    checkpoint_root: Digest | None = None
    checkpoint: bytes | None = None
    """The certificate of a state that was fetched."""
    epochs: list[EpochStart] = field(default_factory=list)
    """Every membership the state knows; the first is that of the genesis."""
    due_ms: int | None = None
    """When the state has something to do next."""
    wanted_members: tuple[int, ...] = ()
    """The members that a request asked for since the last checkpoint."""

    def copy(self) -> "HostDisk":
        """Return what a copy of the whole disk holds."""
        records, entries, epochs = self.records[:], self.entries[:], self.epochs[:]
        return replace(self, records=records, entries=entries, epochs=epochs)


class AcceptEverything:
    """An application without opinions, but that nothing counts twice."""

    def __init__(self, entries: Sequence[bytes] = ()) -> None:
        """Prepare.

        Args:
            entries: Of the log, which grows.
        """
        self._entries = entries
        self._seen = 0
        self._executed: set[bytes] = set()

    def admissible(self, request: bytes) -> bool:
        """Return True."""
        return not request.startswith(b"inadmissible")

    def name(self, request: bytes) -> Digest:
        """Return its hash."""
        return request_digest(request)

    def is_wanted(self, request: bytes) -> bool:
        """Return whether it was not executed yet."""
        for entry in self._entries[self._seen :]:
            self._executed.update(Batch.from_bytes(LogEntry.from_bytes(entry).batch).requests)
        self._seen = len(self._entries)
        return request not in self._executed and not request.startswith(b"unwanted")

    def is_owed(self, _request: bytes) -> bool:
        """Return True."""
        return True


class Host:
    """One simulated process: a replica with its disk, executor, timer and network card."""

    def __init__(
        self,
        index: int,
        *,
        clock: VirtualClock,
        network: RecordedLinks,
        membership: Membership,
        cluster_id: ClusterId,
        verifier: Verifier,
        settings: ReplicaSettings,
    ) -> None:
        self.index = index
        self.me = ReplicaId(sim_key(index))
        self.membership = membership
        self.disk = HostDisk(
            records=list(birth_records(cluster_id, self.me)),
            epochs=[EpochStart(Seq(1), membership)],
        )
        self.hosts: list[Host] = []
        """All of them, set by the cluster."""
        self.decided: list[Decided] = []
        """Of every life, in order."""
        self.reports: list[str] = []
        self.evidence: list[bytes] = []
        self.state_fetches: list[StartStateTransfer] = []
        self.halt: Halt | None = None
        self.log_kept_from = Seq(1)
        """Entries before this one are no longer served to peers."""
        self.batches_wanted = Seq(0)
        """The state asks for batches until it has executed this one."""
        self.application: Callable[[Sequence[bytes]], Application] = AcceptEverything
        """Makes what judges requests, in each life from the log as it is."""
        self.before_effect: Callable[[Effect], None] = lambda _effect: None
        """Called before each effect; raises CrashedError to interrupt."""
        self._clock = clock
        self._network = network
        self._cluster_id = cluster_id
        self._verifier = verifier
        self._settings = settings
        self._replica: Replica | None = None
        self._life = 0

    @property
    def replica(self) -> Replica:
        """The running replica."""
        assert self._replica is not None, "the process runs"
        return self._replica

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self._replica is not None

    @property
    def log(self) -> list[bytes]:
        """The batches executed so far."""
        return [LogEntry.from_bytes(entry).batch for entry in self.disk.entries]

    @property
    def requests(self) -> list[bytes]:
        """The requests executed so far, in order."""
        return [request for batch in self.log for request in Batch.from_bytes(batch).requests]

    def start(self) -> None:
        """Start the process on what its disk holds."""
        assert not self.is_up, "one process per host"
        self._life += 1
        application = self.application(self.disk.entries)
        self._replica = Replica(
            me=self.me,
            cluster_id=self._cluster_id,
            membership=self.membership,
            signer=SimSigner(self.me),
            verifier=self._verifier,
            application=application,
            settings=self._settings,
            recovered=Recovered(
                records=tuple(self.disk.records),
                executed=Seq(len(self.disk.entries)),
                timestamp_ms=self.disk.timestamp_ms,
                checkpoint_root=self.disk.checkpoint_root,
                checkpoint=self.disk.checkpoint,
                epochs=tuple(self.disk.epochs),
                wants_batches=0 < len(self.disk.entries) < self.batches_wanted,
                due_ms=self.disk.due_ms,
                decided=decided_lately(
                    lambda first, count: self.disk.entries[first - 1 : first - 1 + count],
                    Seq(len(self.disk.entries)),
                    WALL_EPOCH_MS + self._clock.now_ms,
                    name=application.name,
                ),
            ),
        )
        now_ms = self._clock.now_ms
        self._carry_out(self._replica.start(now_ms=now_ms, wall_ms=WALL_EPOCH_MS + now_ms))

    def stop(self) -> None:
        """Kill the process; its disk stays."""
        self._replica = None
        self._life += 1

    def step(self, event: Event) -> None:
        """Hand ``event`` to the replica and carry out what it says."""
        if self._replica is None:
            return
        now_ms = self._clock.now_ms
        self._carry_out(self._replica.step(event, now_ms=now_ms, wall_ms=WALL_EPOCH_MS + now_ms))

    def receive(self, sender: ReplicaId, frame: bytes) -> None:
        """Take a frame from the network."""
        self.step(MessageReceived(sender, frame))

    def _carry_out(self, ready: Ready) -> None:
        try:
            self._carry_on(ready)
        except HostCrashedError:
            self.stop()

    def _carry_on(self, ready: Ready) -> None:
        self.halt = None
        for step in ready.steps:
            self._do(step)
        self._plan_tick(self._life, ready.deadline_ms)

    def _do(self, step: Step) -> None:
        life = self._life
        match step:
            case Send(frames=frames, voters=voters):
                for outbound in frames:
                    self.before_effect(Effect.SEND)
                    self._send(outbound, voters)
            case Append(records=records):
                self.before_effect(Effect.PERSIST)
                self.disk.records += records
            case Decided():
                self.decided.append(step)
                self._clock.call_at(self._clock.now_ms, lambda: self._execute(life, step))
            case ReadLog(to=to, first=first, count=count):
                is_kept = first >= self.log_kept_from
                entries = self.disk.entries[first - 1 : first - 1 + count] if is_kept else []
                self._later(life, LogEntriesRead(to, tuple(entries)))
            case StartStateTransfer():
                self.state_fetches.append(step)
            case FetchEpochs(of=peer):
                self._ask_epochs(life, peer)
            case Notice(verdict=verdict, detail=detail):
                self.reports.append(f"{verdict.value} {detail}")
            case KeepEvidence(piece=piece):
                self.evidence.append(piece)
            case Halt():
                self.halt = step
            case Compact():
                self.before_effect(Effect.TRUNCATE)
                self.disk.records = self.replica.live_records()
            case _:
                assert_never(step)

    def _send(self, outbound: Outbound, voters: tuple[ReplicaId, ...]) -> None:
        targets = voters if outbound.to is None else (outbound.to,)
        for host in self.hosts:
            if host is not self and (outbound.beyond_voters or host.me in targets):
                self._network.send(
                    self.index,
                    host.index,
                    outbound.frame,
                    lambda to=host, frame=outbound.frame: to.receive(self.me, frame),  # type: ignore[misc]
                )

    def _ask_epochs(self, life: int, peer: ReplicaId) -> None:
        """Ask a host who votes; what it knows by then comes back as proved."""
        [source] = [host for host in self.hosts if host.me == peer]

        def learn(starts: tuple[EpochStart, ...]) -> None:
            if life == self._life:
                self.step(EpochsLearned(starts))

        def answer() -> None:
            starts = tuple(source.disk.epochs[1:])
            if source.is_up:
                answered = links_frame(())
                self._network.send(source.index, self.index, answered, lambda: learn(starts))

        asked = FetchEpochLinks(self.replica.latest_membership.epoch).frame()
        self._network.send(self.index, source.index, asked, answer)

    def _execute(self, life: int, one: Decided) -> None:
        """Execute what was decided, in one transaction, if the process still lives."""
        if life != self._life:
            return
        try:
            self.before_effect(Effect.EXECUTE)
            self._execute_one(one)
        except HostCrashedError:
            self.stop()

    def _execute_one(self, one: Decided) -> None:
        assert one.seq == len(self.disk.entries) + 1, "batches are executed in order, once"
        self.disk.root = Digest(hashlib.sha256(self.disk.root + one.batch).digest())
        self.disk.entries.append(one.entry.to_bytes())
        batch = Batch.from_bytes(one.batch)
        self.disk.timestamp_ms = max(self.disk.timestamp_ms, batch.timestamp_ms)
        if self.disk.due_ms is not None and batch.timestamp_ms >= self.disk.due_ms:
            self.disk.due_ms = None
        for request in batch.requests:
            if request.startswith(DUE):
                self.disk.due_ms = int(request[len(DUE) :])
            if request.startswith(MEMBERS):
                self.disk.wanted_members = tuple(request[len(MEMBERS) :])
        asked = (one.seq < self.batches_wanted, self.disk.due_ms)
        if one.seq % self._settings.checkpoint_interval_seqs:
            self.step(BatchesExecuted(one.seq, None, None, *asked))
            return
        self.disk.checkpoint_root = self.disk.root
        following = self._next_membership(one.seq)
        self.step(BatchesExecuted(one.seq, self.disk.root, following, *asked))

    def _next_membership(self, seq: Seq) -> Membership | None:
        """Return the membership that some request asked for, at a checkpoint."""
        wanted, self.disk.wanted_members = self.disk.wanted_members, ()
        if not wanted:
            return None
        epoch = Epoch(self.disk.epochs[-1].membership.epoch + 1)
        following = Membership(epoch, tuple(ReplicaId(sim_key(index)) for index in wanted))
        first = Seq(seq + self._settings.checkpoint_interval_seqs + 1)
        self.disk.epochs.append(EpochStart(first, following))
        return following

    def _later(self, life: int, event: Event) -> None:
        def act() -> None:
            if life == self._life:
                self.step(event)

        self._clock.call_at(self._clock.now_ms, act)

    def _plan_tick(self, life: int, deadline_ms: int) -> None:
        self._tick_ms = deadline_ms

        def act() -> None:
            if life == self._life and self._tick_ms == deadline_ms:
                self.step(ReplicaDeadlinePassed())

        self._clock.call_at(deadline_ms, act)
