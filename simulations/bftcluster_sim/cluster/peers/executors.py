"""What was decided becomes state, in one life of a simulated process."""

from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.pbft import Decided
from bftcluster.pbft.log import batch_digest
from bftcluster_sim.cluster.peers.audits import AuditedPeer
from bftcluster_sim.cluster.peers.beacons import BeaconMember
from bftcluster_sim.cluster.peers.processes import Process
from bftcluster_sim.cluster.peers.trackers import Tracking

_DELAY_MS = 1
_EFFECTIVE = (OutcomeCode.COMMITTED, OutcomeCode.RECORDED)


class Executor:
    """Executes a little later, and tells replica, tracker and clients."""

    def __init__(
        self,
        node: Process,
        tracking: Tracking | None,
        member: BeaconMember | None,
        audited: AuditedPeer | None,
    ) -> None:
        self._node = node
        self._audited = audited
        self._member = member
        self._tracking = tracking
        self._queue: list[Decided] = []

    def decide(self, decided: Decided) -> None:
        """Queue a batch."""
        self._node.boundary("decide")
        self._node.world.on_decided(self._node, decided)
        if not self._queue:
            self._node.call_later(_DELAY_MS, self._execute)
        self._queue.append(decided)

    def _execute(self) -> None:
        queue, self._queue = self._queue, []
        for one in queue:
            self._execute_one(one)

    def _execute_one(self, one: Decided) -> None:
        node, world = self._node, self._node.world
        done = node.state.execute(one)
        digest = batch_digest(one.batch)
        for request, outcome in done.pairs:
            if outcome.code in _EFFECTIVE:
                world.on_effect(node, one.seq, request)
        world.on_executed(node, one.seq, digest, node.state.chain)
        if done.report.next_membership is not None:
            world.on_named(node, node.state.epochs[-1])
        node.boundary("answer")
        world.on_answer(node, one.seq, digest)
        node.take(done.report)
        if self._tracking is not None:
            for request, outcome in done.pairs:
                self._tracking.resolve(request, outcome)
            self._tracking.carry_out(done.applied.effects)
        if node.on_executed is not None:
            node.on_executed(done)
        if self._member is not None:
            self._member.carry_out(done.applied.effects)
        if self._audited is not None:
            self._audited.carry_out(done.applied.effects)
