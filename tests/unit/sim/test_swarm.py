"""Verdicts: passed, stuck and split are different things, and each can be reached."""

from collections import Counter
from dataclasses import replace

import pytest

from bftcluster.ids import PeerId
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.adversary.behaviours import Vice
from bftcluster_sim.cluster.environment.traces import describe
from bftcluster_sim.cluster.faults.plans import Fault, Ruin, RunPlan, plan_of
from bftcluster_sim.cluster.runs import twins
from bftcluster_sim.cluster.runs.swarm import RunOutcome, RunVerdict, run
from bftcluster_sim.cluster.world import World
from tests.unit.pbft.builders import vote

NOTHING = frozenset[Vice]()
CALM = RunPlan(seed=1, n=4, faults=frozenset(), ruins=(), chaos_ms=500, requests=3)


def test_a_calm_run_passes_and_stays_in_its_view_until_only_a_quorum_is_left() -> None:
    outcome, world = run(CALM, is_traced=True)

    assert outcome.verdict is RunVerdict.PASS
    assert not outcome.breaches
    lines = world.trace.lines
    calm = lines[: next(i for i, line in enumerate(lines) if "healed:" in line)]
    decided = [line for line in calm if " decides " in line]
    assert len(decided) >= world.membership.n
    assert all(line.endswith("in view 0") for line in decided)


def ruined(ruin: Ruin, *keys: int) -> RunOutcome:
    return run(replace(CALM, ruins=tuple((key, ruin, NOTHING) for key in keys)))[0]


def test_without_a_quorum_of_correct_replicas_nothing_is_decided_and_nothing_goes_wrong() -> None:
    outcome = ruined(Ruin.DEAD, 0, 1)

    assert outcome.verdict is RunVerdict.NO_PROGRESS
    assert not outcome.breaches


@pytest.mark.parametrize("ruin", [Ruin.DEAD, Ruin.TWIN, Ruin.BAD_DISK, Ruin.HASTY])
def test_one_ruined_primary_of_four_stops_nobody(ruin: Ruin) -> None:
    assert ruined(ruin, 0).verdict is RunVerdict.PASS


def test_a_key_that_runs_twice_and_is_caught_is_evicted_in_every_ledger() -> None:
    plan = replace(CALM, ruins=((0, Ruin.TWIN, NOTHING),), chaos_ms=2_000, requests=8)

    outcome, world = run(plan)

    assert outcome.verdict is RunVerdict.PASS
    culprit = {PeerId(world.nodes[0].key)}
    correct = [node for node in world.nodes if node.is_correct]
    assert len(correct) == 3
    assert all(node.state.standings() == (culprit, culprit) for node in correct)


@pytest.mark.parametrize("seed", [2, 7], ids=["Guesser", "Colluder"])
def test_a_deleter_is_found_by_audits_and_evicted_in_every_ledger(seed: int) -> None:
    faults = frozenset({Fault.AUDIT, Fault.CONTENT})
    ruins = ((3, Ruin.CHEAT, NOTHING),)
    plan = replace(CALM, seed=seed, faults=faults, ruins=ruins, chaos_ms=45_000, requests=16)

    outcome, world = run(plan)

    assert outcome.verdict is RunVerdict.PASS
    culprit = {PeerId(world.nodes[3].key)}
    correct = [node for node in world.nodes if node.is_correct]
    assert all(node.state.failed() == culprit for node in correct)
    assert all(node.state.standings()[1] == culprit for node in correct)


def test_one_seed_of_fifty_has_audits_and_most_of_the_faulty_cheat_in_them() -> None:
    plans = [plan_of(seed) for seed in range(2_000)]
    audited = [plan for plan in plans if Fault.AUDIT in plan.faults]

    assert 25 <= len(audited) <= 55
    kinds = Counter(ruin for plan in audited for _, ruin, _ in plan.ruins)
    assert kinds[Ruin.CHEAT] > kinds.total() // 2
    for plan in plans:
        cheats = [ruin for _, ruin, _ in plan.ruins if ruin is Ruin.CHEAT]
        assert not cheats or plan in audited
        assert plan not in audited or len(plan.ruins) <= (plan.n - 1) // 3


def forked(seed: int) -> tuple[RunOutcome, World]:
    ruins = ((0, Ruin.TWIN, NOTHING), (1, Ruin.TWIN, NOTHING))
    return run(replace(CALM, seed=seed, ruins=ruins, is_beyond_f=True, chaos_ms=2_000, requests=8))


def test_twice_f_plus_one_fork_the_log_and_exactly_they_are_named() -> None:
    outcomes = [forked(seed) for seed in range(12)]
    split = [(outcome, world) for outcome, world in outcomes if outcome.is_split]

    assert split, "the checkers must fire"
    for outcome, world in split:
        assert outcome.verdict is RunVerdict.DIVERGED
        assert any(breach.startswith("S1 agreement") for breach in outcome.breaches)
        assert world.auditor.culprits == {world.nodes[0].key, world.nodes[1].key}
        assert (outcome.culprits, outcome.weak_quorum, outcome.honest_named) == (2, 2, 0)


def test_a_run_is_the_same_when_it_is_run_again_and_another_seed_is_another_run() -> None:
    again = [run(replace(CALM, seed=seed), is_traced=True) for seed in (1, 1, 2)]

    (first, one), (second, two), (third, _) = again
    assert one.trace.lines == two.trace.lines
    assert first == second
    assert first.digest != third.digest


def test_keeping_a_trace_does_not_change_the_run() -> None:
    assert run(CALM)[0].digest == run(CALM, is_traced=True)[0].digest


def test_a_trace_is_readable() -> None:
    lines = run(CALM, is_traced=True)[1].trace.lines

    assert lines[0].split()[1:3] == ["seed", "1"]
    assert any("client -> " in line for line in lines)
    assert any("decides 1" in line and "in view 0" in line for line in lines)
    assert describe(vote(VoteKind.COMMIT, 1, seq=7, view=2).frame()).startswith("COMMIT [0, 2, 7]")


@pytest.mark.parametrize(("n", "views", "count"), [(4, 1, 24), (4, 2, 576), (7, 1, 77)])
def test_scripts_are_counted_up_to_symmetry(n: int, views: int, count: int) -> None:
    scripts = list(twins.scripts(n, views))

    assert len(scripts) == len(set(scripts)) == count


def test_a_script_decides_who_is_primary_and_who_hears_whom() -> None:
    """The twins with one peer each, and one peer alone: no quorum until the script is over."""
    parted = (3, (0, 0, 0, 1, 1))
    outcome, world = twins.run(twins.Script(4, (parted, parted)), is_traced=True)

    assert outcome.verdict is RunVerdict.PASS
    assert world.membership.primary(0) == world.nodes[3].key  # type: ignore[arg-type]
    decided = [line for line in world.trace.lines if " decides " in line]
    assert decided
    assert all("view 0" not in line and "view 1" not in line for line in decided)


@pytest.mark.parametrize(("ruins", "away"), [((), 1), (((0, Ruin.DEAD, NOTHING),), 0)])
def test_where_members_change_no_more_stay_away_than_any_membership_bears(
    ruins: tuple[tuple[int, Ruin, frozenset[Vice]], ...], away: int
) -> None:
    for seed in range(4):
        plan = replace(CALM, seed=seed, faults=frozenset({Fault.MEMBERS}), ruins=ruins)
        outcome, world = run(replace(plan, chaos_ms=2_000), is_traced=True)

        (healed,) = [line for line in world.trace.lines if " healed: " in line]
        gone = healed.split("away: ")[1].strip("[]")
        assert len(gone.split(",") if gone else []) == away
        assert outcome.verdict is RunVerdict.PASS
