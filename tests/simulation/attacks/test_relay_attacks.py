"""Relays that withhold or lie, and a light peer that has no others."""

from collections.abc import Callable
from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.light.light_peer import LOOK_INTERVAL_MS
from bftcluster.pbft.frames import kind_of
from bftcluster.sync.frames import HINT, DutyHint
from bftcluster_sim.cluster.peers.light_peers import SimLightPeer
from bftcluster_sim.cluster.runs.volunteers import VolunteerWorld
from bftcluster_sim.cluster.world import SETTINGS

PINS = 8
KNOWN_MS = 1_000
LOOK_MS = 250
LOOKS_MAX = 2_000
ROUND_TRIP_MS = 100


def world_of() -> VolunteerWorld:
    """Three light peers; replicas say seldom where they are, as nothing is lost."""
    return VolunteerWorld(3, settings=replace(SETTINGS, status_interval_ms=10_000))


def wait(world: VolunteerWorld, condition: Callable[[], bool]) -> None:
    """Look every now and then: to look costs more than what happens meanwhile."""
    for _ in range(LOOKS_MAX):
        if condition():
            return
        world.wait_ms(LOOK_MS)
    raise AssertionError("it did not happen")


def knows_all(world: VolunteerWorld) -> bool:
    return all(world.owed(light) <= set(light.kept) for light in world.lights)


def no_hints(_light: SimLightPeer, frame: bytes) -> list[bytes]:
    return [] if kind_of(frame) == HINT else [frame]


def nothing(_light: SimLightPeer, _frame: bytes) -> list[bytes]:
    return []


def test_one_relay_of_two_that_withholds_costs_no_duty_and_no_second() -> None:
    """Bound (ADR 0036): beside one honest relay, 0 duties stay hidden, and each is known in 1 s."""
    world = world_of()
    world.relays[0].lie = no_hints
    world.pin(PINS)
    begun_ms = world.world.clock.now_ms

    wait(world, lambda: knows_all(world))

    assert world.world.clock.now_ms - begun_ms < KNOWN_MS
    assert sum(len(world.owed(light)) for light in world.lights) == 2 * PINS


def test_a_relay_that_says_nothing_at_all_costs_timeouts() -> None:
    """Bound (ADR 0036): beside one honest relay, a silent one hides 0 duties for good."""
    world = world_of()
    world.relays[0].lie = nothing

    world.pin(PINS)

    wait(
        world,
        lambda: all(world.owed(light) == set(light.core.book.proven) for light in world.lights),
    )


def eclipsed(world: VolunteerWorld, victim: SimLightPeer) -> None:
    """Let both relays tell one light peer nothing but approved content that is not its own."""
    foreign = world.approvals[min(set(world.approvals) - world.owed(victim))]

    def lie(light: SimLightPeer, frame: bytes) -> list[bytes]:
        if light is not victim:
            return [frame]
        if kind_of(frame) != HINT:
            return []
        return [DutyHint(seq=DutyHint.from_frame(frame).seq, approval=foreign).frame()]

    for relay in world.relays:
        relay.lie = lie


def test_an_eclipse_has_a_volunteer_drop_nothing_and_store_nothing_unapproved() -> None:
    """Bound (ADR 0036): who has no honest relay drops 0 of its duties, keeps 0 contents that t of n
    did not approve, and knows all duties a look, 60 s, after it meets an honest one.
    """
    world = world_of()
    victim = world.lights[0]
    world.pin(PINS)
    wait(world, lambda: world.is_settled)
    held = set(victim.kept)
    assert held

    eclipsed(world, victim)
    world.pin(PINS)
    world.wait_ms(2 * LOOK_INTERVAL_MS)

    hidden = world.owed(victim) - set(victim.kept)
    assert hidden
    assert held <= set(victim.kept)
    assert victim.ever_desired <= set(world.approvals)

    world.relays[0].lie = None
    world.wait_ms(LOOK_INTERVAL_MS + ROUND_TRIP_MS)

    assert hidden <= set(victim.kept)
    assert world.owed(victim) <= set(victim.kept)


def test_an_eclipse_is_seen_by_the_cluster_as_an_absence() -> None:
    """Bound (ADR 0034): what an eclipsed peer cannot report is 0 copies that count."""
    world = world_of()
    victim = world.lights[0]
    world.pin(PINS)
    eclipsed(world, victim)

    world.pin(PINS)
    world.wait_ms(LOOK_INTERVAL_MS)

    owed, reported = world.world.nodes[0].state.duties(PeerId(victim.key))
    assert owed - set(victim.kept)
    assert not reported & (owed - set(victim.kept))
