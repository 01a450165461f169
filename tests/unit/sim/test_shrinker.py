"""A plan that fails becomes a smaller one that fails alike."""

from dataclasses import replace

import pytest

from bftcluster_sim.cluster.adversary.behaviours import Vice
from bftcluster_sim.cluster.faults.plans import Fault, Ruin, RunPlan, plan_of
from bftcluster_sim.cluster.runs.shrinker import search, shrink
from bftcluster_sim.cluster.runs.swarm import RunVerdict, run

RARE = {Fault.MEMBERS, Fault.CONTENT, Fault.MUTE, Fault.PRUNE, Fault.SLEEP, Fault.AUDIT}
BIG = RunPlan(
    seed=1,
    n=7,
    faults=frozenset(Fault),
    ruins=(
        (0, Ruin.VICES, frozenset({Vice.MUTATE, Vice.SILENT, Vice.REPLAY})),
        (1, Ruin.BAD_DISK, frozenset()),
    ),
    chaos_ms=4_000,
    requests=12,
)


def test_everything_that_does_not_matter_goes() -> None:
    smallest, attempts = search(BIG, lambda _: True)

    assert smallest == RunPlan(seed=1, n=4, faults=frozenset(), ruins=(), chaos_ms=250, requests=1)
    assert attempts < 40


def test_what_matters_stays() -> None:
    def fails(plan: RunPlan) -> bool:
        has_mutant = any(Vice.MUTATE in vices for _, _, vices in plan.ruins)
        return has_mutant and Fault.CRASH in plan.faults and plan.requests >= 3

    smallest, _ = search(BIG, fails)

    assert smallest.faults == {Fault.CRASH}
    assert smallest.ruins == ((0, Ruin.VICES, frozenset({Vice.MUTATE})),)
    assert (smallest.n, smallest.chaos_ms, smallest.requests) == (4, 250, 3)


def test_a_plan_of_which_nothing_can_go_is_left_as_it_is() -> None:
    smallest, attempts = search(BIG, lambda plan: plan == BIG)

    assert smallest == BIG
    assert attempts > 0


@pytest.mark.parametrize("attempts_max", [0, 5])
def test_a_search_ends_after_so_many_attempts(attempts_max: int) -> None:
    assert search(BIG, lambda _: True, attempts_max=attempts_max)[1] == attempts_max


def test_a_real_failure_shrinks_to_one_that_still_fails() -> None:
    """Two of four replicas that never run again: no quorum is left, so nothing is decided."""
    dead = ((1, Ruin.DEAD, frozenset[Vice]()), (3, Ruin.DEAD, frozenset[Vice]()))
    plan = replace(BIG, n=4, faults=frozenset({Fault.LOSS, Fault.SKEW}), ruins=dead)
    assert run(plan)[0].verdict is RunVerdict.NO_PROGRESS

    smallest, attempts = shrink(plan, RunVerdict.NO_PROGRESS)

    assert run(smallest)[0].verdict is RunVerdict.NO_PROGRESS
    assert (smallest.faults, smallest.requests) == (frozenset(), 1)
    assert len(smallest.ruins) == 2
    assert attempts > 5


def test_a_plan_follows_from_its_seed_and_seeds_differ() -> None:
    plans = [plan_of(seed) for seed in range(300)]

    assert plans == [plan_of(seed) for seed in range(300)]
    assert len({plan.describe() for plan in plans}) == 300
    assert any(plan.may_stop for plan in plans)
    assert {fault for plan in plans for fault in plan.faults} == set(Fault)
    assert {ruin for plan in plans for _, ruin, _ in plan.ruins} == set(Ruin)
    assert {vice for plan in plans for *_, vices in plan.ruins for vice in vices} == set(Vice)
    for plan in plans:
        assert (len(plan.ruins) > (plan.n - 1) // 3) is plan.may_stop
        assert not plan.may_stop or {ruin for _, ruin, _ in plan.ruins} == {Ruin.WIPED}
        half = (len(Fault) - len(RARE)) // 2
        assert half - (Fault.SLEEP in plan.faults) <= len(plan.faults - RARE) <= half


def test_a_plan_beyond_f_ruins_one_more_than_the_cluster_bears() -> None:
    for seed in range(100):
        plan = plan_of(seed, is_beyond_f=True)
        assert len(plan.ruins) == (plan.n - 1) // 3 + 1
