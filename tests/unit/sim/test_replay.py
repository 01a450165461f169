"""What a failing run prints can be given back to the command, and shows the same run."""

import json

import pytest

from bftcluster_cli.main import main
from bftcluster_sim.cluster.faults.plans import plan_of
from bftcluster_sim.cluster.peers.disks import WriteLoss
from bftcluster_sim.cluster.runs import crash_points, swarm, twins
from bftcluster_sim.cluster.runs.crash_points import Point
from bftcluster_sim.cluster.runs.swarm import RunOutcome
from bftcluster_sim.cluster.runs.twins import Script

RUNS = [
    swarm.run(plan_of(3))[0],
    swarm.run(plan_of(3, is_beyond_f=True))[0],
    twins.run(Script(4, ((0, (0, 0, 0, 1, 1)), (3, (0, 0, 0, 0, 1)))))[0],
    crash_points.run(Point(4, 1, 40, WriteLoss.TORN))[0],
]


def command(*words: str) -> int:
    return main(["sim", "cluster", *words, "--json"])


@pytest.mark.parametrize("outcome", RUNS, ids=[outcome.name for outcome in RUNS])
def test_the_name_of_a_run_replays_it(
    outcome: RunOutcome, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("replay", *f"--{outcome.name}".split()) == 0

    *trace, record = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert record["digest"] == outcome.digest
    assert record["verdict"] == outcome.verdict.value
    assert len(trace) > 50
    assert all(list(line) == ["trace"] for line in trace)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--seed", "1", "--twins", "0-00011"],
        ["--twins", "0-00011", "--shrink"],
        ["--twins", "0-0001"],
        ["--twins", "4-00011"],
        ["--twins", "0-00011,1-000111"],
        ["--twins", "x"],
        ["--crash", "4:4:1:TORN"],
        ["--crash", "4:0:1:BENT"],
        ["--crash", "4:0:TORN"],
    ],
)
def test_a_run_that_there_is_not_is_a_mistake_in_usage(words: list[str]) -> None:
    assert command("replay", *words) == 2


def test_a_seed_can_be_shrunk_before_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("replay", "--seed", "3", "--shrink") == 0

    told = capsys.readouterr()
    record = json.loads(told.out.splitlines()[-1])
    assert record["plan"] == "seed 3 n=4 faults: -; faulty: -"
    assert "shrunk in" in told.err


def test_the_campaigns_print_what_they_counted(capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> dict[str, object]:
        assert command(*words) == 0
        record: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return record

    some = told("swarm", "--seeds", "4", "--first-seed", "7", "--workers", "1")
    assert [some[key] for key in ("seeds", "diverged", "no_progress", "breaches")] == [4, 0, 0, {}]

    beyond = told("swarm", "--seeds", "12", "--faults", "f+1", "--workers", "1")
    assert beyond["diverged"] == beyond["culprits_named"] != 0
    assert beyond["honest_named"] == 0

    few = told("twins", "--views", "1", "--workers", "2")
    assert [few[key] for key in ("scenarios", "diverged", "no_progress")] == [24, 0, 0]

    rows = told("messages", "--replicas", "4,7")["rows"]
    assert [(row["n"], row["messages"], row["delays"], row["verifies"]) for row in rows] == [  # type: ignore[attr-defined]
        (4, 24, 3, 16),
        (7, 84, 3, 56),
    ]
