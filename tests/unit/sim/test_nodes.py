"""A simulated peer: killed between any two effects, stopped, and deceived by its disk."""

import errno
from random import Random

import pytest

from bftcluster.ids import Seq
from bftcluster.storage.wal import WAL_NAME
from bftcluster_sim.cluster.peers.disks import Failure, Lie, WriteLoss
from bftcluster_sim.cluster.peers.states import LedgerState, approvals_of, founding
from bftcluster_sim.cluster.world import World
from tests.unit.sim.worlds import settled

PEER = 3


@pytest.fixture
def world() -> World:
    return settled()


def decide(world: World, *numbers: int) -> None:
    """Have pins ordered, one after the other, and give everybody time to execute them."""
    for number in numbers:
        world.submit(number, to=1)
        world.run_until(world.clock.now_ms + 100)


def executed(world: World) -> list[int]:
    return [node.state.executed for node in world.nodes]


def test_peers_decide_and_execute_what_clients_ask_for(world: World) -> None:
    decide(world, 0, 1, 2)

    assert executed(world) == [3, 3, 3, 3]
    assert all(world.has_effect(node, world.founding.request(2)) for node in world.nodes)
    assert world.breaches == []


def test_a_killed_peer_comes_back_with_what_its_disk_kept(world: World) -> None:
    decide(world, 0, 1)
    world.nodes[PEER].kill()
    decide(world, 2)
    assert not world.nodes[PEER].is_up

    world.nodes[PEER].start()
    world.run_until(world.clock.now_ms + 2_000)

    assert executed(world) == [3, 3, 3, 3]
    assert world.breaches == []


def test_a_stopped_peer_does_nothing_and_then_everything(world: World) -> None:
    world.nodes[PEER].pause()
    decide(world, 0, 1)
    assert executed(world) == [2, 2, 2, 0]

    world.nodes[PEER].resume()
    world.run_until(world.clock.now_ms + 20)

    assert executed(world) == [2, 2, 2, 2]
    assert world.breaches == []


def test_a_peer_killed_while_it_stands_still_starts_afresh(world: World) -> None:
    node = world.nodes[PEER]
    node.pause()
    decide(world, 0)

    node.kill()
    node.start()
    world.run_until(world.clock.now_ms + 2_000)

    assert executed(world) == [1, 1, 1, 1]


def test_a_fuse_kills_after_so_many_effects(world: World) -> None:
    node = world.nodes[PEER]
    node.fuse, before = 2, node.boundaries

    decide(world, 0)

    assert not node.is_up
    assert node.boundaries == before + 3
    assert world.breaches == []


def test_an_assertion_that_fails_in_a_correct_peer_is_a_breach(world: World) -> None:
    node = world.nodes[PEER]
    node.state.database.tables.position = Seq(7)

    decide(world, 0)

    assert node.broken == "assertion: batches are executed in order, once"
    assert world.breaches == ["bug: correct 3 assertion: batches are executed in order, once"]


def test_what_happens_to_a_faulty_peer_is_no_breach(world: World) -> None:
    world.faulty.add(PEER)
    world.nodes[PEER].state.database.tables.position = Seq(7)

    decide(world, 0)

    assert world.nodes[PEER].broken
    assert world.breaches == []


@pytest.mark.parametrize("seed", range(8))
def test_a_rotten_log_is_refused_and_not_repaired(world: World, seed: int) -> None:
    node = world.nodes[PEER]
    world.faulty.add(PEER)
    decide(world, 0, 1, 2)
    node.kill()
    assert len(node.disk.read(WAL_NAME)) > 1_024

    node.disk.lie(Lie.ROT, Random(seed))
    node.start()

    assert node.broken is not None
    assert node.broken.startswith("refuses to start")


@pytest.mark.parametrize("loss", list(WriteLoss))
def test_whatever_a_power_cut_leaves_a_peer_starts_and_contradicts_nothing(
    world: World, loss: WriteLoss
) -> None:
    node = world.nodes[PEER]
    node.loss = loss
    for number in range(4):
        node.fuse = 3 + 2 * number
        decide(world, number)
        node.kill()
        node.start()
    world.run_until(world.clock.now_ms + 3_000)

    assert executed(world) == [4, 4, 4, 4]
    assert world.breaches == []


def test_a_ledger_loses_flushes_after_its_last_sync_and_none_before() -> None:
    left = set()
    for seed in range(20):
        world = World(seed=0, keys=range(4), n=4)
        world.start()
        decide(world, 0, 1, 2, 3, 4, 5)
        state = world.nodes[PEER].state
        assert state.executed == 6
        state.cut_power(Random(seed))
        left.add(int(state.executed))

    assert left == {4, 5, 6}, "the checkpoint at 4 was synced, before the log let go of its votes"


def test_a_ledger_that_starts_over_has_the_state_it_had(world: World) -> None:
    decide(world, 0, 1, 2, 4, 5)
    state = world.nodes[PEER].state
    before = (state.executed, state.recovered((), 0))

    state.restart()

    assert (state.executed, state.recovered((), 0)) == before
    assert state.recovered((), 0).checkpoint_root is not None


def test_a_restored_backup_is_an_older_state(world: World) -> None:
    decide(world, 0, 1, 2)
    state = world.nodes[PEER].state
    chain = state.chain

    state.lose_after(Seq(1))

    assert state.executed == 1
    assert state.chain != chain
    empty = LedgerState(founding(4, 4), approvals_of(founding(4, 4)))
    state.lose_after(Seq(0))
    assert state.chain == empty.chain


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("calls_left", range(10))
def test_a_peer_whose_disk_fails_stops_at_once_and_says_nothing_more(
    world: World, calls_left: int, code: int
) -> None:
    node = world.nodes[PEER]
    node.disk.failure = Failure(code, calls_left)

    decide(world, *range(5))

    assert not node.is_up
    stopped = [i for i, line in enumerate(world.trace.lines) if " 3 has a disk that fails" in line]
    assert len(stopped) == 1
    node.disk.failure = None
    node.start()
    world.run_until(world.clock.now_ms + 3_000)
    assert executed(world) == [5, 5, 5, 5]
    assert world.breaches == []


@pytest.mark.parametrize("calls_left", range(14))
def test_what_a_disk_failed_to_write_is_not_believed_after_a_restart(
    world: World, calls_left: int
) -> None:
    """The process starts again, the machine has never stopped, and then the power goes."""
    node = world.nodes[PEER]
    node.loss = WriteLoss.ALL
    for number in range(4):
        node.disk.failure = Failure(errno.EIO, calls_left)
        decide(world, number)
        node.start()
        decide(world, number + 4)
    node.disk.failure = None

    node.kill()
    node.start()
    world.run_until(world.clock.now_ms + 3_000)

    assert node.broken is None
    assert executed(world) == [8, 8, 8, 8]
    assert world.breaches == []


def test_a_process_that_stopped_can_still_lose_its_power(world: World) -> None:
    node = world.nodes[PEER]
    node.loss = WriteLoss.ALL
    node.disk.failure = Failure(errno.EIO, calls_left=1)
    decide(world, 0)
    shown = node.disk.read(WAL_NAME)

    node.kill()

    assert len(node.disk.read(WAL_NAME)) < len(shown)
