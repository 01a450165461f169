"""Maintainers who let peers in and out while a run rages, by operations that go through the log."""

from bftcluster.ids import PeerId
from bftcluster.ledger.state.membership_rows import VOTERS_MIN
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster_sim.cluster.faults.plans import RunPlan
from bftcluster_sim.cluster.peers.states import TERMS
from bftcluster_sim.cluster.world import World

_JOINS_LATER_MS = (0, 300, 2_000)


class Changes:
    """Draws changes of members that leave at most f faulty in every membership they can lead to.

    Nobody knows yet which of them will be ordered, and when, so removals are counted as if nobody
    ever joined.
    """

    def __init__(self, plan: RunPlan, world: World) -> None:
        self._world = world
        self._keys = plan.n + plan.spares
        self.voters_min = plan.n
        """Fewer will not vote, whatever is ordered."""
        self._faulty = len(plan.ruins)
        self._number = 0

    def change(self) -> None:
        """Have somebody join, leave or change roles, or one take another's place."""
        random = self._world.random
        key = random.randrange(self._keys)
        latest = self._world.discipline.latest
        if self._world.nodes[key].key not in latest.replicas:
            self._admit(key, votes=random.random() < 0.8)
            if random.random() < 0.5:
                self._remove(random.randrange(self._keys))
        elif random.random() < 0.8:
            self._remove(key)
        elif self._may_shrink():
            self._admit(key, votes=False)

    def _admit(self, key: int, *, votes: bool) -> None:
        world, node = self._world, self._world.nodes[key]
        operation = AdmitPeer(
            peer=PeerId(node.key), name=f"peer{key}", addresses=(), votes=votes, terms=TERMS
        )
        self._hand_in(operation, f"admit {key} {'to vote' if votes else 'to follow'}")
        if not node.has_run:
            at_ms = world.clock.now_ms + world.random.choice(_JOINS_LATER_MS)
            world.clock.call_at(at_ms, node.start)

    def _remove(self, key: int) -> None:
        if self._may_shrink():
            node = self._world.nodes[key]
            self._hand_in(RemovePeer(peer=PeerId(node.key)), f"remove {key}")

    def _may_shrink(self) -> bool:
        left = max(VOTERS_MIN, self.voters_min - 1)
        if (left - 1) // 3 < self._faulty:
            return False
        self.voters_min = left
        return True

    def _hand_in(self, operation: AdmitPeer | RemovePeer, what: str) -> None:
        world = self._world
        request = world.founding.member_request(self._number, operation)
        self._number += 1
        world.hand_in(request, what, to=world.random.randrange(len(world.nodes)))
