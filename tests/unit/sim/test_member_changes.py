"""Peers that join, leave and come back while the run rages."""

from dataclasses import replace

import pytest

from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster_sim.cluster.adversary.behaviours import Vice
from bftcluster_sim.cluster.faults.member_changes import Changes
from bftcluster_sim.cluster.faults.plans import Fault, Ruin, RunPlan
from bftcluster_sim.cluster.peers.states import TERMS
from bftcluster_sim.cluster.runs.shrinker import search
from bftcluster_sim.cluster.runs.swarm import RunVerdict, run
from bftcluster_sim.cluster.world import World
from tests.unit.sim.worlds import settled

CALM = RunPlan(
    seed=1, n=4, faults=frozenset({Fault.MEMBERS}), ruins=(), chaos_ms=4_000, requests=12
)


@pytest.fixture
def world() -> World:
    """Four founders, and a fifth peer that follows."""
    return settled(peers=5)


def hand_in(world: World, number: int, operation: AdmitPeer | RemovePeer) -> None:
    world.hand_in(world.founding.member_request(number, operation), "a change", to=1)
    world.run_until(world.clock.now_ms + 2_000)


def admit(world: World, key: int) -> AdmitPeer:
    peer = PeerId(world.nodes[key].key)
    return AdmitPeer(peer=peer, name=f"peer{key}", addresses=(), votes=True, terms=TERMS)


def test_one_who_is_admitted_votes_and_one_who_is_removed_does_not(world: World) -> None:
    hand_in(world, 0, admit(world, 4))
    assert [world.discipline.latest.epoch, world.discipline.latest.n] == [1, 5]

    hand_in(world, 1, RemovePeer(peer=PeerId(world.nodes[0].key)))
    world.submit(0, to=2)
    world.run_until(world.clock.now_ms + 1_000)

    latest = world.discipline.latest
    assert latest.epoch == 2
    assert set(latest.replicas) == {node.key for node in world.nodes[1:]}
    request = world.founding.request(0)
    assert all(world.has_effect(node, request) for node in world.nodes[1:])
    assert world.breaches == []


def test_a_peer_that_was_down_for_an_epoch_comes_back_into_the_next(world: World) -> None:
    world.nodes[3].kill()
    hand_in(world, 0, admit(world, 4))
    assert world.nodes[3].state.epochs == world.nodes[3].state.epochs[:1]

    world.nodes[3].start()
    world.run_until(world.clock.now_ms + 3_000)

    assert [start.first for start in world.nodes[3].state.epochs] == [1, 9]
    assert len({node.state.chain for node in world.nodes}) == 1
    assert world.discipline.of(Seq(8)).n == 4
    assert world.discipline.of(Seq(9)).n == 5
    assert world.breaches == []


@pytest.mark.parametrize("seed", range(10))
def test_a_cluster_whose_members_change_passes(seed: int) -> None:
    outcome, world = run(replace(CALM, seed=seed))

    assert outcome.verdict is RunVerdict.PASS
    assert world.discipline.latest.n >= 4


def test_members_change_in_calm_runs() -> None:
    epochs = [run(replace(CALM, seed=seed))[1].discipline.latest.epoch for seed in range(10)]

    assert sum(epoch >= 1 for epoch in epochs) >= 5
    assert max(epochs) >= 2


@pytest.mark.parametrize(
    ("n", "ruined", "may_shrink"), [(7, 2, False), (7, 1, True), (4, 1, True), (4, 0, True)]
)
def test_nobody_is_removed_if_the_faulty_could_then_be_more_than_f(
    n: int, ruined: int, may_shrink: bool
) -> None:
    ruins = tuple((key, Ruin.DEAD, frozenset[Vice]()) for key in range(ruined))
    plan = replace(CALM, n=n, ruins=ruins)
    world = World(seed=0, keys=range(n + plan.spares), n=n, is_traced=True)
    changes = Changes(plan, world)

    for _ in range(100):
        changes.change()

    handed_in = [line for line in world.trace.lines if "client ->" in line]
    assert any("to vote" in line for line in handed_in)
    assert may_shrink == any("remove" in line for line in handed_in)


def test_a_plan_without_changes_has_no_spares_and_nobody_ruined_among_them() -> None:
    plan = replace(CALM, ruins=((5, Ruin.DEAD, frozenset()),))

    smallest, _ = search(plan, lambda _: True)

    assert smallest.spares == 0
    assert smallest.ruins == ()
