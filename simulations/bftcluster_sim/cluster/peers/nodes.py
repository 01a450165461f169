"""One simulated peer: the real replica, write-ahead log and ledger, run as the node runs them.

A turn takes everything that has arrived, as in ``bftcluster.node.loops.replica``, and carries out
what the replica wants, step by step. Between any two effects the process can be killed; what the
disk then keeps is up to the disk.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from bftcluster.errors import ClusterError, FatalStorageError
from bftcluster.ids import ReplicaId, Seq
from bftcluster.ledger.wire.requests import ReportEvidence
from bftcluster.pbft import (
    Event,
    Halt,
    Lane,
    LogEntriesRead,
    MessageReceived,
    Outbound,
    Ready,
    Replica,
    RequestSubmitted,
    Step,
    steps,
)
from bftcluster.storage.wal import Wal
from bftcluster.sync.execution import ExecutedBatch
from bftcluster.sync.frames import Receiver, receiver_of
from bftcluster_sim.cluster.environment.clocks import PeerClock
from bftcluster_sim.cluster.environment.meters import WorkMeter
from bftcluster_sim.cluster.environment.signatures import SimSigner
from bftcluster_sim.cluster.peers.audits import AuditedPeer
from bftcluster_sim.cluster.peers.beacons import BeaconMember
from bftcluster_sim.cluster.peers.contents import SimBlocks
from bftcluster_sim.cluster.peers.databases import Checkpoint
from bftcluster_sim.cluster.peers.disks import Lie, SimDisk, WriteLoss
from bftcluster_sim.cluster.peers.executors import Executor
from bftcluster_sim.cluster.peers.processes import Behaviour, ProcessCrashedError, Surroundings
from bftcluster_sim.cluster.peers.states import WALL_EPOCH_MS, LedgerState
from bftcluster_sim.cluster.peers.trackers import Tracking
from bftcluster_sim.cluster.peers.transfers import Transfers
from bftcluster_sim.cluster.peers.vote_logs import VoteLogs

_REOPEN_MS = 50


class Node:
    """A peer with its disk, clock and process. Correct, unless ``behaviour`` is set."""

    def __init__(self, index: int, key: ReplicaId, world: Surroundings, clock: PeerClock) -> None:
        self.index = index
        self.key = key
        self.world = world
        self.clock = clock
        self.signer, self.meter = SimSigner(key), WorkMeter()
        self.behaviour: Behaviour | None = None
        self.replica: Replica | None = None
        self.halt: Halt | None = None
        self.broken: str | None = None
        """Why the process refuses to start, or died of itself: None if it can run."""
        self.fuse: int | None = None
        """Boundaries left until the process is killed; None: it is not."""
        self.boundaries = 0
        """Passed so far, in all lives."""
        self.on_boundary: Callable[[str], None] | None = None
        self.on_executed: Callable[[ExecutedBatch], None] | None = None
        self.loss = WriteLoss.TORN
        """What the next power cut leaves of unsynced bytes."""
        self._wal: Wal | None = None
        self.life = 0
        """Grows whenever the process starts and ends."""
        self._is_on = False
        """The process has stopped, but not the machine."""
        self._is_paused, self._turn_planned = False, False
        self._held: list[Callable[[], None]] = []
        self._inbox: list[Event] = []
        self._deadline_ms = 0
        self._voters: tuple[ReplicaId, ...] = ()
        """Whom the replica means by all."""
        self._vote_logs = VoteLogs(world.founding.cluster_id, key)
        self.tracking: Tracking | None = None
        """What looks after contents, while the process runs; None if contents play no part."""
        self.member: BeaconMember | None = None
        self._executor: Executor | None = None
        self._transfers: Transfers | None = None
        self.evidence: list[bytes] = []
        """Proofs that members contradicted themselves, kept and handed in in every life."""
        self._installed: Checkpoint | None = None
        """The last that was seen in place."""
        self._copied: Seq | None = None
        """How far the state was executed that the last copy of the whole disk holds."""
        self.is_rolled_back = False
        """A copy was put back: what it said since, and nobody heard, nobody can tell it."""
        self.disk = self._new_disk(is_born=True)
        self.state = self._new_state()
        self.blocks = SimBlocks(self.boundary)

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.replica is not None

    @property
    def has_run(self) -> bool:
        """Whether the process was ever started."""
        return self.life > 0

    @property
    def is_correct(self) -> bool:
        """Whether it follows the protocol and its disk keeps promises."""
        return self.index not in self.world.faulty

    def start(self) -> None:
        """Start the process on what its disk holds."""
        if self.is_up or self.broken is not None:
            return
        self.life += 1
        try:
            self._guarded(self._begin, " at the start")
        except ClusterError as exc:
            self._break(f"refuses to start: {exc}")

    def stop(self, why: str) -> None:
        """End the process of itself; the machine stays on, and shows what it has not written."""
        self._close()
        self.world.on_stopped(self, why)

    def reopen(self) -> None:
        """Close, and open again to install the state that was fetched."""
        self._close()
        self.world.trace.line(f"{self.index} opens again")
        life, clock = self.life, self.world.clock

        def open_again() -> None:
            if life == self.life:
                self.start()

        clock.call_at(clock.now_ms + _REOPEN_MS, open_again)

    def _close(self) -> None:
        self._end()
        self._is_on = True
        self.state.restart()

    def rewrite_votes(self, records: Sequence[bytes]) -> None:
        """Replace the log of votes of a process that does not run."""
        self._vote_logs.replace(self.disk, records)

    def wipe(self, *, keeps_votes: bool) -> None:
        """Lose the ledger; and the log of votes too, so that nothing is left but the key."""
        self.kill()
        self._copied = None
        if not keeps_votes:
            self.evidence = []
            self.disk = self._new_disk(is_born=False)
            self.blocks = SimBlocks(self.boundary)
        self.state = self._new_state()

    def copy(self) -> None:
        """Take a copy of the whole disk, ledger and votes, as a virtual machine's host does."""
        self.disk.remember()
        self._copied = self.state.executed

    def put_back(self) -> None:
        """Put the last copy back, if there is one."""
        if self._copied is not None:
            self.kill()
            self.disk.lie(Lie.ROLLBACK, self.world.random)
            self.state.lose_after(self._copied)
            self.is_rolled_back = True

    def kill(self) -> None:
        """Cut the power: unsynced bytes may be gone."""
        if self.replica is None and self._wal is None and not self._is_on:
            return
        self._end()
        self.disk.cut_power(self.loss, self.world.random)
        self.state.cut_power(self.world.random)
        self.blocks.cut_power(self.world.random)
        self.world.on_killed(self)

    def _end(self) -> None:
        self.fuse = self._wal = None
        self.replica = self.tracking = self.member = self._executor = self._transfers = None
        self._is_on = False
        self.life += 1
        self._inbox, self._turn_planned, self._is_paused, self._held = [], False, False, []

    def pause(self) -> None:
        """Stop the process, as SIGSTOP does: what arrives waits, and time goes on without it."""
        self._is_paused = self.is_up

    def resume(self) -> None:
        """Let it go on with everything that waited."""
        self._is_paused = False
        held, self._held = self._held, []
        for act in held:
            self.world.clock.call_at(self.world.clock.now_ms, act)

    def take(self, event: Event) -> None:
        """Put ``event`` into the inbox; a turn follows."""
        if self.replica is None:
            return
        self._inbox.append(event)
        if not self._turn_planned:
            self._turn_planned = True
            self.call_later(0, self._turn)

    def receive(self, sender: ReplicaId, frame: bytes) -> None:
        """Take a frame from the network."""
        transfers, receiver = self._transfers, receiver_of(frame)
        if receiver is Receiver.REPLICA or transfers is None:
            self.take(MessageReceived(sender, frame))
        elif receiver is not Receiver.RELAY and receiver is not Receiver.LIGHT_PEER:
            self.call_later(0, lambda: transfers.on_frame(sender, frame, receiver))

    @property
    def now_ms(self) -> int:
        """What the monotonic clock shows."""
        return self.clock.now_ms(self.world.clock.now_ms)

    @property
    def wall_ms(self) -> int:
        """What the wall clock shows."""
        return self.clock.wall_ms(self.world.clock.now_ms, WALL_EPOCH_MS)

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Have the process do something after so many true milliseconds, unless it ends before."""
        life, clock = self.life, self.world.clock

        def act() -> None:
            if life != self.life or self.replica is None:
                return
            if self._is_paused:
                self._held.append(act)
            else:
                self._guarded(action)

        clock.call_at(clock.now_ms + delay_ms, act)

    def _begin(self) -> None:
        world = self.world
        self.state.open()
        if self.state.installed not in (None, self._installed):
            self._installed = self.state.installed
            world.on_installed(self, self._installed)
        self._wal, records = self._vote_logs.open(self.disk)
        self.replica = Replica(
            me=self.key,
            cluster_id=world.founding.cluster_id,
            membership=world.membership,
            signer=self.signer,
            verifier=world.verifier,
            application=self.state.approvals,
            settings=world.settings,
            recovered=self.state.recovered(records, self.wall_ms),
        )
        self.member = BeaconMember(self) if world.deals else None
        self.tracking = Tracking(self, self.member) if world.tracks else None
        audited = AuditedPeer(self) if world.audits else None
        self._executor = Executor(self, self.tracking, self.member, audited)
        self._transfers = Transfers(self, self.replica)
        world.on_start(self)
        self.state.keep_link(self.replica.stable_certificate)
        self._carry_out(self.replica.start(now_ms=self.now_ms, wall_ms=self.wall_ms))
        for piece in self.evidence:
            self._accuse(piece)

    def _guarded(self, action: Callable[[], None], when: str = "") -> None:
        try:
            self.meter.run(action)
        except ProcessCrashedError:
            self.kill()
        except FatalStorageError as exc:
            self.stop(str(exc))
        except AssertionError as exc:
            self._break(f"assertion{when}: {exc}")

    def _break(self, why: str) -> None:
        self.kill()
        self.broken = why
        self.world.on_broken(self, why)

    def _turn(self) -> None:
        assert self.replica is not None, "turns are for running processes"
        self._turn_planned = False
        events, self._inbox = self._inbox, []
        self._carry_out(self.replica.step(*events, now_ms=self.now_ms, wall_ms=self.wall_ms))

    def _tick(self, deadline_ms: int) -> None:
        if deadline_ms == self._deadline_ms and not self._turn_planned:
            self._turn_planned = True
            self._turn()

    def _carry_out(self, ready: Ready) -> None:
        for step in ready.steps:
            self._do(step)
        self._plan_tick(ready.deadline_ms)

    def _do(self, step: Step) -> None:
        assert self._wal is not None, "a running process has its log open"
        assert self._executor is not None, "a running process executes"
        assert self._transfers is not None, "a running process gives and takes states"
        match step:
            case steps.Send(frames=frames, voters=voters):
                self._voters = voters
                for outbound in frames:
                    self._send(outbound)
            case steps.Append(records=records):
                self._wal.append(records)
            case steps.Decided():
                self._executor.decide(step)
            case steps.ReadLog(to=to, first=first, count=number):
                self.take(LogEntriesRead(to, self.state.database.entries(first, number)))
            case steps.StartStateTransfer():
                self._transfers.fetch(step)
            case steps.FetchEpochs(of=peer):
                self._transfers.learn_from(peer)
            case steps.Notice():
                self.world.on_report(self, step)
            case steps.KeepEvidence(piece=piece):
                self.evidence.append(piece)
                self._accuse(piece)
            case steps.Halt():
                self._stop_for_good(step)
            case steps.Compact():
                self._compact()
            case _:
                assert_never(step)

    def _accuse(self, piece: bytes) -> None:
        request = ReportEvidence(evidence=piece).to_bytes()
        self.world.integrity.asked.add(request)
        self.take(RequestSubmitted(request))

    def _stop_for_good(self, halt: Halt) -> None:
        if self.halt is None:
            self.halt = halt
            self.world.on_halt(self, halt)

    def _compact(self) -> None:
        assert self.replica is not None, "a running process compacts"
        assert self._wal is not None, "a running process has its log open"
        self.state.settle(self.replica.stable_certificate)
        self._wal.rewrite(self.replica.live_records(), nonce=self._vote_logs.nonce())

    def say(self, to: ReplicaId, frame: bytes) -> None:
        """Send a frame that does not come from the replica."""
        self._send(Outbound(to, Lane.SYNC, frame))

    def _send(self, outbound: Outbound) -> None:
        self.boundary("send")
        if self.behaviour is not None:
            for target, frame in self.behaviour.outbound(self, outbound):
                self.world.send(self, target, frame)
            return
        for target in self.targets(outbound):
            self.world.send(self, target, outbound.frame)

    def targets(self, outbound: Outbound) -> list[int]:
        """Return the indices of those that ``outbound`` is for."""
        if outbound.beyond_voters:
            return self.world.others[self.index]
        to = outbound.to
        return self.world.instances_of(self._voters if to is None else (to,))

    def _plan_tick(self, deadline_ms: int) -> None:
        self._deadline_ms = deadline_ms
        self.call_at(deadline_ms, lambda: self._tick(deadline_ms))

    def call_at(self, deadline_ms: int, action: Callable[[], None]) -> None:
        """Have the process do something when its clock shows ``deadline_ms``."""
        true_ms = self.world.clock.now_ms
        self.call_later(max(self.clock.true_ms(deadline_ms), true_ms) - true_ms, action)

    def boundary(self, name: str) -> None:
        """Let an effect happen, unless the process dies just before it.

        Raises:
            CrashedError: It does.
        """
        self.boundaries += 1
        if self.on_boundary is not None:
            self.on_boundary(name)
        if self.fuse is not None and self.replica is not None:
            if self.fuse == 0:
                raise ProcessCrashedError(name)
            self.fuse -= 1

    def _new_disk(self, *, is_born: bool) -> SimDisk:
        """Return a disk with a log of votes: a key's first one, or one that lost everything."""
        world, disk = self.world, SimDisk(self.boundary)
        disk.on_failure = lambda: world.on_disk_failure(self)
        self._vote_logs.create(disk, is_born=is_born)
        return disk

    def _new_state(self) -> LedgerState:
        world, call = self.world, self.disk.call
        return LedgerState(world.founding, world.approvals, call, log_kept_seqs=world.log_kept_seqs)
