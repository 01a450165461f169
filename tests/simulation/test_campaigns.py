"""What the simulator has to show on fixed seeds: all scripts of twins, a swarm, all crash points.

A failure names the run, and the command that replays it line by line.
"""

from collections.abc import Iterable

import pytest

from bftcluster_sim.cluster import crash_points, swarm, twins
from bftcluster_sim.cluster.plans import plan_of
from bftcluster_sim.cluster.swarm import Outcome, Verdict

pytestmark = pytest.mark.slow

VIEWS = 2
SEEDS = 100


def failures(outcomes: Iterable[Outcome]) -> str:
    """Return, for each run that did not pass, why, and how to see it again."""
    return "\n".join(
        f"{outcome.verdict.value}: {'; '.join(outcome.breaches[:3])}\n"
        f"  bftcluster sim cluster replay --{outcome.name}"
        for outcome in outcomes
        if outcome.verdict is not Verdict.PASS or outcome.honest_named
    )


@pytest.mark.parametrize("primary", range(4))
def test_every_script_of_twins_passes(primary: int) -> None:
    """One key of four runs twice; 4 primaries and 6 partitions in each of two views."""
    scripts = [one for one in twins.scripts(4, VIEWS) if one.rounds[0][0] == primary]
    assert len(scripts) * 4 == 576

    assert failures(twins.run(script)[0] for script in scripts) == ""


@pytest.mark.parametrize("first", range(0, 4 * SEEDS, SEEDS))
def test_every_seed_of_a_swarm_passes(first: int) -> None:
    outcomes = [swarm.run(plan_of(seed))[0] for seed in range(first, first + SEEDS)]

    assert failures(outcomes) == ""


@pytest.mark.parametrize("peer", range(4))
def test_a_crash_at_any_boundary_loses_and_contradicts_nothing(peer: int) -> None:
    points = [point for point in crash_points.points(4) if point.peer == peer]
    assert len({point.boundary for point in points}) > 60
    assert len(points) == len({point.boundary for point in points}) * len(crash_points.LOSSES)

    assert failures(crash_points.run(point)[0] for point in points) == ""


def test_beyond_f_forks_are_found_and_their_culprits_named() -> None:
    outcomes = [swarm.run(plan_of(seed, is_beyond_f=True))[0] for seed in range(SEEDS)]

    forks = [outcome for outcome in outcomes if outcome.is_split]
    assert forks, "the checkers must fire"
    assert [one.name for one in forks if one.culprits < one.weak_quorum] == []
    assert [one.name for one in outcomes if one.honest_named] == []
