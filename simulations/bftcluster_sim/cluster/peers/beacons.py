"""A simulated member's part in beacons: as ``loops.beacon`` of ``bftcluster.node`` does it."""

import hashlib
from collections.abc import Sequence

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import BeaconMoved, Effect, FraudProven
from bftcluster.ledger.state import queries
from bftcluster.pbft import RequestSubmitted
from bftcluster.sync.beacon_duties import BeaconDuties
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLiar
from bftcluster_sim.cluster.peers.processes import NextLook, Process

_LOOK_AGAIN_MS = 2_000


def seed_of(key: bytes) -> bytes:
    """Return the seed of a simulated identity: its shares follow from it."""
    return hashlib.sha256(b"seed of " + key).digest()


class BeaconMember:
    """Ends with its process; it follows from the state and a seed."""

    def __init__(self, node: Process) -> None:
        self._node = node
        world = node.world
        self._liar = BeaconLiar(
            signer=node.signer,
            seed=seed_of(node.key),
            cluster_id=world.founding.cluster_id,
            curve=world.approvals.curve,
        )
        self._duties = BeaconDuties(
            signer=node.signer,
            seed=self._liar.seed,
            cluster_id=world.founding.cluster_id,
            curve=world.approvals.curve,
        )
        self.registration = self._duties.registration()
        self.exposed: set[PeerId] = set()
        """Who was proved to lie while this process ran."""
        self._next = NextLook(node, self._look)
        self._next.plan(0)

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """Take in what the ledger changed."""
        self.exposed |= {each.peer for each in effects if isinstance(each, FraudProven)}
        if any(isinstance(effect, BeaconMoved) for effect in effects):
            self._next.plan(0)

    def _look(self) -> None:
        node, database = self._node, self._node.state.database
        beacon = queries.beacon_of(database)
        owed = self._duties.owed(beacon, queries.head_of(database).period)
        lie = node.world.beacon_lies.get(node.index)
        for request in owed if lie is None else lie(self._liar, beacon, owed):
            node.world.integrity.asked.add(request)
            node.take(RequestSubmitted(request))
        if owed:
            self._next.plan(_LOOK_AGAIN_MS)
