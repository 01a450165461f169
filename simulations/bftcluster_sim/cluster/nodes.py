"""One simulated peer: the real replica, write-ahead log and ledger, run as the node runs them.

A turn takes everything that has arrived, as ``bftcluster.node.replica_loop`` does: steps, then one
append for all records, then the messages, then the decisions. Between any two effects the process
can be killed; what the disk then keeps is up to the disk.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from bftcluster.errors import ClusterError
from bftcluster.ids import Digest, PeerId, ReplicaId, Seq
from bftcluster.ledger.outcomes import OutcomeCode
from bftcluster.pbft import (
    Batch,
    Decided,
    EpochStart,
    Event,
    Executed,
    Halt,
    LogRead,
    MessageReceived,
    Outbound,
    Ready,
    Recovered,
    Replica,
    Tick,
)
from bftcluster.pbft.log import batch_digest
from bftcluster.storage.wal import Wal
from bftcluster_sim.cluster.clocks import PeerClock
from bftcluster_sim.cluster.disks import Loss, SimDisk
from bftcluster_sim.cluster.signatures import SimSigner
from bftcluster_sim.cluster.states import WALL_EPOCH_MS, LedgerState

if TYPE_CHECKING:
    from bftcluster_sim.cluster.world import World

EXECUTE_DELAY_MS = 1


class CrashedError(Exception):
    """The simulated process was killed between two effects."""


class Behaviour(Protocol):
    """Decides what really leaves a peer."""

    def outbound(self, node: "Node", outbound: Outbound) -> list[tuple[int, bytes]]:
        """Return (target, frame) pairs in place of ``outbound``."""
        ...


class Node:
    """A peer with its disk, clock and process. Correct, unless ``behaviour`` is set."""

    def __init__(self, index: int, key: ReplicaId, world: "World", clock: PeerClock) -> None:
        self.index = index
        self.key = key
        self.world = world
        self.clock = clock
        self.signer = SimSigner(key)
        self.behaviour: Behaviour | None = None
        self.disk = SimDisk(self._boundary)
        self.state = LedgerState(world.founding, world.approvals)
        self.replica: Replica | None = None
        self.halt: Halt | None = None
        self.broken: str | None = None
        """Why the process refuses to start, or died of itself: None if it can run."""
        self.fuse: int | None = None
        """Boundaries left until the process is killed; None: it is not."""
        self.boundaries = 0
        """Passed so far, in all lives."""
        self.on_boundary: Callable[[str], None] | None = None
        self.loss = Loss.TORN
        """What the next power cut leaves of unsynced bytes."""
        self._wal: Wal | None = None
        self._life = 0
        self._is_paused = False
        self._held: list[Callable[[], None]] = []
        self._inbox: list[Event] = []
        self._queue: list[Decided] = []
        self._turn_planned = False
        self._deadline_ms = 0
        self._nonce = 0
        Wal.create(
            self.disk, cluster=world.founding.cluster_id, peer=PeerId(key), nonce=self._new_nonce()
        ).close()

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.replica is not None

    @property
    def is_correct(self) -> bool:
        """Whether it follows the protocol and its disk keeps promises."""
        return self.index not in self.world.faulty

    def start(self) -> None:
        """Start the process on what its disk holds."""
        if self.is_up or self.broken is not None:
            return
        self._life += 1
        world = self.world
        try:
            self._wal, recovery = Wal.open(
                self.disk, cluster=world.founding.cluster_id, peer=PeerId(self.key)
            )
            self.replica = Replica(
                me=self.key,
                cluster_id=world.founding.cluster_id,
                membership=world.membership,
                signer=self.signer,
                verifier=world.verifier,
                application=world.approvals,
                settings=world.settings,
                recovered=Recovered(
                    records=recovery.records,
                    executed=self.state.executed,
                    timestamp_ms=self.state.timestamp_ms,
                    checkpoint_root=self.state.checkpoint_root,
                    epochs=self.state.epochs[1:]
                    and (EpochStart(Seq(1), world.membership), *self.state.epochs[1:]),
                ),
            )
            world.on_start(self)
            self._carry_out([self.replica.start(**self._time())])
        except CrashedError:
            self.kill()
        except ClusterError as exc:
            self._break(f"refuses to start: {exc}")

    def kill(self) -> None:
        """End the process; unsynced bytes may be gone."""
        if self.replica is None and self._wal is None:
            return
        self.fuse = None
        self.replica = None
        self._wal = None
        self._life += 1
        self._inbox, self._queue, self._turn_planned = [], [], False
        self._is_paused, self._held = False, []
        self.disk.cut_power(self.loss, self.world.random)
        self.state.cut_power(self.world.random)
        self.world.on_killed(self)

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
            self._call_later(0, self._turn)

    def receive(self, sender: ReplicaId, frame: bytes) -> None:
        """Take a frame from the network."""
        self.take(MessageReceived(sender, frame))

    def _time(self) -> dict[str, int]:
        true_ms = self.world.clock.now_ms
        return {
            "now_ms": self.clock.now_ms(true_ms),
            "wall_ms": self.clock.wall_ms(true_ms, WALL_EPOCH_MS),
        }

    def _call_later(self, delay_ms: int, action: Callable[[], None]) -> None:
        life, clock = self._life, self.world.clock

        def act() -> None:
            if life != self._life or self.replica is None:
                return
            if self._is_paused:
                self._held.append(act)
            else:
                self._guarded(action)

        clock.call_at(clock.now_ms + delay_ms, act)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except CrashedError:
            self.kill()
        except AssertionError as exc:
            self._break(f"assertion: {exc}")

    def _break(self, why: str) -> None:
        self.kill()
        self.broken = why
        self.world.on_broken(self, why)

    def _turn(self) -> None:
        assert self.replica is not None, "turns are for running processes"
        self._turn_planned = False
        events, self._inbox = self._inbox, []
        time = self._time()
        readies = [self.replica.step(event, **time) for event in events]
        if time["now_ms"] >= self._deadline_ms:
            readies.append(self.replica.step(Tick(), **time))
        self._carry_out(readies)

    def _tick(self, deadline_ms: int) -> None:
        if deadline_ms == self._deadline_ms and not self._turn_planned:
            self._turn_planned = True
            self._turn()

    def _carry_out(self, readies: list[Ready]) -> None:
        if not readies:
            return
        for ready in readies:
            for outbound in ready.early:
                self._send(outbound)
        records = [record for ready in readies for record in ready.records]
        if records:
            assert self._wal is not None, "a running process has its log open"
            self._wal.append(records)
        for ready in readies:
            for outbound in ready.messages:
                self._send(outbound)
        for ready in readies:
            self._hand_over(ready)
        if any(ready.truncate_to is not None for ready in readies):
            self._compact()
        self._plan_tick(readies[-1].deadline_ms)

    def _hand_over(self, ready: Ready) -> None:
        for decided in ready.decided:
            self._boundary("decide")
            self.world.on_decided(self, decided)
            if not self._queue:
                self._call_later(EXECUTE_DELAY_MS, self._execute)
            self._queue.append(decided)
        for read in ready.log_reads:
            start = read.first - 1
            entries = tuple(self.state.entries[start : start + read.count])
            self.take(LogRead(read.to, entries))
        for report in ready.reports:
            self.world.on_report(self, report)
        if ready.halt is not None and self.halt is None:
            self.halt = ready.halt
            self.world.on_halt(self, ready.halt)

    def _compact(self) -> None:
        assert self.replica is not None, "a running process compacts"
        assert self._wal is not None, "a running process has its log open"
        self._boundary("sync ledger")
        self.state.sync()
        self._wal.rewrite(self.replica.live_records(), nonce=self._new_nonce())

    def _execute(self) -> None:
        queue, self._queue = self._queue, []
        for one in queue:
            self._boundary("execute")
            root, applied = self.state.execute(one)
            digest = batch_digest(one.batch)
            batch = Batch.from_bytes(one.batch)
            for request, outcome in zip(batch.requests, applied.outcomes, strict=True):
                if outcome.code is OutcomeCode.COMMITTED:
                    self.world.on_effect(self, one.seq, request)
            self.world.on_executed(self, one.seq, digest, self.state.chain)
            self._boundary("answer")
            self.world.on_answer(self, one.seq, digest)
            self.take(Executed(one.seq, root, applied.next_membership, applied.wants_batches))

    def _send(self, outbound: Outbound) -> None:
        self._boundary("send")
        if self.behaviour is not None:
            for target, frame in self.behaviour.outbound(self, outbound):
                self.world.send(self, target, frame)
            return
        for target in self.targets(outbound):
            self.world.send(self, target, outbound.frame)

    def targets(self, outbound: Outbound) -> list[int]:
        """Return the indices of those that ``outbound`` is for."""
        if outbound.to is None:
            return self.world.others[self.index]
        return self.world.instances.get(outbound.to, [])

    def _plan_tick(self, deadline_ms: int) -> None:
        self._deadline_ms = deadline_ms
        true_ms = max(self.clock.true_ms(deadline_ms), self.world.clock.now_ms)
        self._call_later(true_ms - self.world.clock.now_ms, lambda: self._tick(deadline_ms))

    def _boundary(self, name: str) -> None:
        self.boundaries += 1
        if self.on_boundary is not None:
            self.on_boundary(name)
        if self.fuse is not None and self.replica is not None:
            if self.fuse == 0:
                raise CrashedError(name)
            self.fuse -= 1

    def _new_nonce(self) -> bytes:
        self._nonce += 1
        return self._nonce.to_bytes(16, "big")

    def log_digests(self) -> dict[Seq, Digest]:
        """Return the digest of each batch in the ledger's log."""
        return self.world.digests_of(self.state.entries)
