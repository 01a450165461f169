"""One sleeps while all others are replaced, and those who left lie to it when it wakes."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Seq
from bftcluster_sim.cluster.faults.plans import Fault, RunPlan, plan_of
from bftcluster_sim.cluster.faults.succession import Succession
from bftcluster_sim.cluster.runs.swarm import RunVerdict, run
from bftcluster_sim.cluster.world import World
from tests.unit.pbft.builders import checkpoint

SLEEPY = RunPlan(seed=1, n=4, faults=frozenset({Fault.SLEEP}), ruins=(), chaos_ms=4_000, requests=8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("more", [frozenset[Fault](), frozenset({Fault.PRUNE})])
def test_the_sleeper_comes_back_and_believes_nothing_that_old_keys_sign(
    seed: int, more: frozenset[Fault]
) -> None:
    outcome, world = run(replace(SLEEPY, seed=seed, faults=SLEEPY.faults | more), is_traced=True)

    assert outcome.verdict is RunVerdict.PASS
    assert world.discipline.latest.epoch >= 6
    assert any("old keys tell" in line for line in world.trace.lines)


def test_some_seeds_have_a_succession_and_nobody_is_faulty_in_it_who_votes_first() -> None:
    plans = [plan for plan in map(plan_of, range(300)) if Fault.SLEEP in plan.faults]

    assert 5 < len(plans) < 40
    for plan in plans:
        assert plan.spares == plan.n - 1
        assert all(key >= plan.n for key, _, _ in plan.ruins)
        assert Fault.MEMBERS not in plan.faults


def test_a_succession_leaves_none_but_the_sleeper_of_the_founders() -> None:
    world = World(seed=0, keys=range(7), n=4)
    succession = Succession(SLEEPY, world)

    assert succession.happen()

    latest = set(world.discipline.latest.replicas)
    assert {node.key for node in world.nodes[:4]} & latest == {succession.sleeper.key}
    assert not succession.sleeper.is_up


def test_whoever_aims_at_a_state_that_its_owners_did_not_certify_is_noticed() -> None:
    world = World(seed=0, keys=range(4), n=4)
    forged = checkpoint(8, Digest(bytes(32)), voters=(0, 1))

    world.on_aimed(world.nodes[0], Seq(8), forged.to_bytes())

    assert [breach[:11] for breach in world.breaches] == ["S9 transfer"]
