"""What light peers cost, and how soon they know: counted in one run without faults.

An hour of a replica is measured in two parts: some minutes in which content is pinned at a steady
pace, and the beginning of a period, when all peers are judged. Light peers prove what they know
each minute, which costs relays; what they cost others is what is ordered for them.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.limits import BATCH_REQUESTS_MAX
from bftcluster.pbft import ReplicaSettings
from bftcluster_sim.cluster.peers.light_peers import SimLightPeer, SimRelay
from bftcluster_sim.cluster.peers.states import CAPACITY_BYTES, pinned
from bftcluster_sim.cluster.world import SETTINGS, World

VOTERS: Final = 4
RELAYS: Final = 2
TERMS: Final = PeerTerms(capacity_bytes=CAPACITY_BYTES, is_light=True)
_SETTLED_MS: Final = 300
_PIN_EVERY_MS: Final = 50
_PIN_EVERY_SLOWLY_MS: Final = 1_000
_ADMIT_EVERY_MS: Final = 20
_START_EVERY_MS: Final = 10
_LOOK_EVERY_MS: Final = 100
_LIMIT_MS: Final = 600_000
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDone:
    """What one peer did: on average of several."""

    sent_bytes: int
    """Of frames to other full peers."""
    cpu_ms: float
    """CPU time of this machine, for its core, its database in memory and its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolunteerCosts:
    """What was counted."""

    known_ms: tuple[int, ...]
    """From a pin's submission until a light peer knew that it is its own, ascending."""
    relay_bytes: int
    """Sent to light peers, by all relays, while content was pinned."""
    newcomer_bytes: int
    """Received by one that starts at the end, until it had proven what there is."""
    newcomer_ms: int
    """How long that took it."""
    batches: int
    """Ordered in all."""
    window_ms: int
    """How long content was pinned."""
    replica: WorkDone
    """Of one that votes and is no relay, in that time."""
    relay: WorkDone
    """Of a relay, in that time; what it sends its light peers is counted apart."""
    period: WorkDone
    """Of one that votes, while all peers are judged at the beginning of a period."""

    def hour(self) -> WorkDone:
        """Return what a replica does in an hour of such pins, of which one period begins."""
        windows = _HOUR_MS / self.window_ms
        return WorkDone(
            sent_bytes=int(self.replica.sent_bytes * windows) + self.period.sent_bytes,
            cpu_ms=self.replica.cpu_ms * windows + self.period.cpu_ms,
        )


class VolunteerWorld:
    """Four replicas, two relays that follow, and light peers, which alone have room for pins."""

    def __init__(
        self,
        volunteers: int,
        *,
        seed: int = 0,
        settings: ReplicaSettings = SETTINGS,
        world: World | None = None,
    ) -> None:
        """Let light peers in.

        Args:
            volunteers: How many.
            seed: Of the world, where there is none yet.
            settings: Of its replicas, likewise.
            world: One that runs; the last of its peers become relays.
        """
        if world is None:
            world = World(seed=seed, keys=range(VOTERS + RELAYS), n=VOTERS, settings=settings)
            world.start()
        self.world = world
        self.approvals: dict[Cid, bytes] = {}
        self.asked_ms: dict[Cid, int] = {}
        nodes = self.world.nodes[-RELAYS:]
        self.relays = [SimRelay(node, self.world.links, self.approvals) for node in nodes]
        for relay in self.relays:
            relay.node.on_executed = relay.executed
        self.lights = self._admitted(volunteers)
        self.wait_ms(_SETTLED_MS)
        for first in range(0, volunteers, BATCH_REQUESTS_MAX):
            for light in self.lights[first : first + BATCH_REQUESTS_MAX]:
                light.start()
            self.wait_ms(_START_EVERY_MS)
        is_done = self.run_until(lambda: all(light.has_joined for light in self.lights))
        assert is_done, "without faults everybody joins"

    def pin(self, count: int, *, every_ms: int = _PIN_EVERY_MS) -> list[Cid]:
        """Have so many contents pinned, at a steady pace."""
        first = len(self.approvals) + 1
        for number in range(first, first + count):
            holders, cid = self.holders_of(number), pinned(number)
            request = self.world.founding.placed_request(number, holders)
            self.approvals[cid] = request
            self.asked_ms[cid] = self.world.clock.now_ms
            self.world.hand_in(request, f"pin {number}", to=number % VOTERS)
            self.wait_ms(every_ms)
        return [pinned(number) for number in range(first, first + count)]

    def pin_past_checkpoint(self) -> None:
        """Have contents pinned up to the next checkpoint: it takes in what changed until now."""
        state, interval = self.world.nodes[0].state, self.world.settings.checkpoint_interval_seqs
        checkpoint = state.executed // interval
        while state.executed // interval == checkpoint:
            self.pin(1)
        self.wait_ms(_SETTLED_MS)

    def holders_of(self, number: int) -> tuple[PeerId, ...]:
        """Return who is to hold a pin; nobody: whom the ledger chooses."""
        return ()

    def owed(self, light: SimLightPeer) -> set[Cid]:
        """Return what the first replica's ledger says that a light peer is to hold."""
        database = self.world.nodes[0].state.database
        return {duty.cid for duty in queries.duties_of(database, PeerId(light.key))}

    @property
    def is_settled(self) -> bool:
        """Whether every light peer keeps and has reported what it owes."""
        return all(e.owes_nothing and set(e.kept) == self.owed(e) for e in self.lights)

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Let time pass until a condition holds; return whether it came to that.

        It is looked at now and then: with many light peers it costs more than what happens between.
        """
        end_ms = self.world.clock.now_ms + _LIMIT_MS
        while not condition():
            if self.world.clock.now_ms >= end_ms:
                return False
            self.wait_ms(_LOOK_EVERY_MS)
        return True

    def wait_ms(self, duration_ms: int) -> None:
        """Let time pass."""
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def begin_period(self) -> None:
        """Have all clocks jump to the next period, and every peer judged for it."""
        world, period_ms = self.world, self.world.founding.genesis.period_ms
        rest_ms = period_ms - world.nodes[0].wall_ms % period_ms
        for node in world.nodes:
            node.clock.skew_ms += rest_ms
        period = world.nodes[0].wall_ms // period_ms

        def is_judged() -> bool:
            ledgers = [node.state.ledger for node in world.nodes]
            return all(each.head.period == period and not each.wants_batches for each in ledgers)

        assert self.run_until(is_judged), "a period begins when its time has come"

    def work(self, peers: slice) -> WorkDone:
        """Return what some of the full peers did so far, on average."""
        meters = [node.meter for node in self.world.nodes[peers]]
        return WorkDone(
            sent_bytes=int(mean(each.sent_bytes for each in meters)),
            cpu_ms=mean(each.spent_ns for each in meters) / 1_000_000,
        )

    def _admitted(self, count: int) -> list[SimLightPeer]:
        world = self.world
        lights = []
        for index in range(count):
            light = SimLightPeer(
                index, founding=world.founding, clock=world.clock, relays=self.relays
            )
            admission = AdmitPeer(
                peer=PeerId(light.key), name="light", addresses=(), votes=False, terms=TERMS
            )
            world.hand_in(world.founding.member_request(index, admission), "admit", to=0)
            lights.append(light)
            if len(lights) % BATCH_REQUESTS_MAX == 0 or len(lights) == count:
                self.wait_ms(_ADMIT_EVERY_MS)
        return lights


def count_volunteers(
    volunteers: int,
    pins: int,
    *,
    seed: int = 0,
    every_ms: int = _PIN_EVERY_MS,
    settings: ReplicaSettings = SETTINGS,
) -> VolunteerCosts:
    """Run ``pins`` past ``volunteers`` light peers, then a period's beginning, and a newcomer."""
    cluster = VolunteerWorld(volunteers, seed=seed, settings=settings)
    for node in cluster.world.nodes:
        node.meter.is_on = True
    voters, relays = slice(0, VOTERS), slice(VOTERS, VOTERS + RELAYS)
    cluster.pin_past_checkpoint()
    gc.freeze()  # No replica has the light peers in its memory: its collector does not walk them.
    begun_ms = cluster.world.clock.now_ms
    before, relays_before = cluster.work(voters), cluster.work(relays)
    sent_bytes = sum(relay.sent_bytes for relay in cluster.relays)
    cluster.pin(pins, every_ms=every_ms)
    window_ms = cluster.world.clock.now_ms - begun_ms
    replica = _between(before, cluster.work(voters))
    relay = _between(relays_before, cluster.work(relays))
    relay_bytes = sum(relay.sent_bytes for relay in cluster.relays) - sent_bytes
    assert cluster.run_until(lambda: cluster.is_settled), "without faults all duties are known"
    known_ms = [
        since_ms - cluster.asked_ms[cid]
        for light in cluster.lights
        for cid, since_ms in light.kept.items()
        if cluster.asked_ms[cid] >= begun_ms
    ]
    before = cluster.work(voters)
    cluster.begin_period()
    period = _between(before, cluster.work(voters))
    gc.unfreeze()
    newcomer_bytes, newcomer_ms = _newcomer(cluster)
    return VolunteerCosts(
        known_ms=tuple(sorted(known_ms)),
        relay_bytes=relay_bytes,
        newcomer_bytes=newcomer_bytes,
        newcomer_ms=newcomer_ms,
        batches=cluster.world.nodes[0].state.executed,
        window_ms=window_ms,
        replica=replica,
        relay=relay,
        period=period,
    )


def count_volunteers_of_real_sizes(volunteers: int, pins: int, *, seed: int = 0) -> VolunteerCosts:
    """Do the same at a pin a second, with the windows and times that replicas have by default."""
    settings = ReplicaSettings()
    return count_volunteers(
        volunteers, pins, seed=seed, every_ms=_PIN_EVERY_SLOWLY_MS, settings=settings
    )


def _between(before: WorkDone, after: WorkDone) -> WorkDone:
    return WorkDone(
        sent_bytes=after.sent_bytes - before.sent_bytes, cpu_ms=after.cpu_ms - before.cpu_ms
    )


def _newcomer(cluster: VolunteerWorld) -> tuple[int, int]:
    """Return what a peer that knows nothing receives until it has proven its duties, and when."""
    newcomer = max(cluster.lights, key=lambda light: len(light.kept))
    newcomer.kill()
    newcomer.forget()
    received, begun_ms = newcomer.received_bytes, cluster.world.clock.now_ms
    newcomer.start()
    assert cluster.world.run_until(
        begun_ms + _LIMIT_MS,
        lambda: newcomer.core.proven > 0 and set(newcomer.core.book.cids) == cluster.owed(newcomer),
    ), "a newcomer learns what there is"
    return newcomer.received_bytes - received, cluster.world.clock.now_ms - begun_ms
