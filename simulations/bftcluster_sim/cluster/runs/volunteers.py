"""What light peers cost, and how soon they know: counted in one run without faults."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.pbft import ReplicaSettings
from bftcluster_sim.cluster.peers.light_peers import SimLightPeer, SimRelay
from bftcluster_sim.cluster.peers.states import CAPACITY_BYTES, pinned
from bftcluster_sim.cluster.world import SETTINGS, World

VOTERS: Final = 4
RELAYS: Final = 2
TERMS: Final = PeerTerms(capacity_bytes=CAPACITY_BYTES, is_light=True)
_SETTLED_MS: Final = 300
_PIN_EVERY_MS: Final = 50
_ADMIT_EVERY_MS: Final = 20
_LIMIT_MS: Final = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VolunteerCosts:
    """What was counted."""

    known_ms: tuple[int, ...]
    """From a pin's submission until a light peer knew that it is its own, ascending."""
    relay_bytes: int
    """Sent to light peers, by all relays."""
    newcomer_bytes: int
    """Received by one that starts at the end, until it had proven what there is."""
    batches: int
    """Ordered in all."""


class VolunteerWorld:
    """Four replicas, two relays that follow, and light peers, which alone have room for pins."""

    def __init__(
        self, volunteers: int, *, seed: int = 0, settings: ReplicaSettings = SETTINGS
    ) -> None:
        keys = range(VOTERS + RELAYS)
        self.world = World(seed=seed, keys=keys, n=VOTERS, settings=settings)
        self.world.start()
        self.approvals: dict[Cid, bytes] = {}
        self.asked_ms: dict[Cid, int] = {}
        nodes = self.world.nodes[VOTERS:]
        self.relays = [SimRelay(node, self.world.links, self.approvals) for node in nodes]
        for relay in self.relays:
            relay.node.on_executed = relay.executed
        self.lights = [self._admitted(index) for index in range(volunteers)]
        self.wait_ms(_SETTLED_MS)
        for light in self.lights:
            light.start()
        is_done = self.run_until(lambda: all(light.has_joined for light in self.lights))
        assert is_done, "without faults everybody joins"

    def pin(self, count: int) -> list[Cid]:
        """Have so many contents pinned, at a steady pace."""
        first = len(self.approvals) + 1
        for number in range(first, first + count):
            request, cid = self.world.founding.placed_request(number), pinned(number)
            self.approvals[cid] = request
            self.asked_ms[cid] = self.world.clock.now_ms
            self.world.hand_in(request, f"pin {number}", to=number % VOTERS)
            self.wait_ms(_PIN_EVERY_MS)
        return [pinned(number) for number in range(first, first + count)]

    def owed(self, light: SimLightPeer) -> set[Cid]:
        """Return what the first replica's ledger says that a light peer is to hold."""
        return self.world.nodes[0].state.duties(PeerId(light.key))[0]

    @property
    def is_settled(self) -> bool:
        """Whether every light peer keeps and has reported what it owes."""
        return all(set(e.kept) == self.owed(e) and e.owes_nothing for e in self.lights)

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Let time pass until a condition holds; return whether it came to that."""
        return self.world.run_until(self.world.clock.now_ms + _LIMIT_MS, condition)

    def wait_ms(self, duration_ms: int) -> None:
        """Let time pass."""
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def _admitted(self, index: int) -> SimLightPeer:
        world = self.world
        light = SimLightPeer(index, founding=world.founding, clock=world.clock, relays=self.relays)
        admission = AdmitPeer(
            peer=PeerId(light.key), name="light", addresses=(), votes=False, terms=TERMS
        )
        world.hand_in(world.founding.member_request(index, admission), "admit", to=0)
        self.wait_ms(_ADMIT_EVERY_MS)
        return light


def count_volunteers(volunteers: int, pins: int, *, seed: int = 0) -> VolunteerCosts:
    """Run ``pins`` past ``volunteers`` light peers, and one newcomer at the end."""
    cluster = VolunteerWorld(volunteers, seed=seed)
    sent_bytes = sum(relay.sent_bytes for relay in cluster.relays)
    cluster.pin(pins)
    assert cluster.run_until(lambda: cluster.is_settled), "without faults all duties are known"
    known_ms = sorted(
        since_ms - cluster.asked_ms[cid]
        for light in cluster.lights
        for cid, since_ms in light.kept.items()
    )
    relay_bytes = sum(relay.sent_bytes for relay in cluster.relays) - sent_bytes
    newcomer = cluster.lights[0]
    newcomer.kill()
    newcomer.forget()
    received = newcomer.received_bytes
    newcomer.start()
    assert cluster.run_until(
        lambda: newcomer.core.proven > 0 and set(newcomer.core.book.cids) == cluster.owed(newcomer)
    ), "a newcomer learns what there is"
    return VolunteerCosts(
        known_ms=tuple(known_ms),
        relay_bytes=relay_bytes,
        newcomer_bytes=newcomer.received_bytes - received,
        batches=cluster.world.nodes[0].state.executed,
    )
