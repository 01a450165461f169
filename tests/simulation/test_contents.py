"""Every peer holds what the ledger wants it to, and says so only of what is on its disk."""

from dataclasses import replace

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster_sim.cluster.peers.contents import ContentFaults
from bftcluster_sim.cluster.peers.processes import ProcessCrashedError
from bftcluster_sim.cluster.peers.states import TERMS, pinned
from bftcluster_sim.cluster.world import SETTINGS, World

PEER = 3
LIMIT_MS = 30_000


@pytest.fixture
def world() -> World:
    return started(World(seed=0, keys=range(4), n=4, tracks=True, is_traced=True))


def started(world: World) -> World:
    """Let every peer start, and join."""
    world.start()
    world.run_until(500)
    return world


def ask(world: World, request: bytes) -> None:
    world.hand_in(request, "something", to=1)
    world.run_until(world.clock.now_ms + 200)


def settle(world: World) -> None:
    """Let time pass until every peer that runs holds what it owes, and the ledger knows."""
    up = [node for node in world.nodes if node.is_up]
    assert world.run_until(
        world.clock.now_ms + LIMIT_MS,
        lambda: (
            len({node.state.executed for node in up}) == 1
            and all(world.owes_nothing(node) for node in up)
        ),
    )
    for node in up:
        world.check_end(node)
    assert world.breaches == []


def holders(world: World, number: int) -> list[int]:
    return [node.index for node in world.nodes if node.blocks.has(pinned(number))]


def test_a_pin_comes_to_every_peer_and_goes_when_it_is_taken_back(world: World) -> None:
    ask(world, world.founding.request(1))
    settle(world)
    assert holders(world, 1) == [0, 1, 2, 3]

    ask(world, world.founding.unpin_request(1))
    settle(world)
    assert holders(world, 1) == []


def test_copies_come_to_as_many_peers_as_were_asked_for(world: World) -> None:
    ask(world, world.founding.placed_request(1))
    settle(world)

    assert len(holders(world, 1)) == 2


def test_contents_that_are_late_missing_or_do_not_fit_come_in_the_end(world: World) -> None:
    world.contents = ContentFaults(delay_ms_max=500, failure_percent=60)
    world.nodes[PEER].blocks.is_full = True
    for number in range(10):
        ask(world, world.founding.request(number))
    assert PEER not in holders(world, 0)

    world.nodes[PEER].blocks.is_full = False
    settle(world)
    assert all(holders(world, number) == [0, 1, 2, 3] for number in range(10))


def test_a_crash_at_any_effect_leaves_no_report_of_what_was_lost(world: World) -> None:
    node = world.nodes[PEER]
    first = node.boundaries
    ask(world, world.founding.request(1))
    settle(world)
    last = node.boundaries
    assert last > first + 10

    for boundary in range(first, last + 1):
        again = started(World(seed=0, keys=range(4), n=4, tracks=True))
        _kill_at(again, boundary)
        ask(again, again.founding.request(1))
        settle(again)
        assert holders(again, 1) == [0, 1, 2, 3]


def _kill_at(world: World, boundary: int) -> None:
    node = world.nodes[PEER]

    def on_boundary(name: str) -> None:
        if node.boundaries == boundary:
            world.clock.call_at(world.clock.now_ms + 30, node.start)
            raise ProcessCrashedError(name)

    node.on_boundary = on_boundary


def test_a_replaced_disk_is_filled_again_and_the_cluster_hears_what_was_lost(world: World) -> None:
    ask(world, world.founding.request(1))
    settle(world)
    node = world.nodes[PEER]
    world.forgetful = {PEER}
    node.wipe(keeps_votes=False)
    world.contents.failure_percent = 100
    node.start()
    world.run_until(world.clock.now_ms + 3_000)
    _, reported = node.state.duties(PeerId(node.key))
    assert reported == set()

    world.contents.failure_percent = 0
    settle(world)
    assert holders(world, 1) == [0, 1, 2, 3]


def test_a_clock_that_was_set_back_silences_nobody(world: World) -> None:
    """A report's counter is Unix time; after a restart only the ledger knows how far it was."""
    node = world.nodes[PEER]
    node.clock.skew_ms = 25_000
    ask(world, world.founding.request(1))
    settle(world)
    node.kill()
    node.clock.skew_ms = 0
    node.start()
    before_ms = world.clock.now_ms
    ask(world, world.founding.request(2))
    settle(world)

    assert world.clock.now_ms < before_ms + 5_000


def test_who_fetched_the_state_finds_in_it_what_it_owes() -> None:
    settings = replace(SETTINGS, state_fetch_behind_seqs=SETTINGS.checkpoint_interval_seqs)
    world = started(
        World(seed=0, keys=range(4), n=4, settings=settings, log_kept_seqs=0, tracks=True)
    )
    ask(world, world.founding.request(0))
    settle(world)
    world.nodes[PEER].kill()
    ask(world, world.founding.unpin_request(0))
    for number in range(1, 12):
        ask(world, world.founding.request(number))
    world.nodes[PEER].start()
    world.run_until(world.clock.now_ms + 3_000)
    settle(world)

    assert world.transfer.installed >= 1
    assert holders(world, 0) == []
    assert holders(world, 11) == [0, 1, 2, 3]


def test_a_peer_that_joins_holds_everything_and_one_that_leaves_is_not_waited_for() -> None:
    world = started(World(seed=0, keys=range(5), n=4, tracks=True))
    ask(world, world.founding.request(1))
    operation = AdmitPeer(
        peer=PeerId(world.nodes[4].key), name="peer4", addresses=(), votes=False, terms=TERMS
    )
    ask(world, world.founding.member_request(0, operation))
    settle(world)
    assert holders(world, 1) == [0, 1, 2, 3, 4]

    gone = world.nodes[4]
    ask(world, world.founding.member_request(1, RemovePeer(peer=PeerId(gone.key))))
    gone.kill()
    ask(world, world.founding.request(2))
    settle(world)
    assert holders(world, 2) == [0, 1, 2, 3]
