"""Members deal a key and make beacons over a network that delays, while some of them lie."""

from dataclasses import replace

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.beacon_state import BeaconState
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster_sim.cluster.adversary.beacon_lies import (
    complains_falsely,
    deals_wrong_shares,
    is_silent,
    sends_wrong_partials,
    withholds_partials,
)
from bftcluster_sim.cluster.environment.links import LinkFaults
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLie
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.states import TERMS
from bftcluster_sim.cluster.world import SETTINGS, World

DEALT_MS = 200_000
"""Both windows, their checkpoints, and a period."""
PERIODS = 4
PERIOD_MS = 10_000
PIN_EACH_MS = 4_000


def world_of(n: int, lies: dict[int, BeaconLie] | None = None, *, spares: int = 0) -> World:
    settings = replace(SETTINGS, status_interval_ms=PERIOD_MS // 2)
    world = World(seed=n, keys=range(n + spares), n=n, settings=settings, tracks=True, deals=True)
    world.links.faults = LinkFaults(delay_ms_min=1, delay_ms_max=50, loss_percent=2)
    world.beacon_lies = dict(lies or {})
    world.faulty = set(world.beacon_lies)
    for node in world.nodes[:n]:
        node.start()
    return world


def beacon_of(node: Node) -> BeaconState:
    return queries.beacon_of(node.state.database)


def correct(world: World) -> list[Node]:
    return [node for node in world.nodes if node.is_correct and node.is_up]


def work(world: World, for_ms: int, *, pin_each_ms: int = PIN_EACH_MS) -> None:
    """Let time pass in which clients have something ordered now and then."""
    end_ms = world.clock.now_ms + for_ms
    while world.clock.now_ms < end_ms:
        number = world.clock.now_ms
        world.submit(number, to=correct(world)[number % len(correct(world))].index)
        world.run_until(world.clock.now_ms + pin_each_ms)
    nodes = correct(world)
    assert world.run_until(
        world.clock.now_ms + DEALT_MS, lambda: len({node.state.executed for node in nodes}) == 1
    )


def dealt(world: World) -> None:
    """Work until all correct peers know a key."""
    end_ms = world.clock.now_ms + DEALT_MS
    while not all(beacon_of(node).groups for node in correct(world)):
        assert world.clock.now_ms < end_ms, "no key was dealt"
        work(world, PERIOD_MS)


def drawn(node: Node) -> dict[int, bytes]:
    return dict(beacon_of(node).drawn)


def test_a_cluster_deals_a_key_and_has_a_beacon_in_every_period() -> None:
    world = world_of(4)
    dealt(world)
    before = queries.head_of(world.nodes[0].state.database).period

    work(world, PERIODS * PERIOD_MS)

    assert world.breaches == []
    first = drawn(world.nodes[0])
    assert [period for period in range(before + 1, before + PERIODS) if period not in first] == []
    assert all(drawn(node) == first for node in world.nodes)


@pytest.mark.parametrize(
    "lies",
    [
        (is_silent, withholds_partials),
        (sends_wrong_partials, sends_wrong_partials),
        (deals_wrong_shares, complains_falsely),
    ],
    ids=lambda lies: " and ".join(lie.__name__ for lie in lies),
)
def test_a_third_of_liars_prevent_no_beacon(lies: tuple[BeaconLie, ...]) -> None:
    world = world_of(7, dict(enumerate(lies)))
    dealt(world)
    node = correct(world)[0]
    before = queries.head_of(node.state.database).period

    work(world, PERIODS * PERIOD_MS)

    assert world.breaches == []
    missing = set(range(before + 1, before + PERIODS)) - drawn(node).keys()
    assert missing == set()
    liars = {PeerId(world.nodes[index].key) for index in world.beacon_lies}
    for each in correct(world):
        assert each.member is not None
        assert each.member.exposed <= liars
    if lies == (deals_wrong_shares, complains_falsely):
        assert node.member.exposed == liars
    elif sends_wrong_partials in lies:
        assert node.member.exposed, "a part that comes too late to be wrong proves nothing"


def test_with_more_silent_members_than_may_be_there_is_no_beacon_and_pins_go_on() -> None:
    lies: dict[int, BeaconLie] = dict.fromkeys(range(3), withholds_partials)
    world = world_of(4, lies)
    world.faulty = set()
    dealt(world)
    before = queries.head_of(world.nodes[3].state.database)

    work(world, PERIODS * PERIOD_MS)

    assert world.breaches == []
    after = queries.head_of(world.nodes[3].state.database)
    assert after.pins - before.pins >= PERIODS * PERIOD_MS // PIN_EACH_MS
    assert drawn(world.nodes[3]) == {}
    assert beacon_of(world.nodes[3]).groups[0].silent >= PERIODS - 1


def test_members_that_are_killed_again_and_again_deal_a_key_and_make_beacons() -> None:
    world = world_of(4)
    for number in range(40):
        node = world.nodes[number % 4]
        node.kill()
        world.run_until(world.clock.now_ms + 200)
        node.start()
        work(world, 5_000)

    assert world.breaches == []
    assert len(drawn(world.nodes[0])) >= PERIODS
    assert all(drawn(node) == drawn(world.nodes[0]) for node in world.nodes)


def test_a_new_member_is_handed_a_share_and_the_key_stays() -> None:
    world = world_of(4, spares=1)
    dealt(world)
    key = beacon_of(world.nodes[0]).groups[0].key.key
    coming = world.nodes[4]
    operation = AdmitPeer(
        peer=PeerId(coming.key), name="peer4", addresses=(), votes=False, terms=TERMS
    )
    world.hand_in(world.founding.member_request(1, operation), "admit 4", to=0)
    coming.start()
    work(world, 10_000)
    votes = AdmitPeer(peer=PeerId(coming.key), name="peer4", addresses=(), votes=True, terms=TERMS)
    world.hand_in(world.founding.member_request(2, votes), "let 4 vote", to=0)

    work(world, DEALT_MS)

    assert world.breaches == []
    [group] = beacon_of(world.nodes[0]).groups
    assert PeerId(coming.key) in {holder.owner for holder in group.ceremony.holders}
    assert (group.key.key, group.silent) == (key, 0)
    periods = sorted(drawn(coming))
    assert periods == list(range(periods[0], periods[-1] + 1))
