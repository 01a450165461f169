"""A whole cluster in one process: the real PBFT core and the real ledger, and a network of queues.

No clock, no disk, no threads: what happens is decided by the order of calls and one seed.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from random import Random
from typing import assert_never

from benchmarks.workload import key
from bftcluster import pbft
from bftcluster.ids import PeerId, ReplicaId, Seq
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.node.ingress.inbox import EVENTS_PER_TURN_MAX
from bftcluster.signing.envelope import Verifier


class Peer:
    """One replica, its ledger and its log, without a disk under them."""

    def __init__(
        self, index: int, genesis: Genesis, verifier: Verifier, settings: pbft.ReplicaSettings
    ) -> None:
        signer = key(f"peer {index}")
        self.id = ReplicaId(PeerId(signer.public_key))
        self.approvals = ApprovalVerifier(genesis.cluster_id, verifier)
        self.store = MemoryStateStore()
        self.store.flush(genesis_delta(genesis))
        self.ledger = Ledger(genesis, self.store, self.approvals)
        self.replica = pbft.Replica(
            me=self.id,
            cluster_id=genesis.cluster_id,
            membership=genesis.membership(),
            signer=signer,
            verifier=verifier,
            application=self.approvals,
            settings=settings,
            recovered=pbft.Recovered(records=pbft.birth_records(genesis.cluster_id, self.id)),
        )
        self.entries: list[bytes] = []
        self.roots: dict[Seq, bytes] = {}
        self.deadline_ms = 0

    def execute(self, decided: Sequence[pbft.Decided]) -> list[pbft.Event]:
        """Execute decided batches and return what the replica has to hear about it."""
        if not decided:
            return []
        executed = self.ledger.execute([_ordered(each) for each in decided])
        self.store.flush(executed.delta)
        self.entries += [_entry(each) for each in decided]
        self.roots.update(executed.roots)
        events: list[pbft.Event] = [
            pbft.BatchesExecuted(seq, root) for seq, root in sorted(executed.roots.items())
        ]
        if decided[-1].seq not in executed.roots:
            events.append(pbft.BatchesExecuted(decided[-1].seq))
        return events

    def state(self) -> Sequence[object]:
        """Return the replicated rows. How the tree is stored depends on when it was flushed."""
        return self.store.state_rows()

    def read_log(self, request: pbft.ReadLog) -> pbft.Event:
        """Answer a replica that serves somebody behind it."""
        start = request.first - 1
        wanted = tuple(self.entries[start : start + request.count])
        return pbft.LogEntriesRead(request.to, wanted)


class MemoryCluster:
    """Peers and the events that are on their way to them."""

    def __init__(
        self,
        genesis: Genesis,
        verifier: Verifier,
        *,
        settings: pbft.ReplicaSettings | None = None,
        random: Random | None = None,
        loss_percent: int = 0,
    ) -> None:
        settings = settings or pbft.ReplicaSettings(
            checkpoint_interval_seqs=genesis.checkpoint_interval
        )
        self.peers = [
            Peer(index, genesis, verifier, settings) for index in range(len(genesis.peers))
        ]
        self.now_ms = 0
        self._wall_start_ms = genesis.created_ms + 60_000
        self._random = random
        self._loss_percent = loss_percent
        self._queues: list[deque[pbft.Event]] = [deque() for _ in self.peers]
        self._indices = {peer.id: index for index, peer in enumerate(self.peers)}
        self._trace = hashlib.sha256()
        for index, peer in enumerate(self.peers):
            self._carry_out(index, peer.replica.start(**self._time()))

    def submit(self, requests: Iterable[bytes], *, to: int = 0) -> None:
        """Hand requests to one peer."""
        self._queues[to].extend(pbft.RequestSubmitted(request) for request in requests)

    def settle(self) -> None:
        """Deliver until nothing is on its way. Time stands still."""
        while self._deliver():
            pass

    def run_until(self, pins: int, *, limit_ms: int) -> None:
        """Deliver, and let time pass when nothing is on its way, until every peer has the pins."""
        while any(peer.ledger.head.pins < pins for peer in self.peers):
            if not self._deliver():
                self._let_time_pass()
            assert self.now_ms <= limit_ms, "the cluster makes progress in time"

    def agrees(self) -> bool:
        """Return whether all peers that are equally far have the same state and roots."""
        states: dict[Seq, object] = {}
        for peer in self.peers:
            state = (peer.state(), peer.roots)
            if states.setdefault(peer.ledger.head.seq, state) != state:
                return False
        return True

    def digest(self) -> str:
        """Return the hash of every event so far, in its order, and of every peer's state."""
        digest = self._trace.copy()
        for peer in self.peers:
            digest.update(repr((peer.ledger.head, sorted(peer.roots.items()))).encode())
            digest.update(repr(peer.state()).encode())
        return digest.hexdigest()

    def _deliver(self) -> bool:
        """Give one peer what waits for it, as a node's loop does; one event if order is drawn."""
        waiting = [index for index, queue in enumerate(self._queues) if queue]
        if not waiting:
            return False
        index = waiting[0] if self._random is None else self._random.choice(waiting)
        queue = self._queues[index]
        count = 1 if self._random is not None else min(len(queue), EVENTS_PER_TURN_MAX)
        events = [queue.popleft() for _ in range(count)]
        if self._random is not None:
            self._trace.update(repr((self.now_ms, index, events)).encode())
        self._carry_out(index, self.peers[index].replica.step(*events, **self._time()))
        return True

    def _carry_out(self, index: int, ready: pbft.Ready) -> None:
        peer = self.peers[index]
        peer.deadline_ms = ready.deadline_ms
        decided: list[pbft.Decided] = []
        for step in ready.steps:
            match step:
                case pbft.Send(frames=frames):
                    for outbound in frames:
                        self._send(index, outbound)
                case pbft.Decided():
                    decided.append(step)
                case pbft.ReadLog():
                    self._queues[index].append(peer.read_log(step))
                case pbft.Append() | pbft.Notice() | pbft.Compact():
                    pass  # there is no disk here, and nobody watches
                case (
                    pbft.StartStateTransfer()
                    | pbft.FetchEpochs()
                    | pbft.KeepEvidence()
                    | pbft.Halt()
                ):
                    raise AssertionError(f"a cluster without faults asks for {step}")
                case _:
                    assert_never(step)
        self._queues[index].extend(peer.execute(decided))

    def _send(self, index: int, outbound: pbft.Outbound) -> None:
        event = pbft.MessageReceived(self.peers[index].id, outbound.frame)
        if outbound.to is not None:
            self._put(self._indices[outbound.to], event)
            return
        for other in range(len(self.peers)):
            if other != index:
                self._put(other, event)

    def _put(self, index: int, event: pbft.Event) -> None:
        if self._random is None or self._random.randrange(100) >= self._loss_percent:
            self._queues[index].append(event)

    def _let_time_pass(self) -> None:
        self.now_ms = max(self.now_ms + 1, min(peer.deadline_ms for peer in self.peers))
        for index, peer in enumerate(self.peers):
            if peer.deadline_ms <= self.now_ms:
                self._queues[index].append(pbft.ReplicaDeadlinePassed())

    def _time(self) -> dict[str, int]:
        return {"now_ms": self.now_ms, "wall_ms": self._wall_start_ms + self.now_ms}


def _ordered(decided: pbft.Decided) -> OrderedBatch:
    batch = pbft.Batch.from_bytes(decided.batch)
    return OrderedBatch(
        seq=decided.seq, timestamp_ms=batch.timestamp_ms, view=batch.view, requests=batch.requests
    )


def _entry(decided: pbft.Decided) -> bytes:
    return decided.entry.to_bytes()
