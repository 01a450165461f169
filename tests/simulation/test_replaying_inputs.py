"""A replica is a function of what it is told: told the same, it says the same, bit by bit."""

from collections.abc import Iterator
from random import Random

import pytest

from bftcluster.ids import Digest
from bftcluster.pbft import Application, Event, Ready, Replica
from bftcluster_sim.cluster import world
from bftcluster_sim.cluster.environment.clocks import VirtualClock
from bftcluster_sim.cluster.faults.plans import plan_of
from bftcluster_sim.cluster.peers import nodes
from bftcluster_sim.cluster.peers.disks import WriteLoss
from bftcluster_sim.cluster.runs import crash_points, swarm
from bftcluster_sim.cluster.runs.swarm import RunVerdict

SEEDS = (3, 8, 21, 34, 55)
TIES = 40
NO_CRASH = crash_points.Point(4, 0, 1_000_000, WriteLoss.ALL)
"""The story of the crash points, told to its end: six decisions and a change of view."""


class Judged:
    """What a replica was told of requests; of the state it knows no more than that."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.answers: list[bool] = []

    def admissible(self, request: bytes) -> bool:
        return self._application.admissible(request)

    def name(self, request: bytes) -> Digest:
        return self._application.name(request)

    def is_wanted(self, request: bytes) -> bool:
        self.answers.append(self._application.is_wanted(request))
        return self.answers[-1]

    def is_owed(self, request: bytes) -> bool:
        self.answers.append(self._application.is_owed(request))
        return self.answers[-1]

    def again(self) -> "Judged":
        """Return what gives the same answers."""
        answers = iter(self.answers)
        played = Judged(self._application)
        played.is_wanted = lambda _request: next(answers)  # type: ignore[method-assign]
        played.is_owed = lambda _request: next(answers)  # type: ignore[method-assign]
        return played


class Recorded:
    """One life of a replica, and everything that it was told and said."""

    lives: list["Recorded"]

    def __init__(self, *, application: Application, **given: object) -> None:
        self.given = given
        self.judged = Judged(application)
        self._replica = Replica(application=self.judged, **given)
        self.turns: list[tuple[tuple[Event, ...] | None, dict[str, int], Ready]] = []
        self.lives.append(self)

    def start(self, **time: int) -> Ready:
        ready = self._replica.start(**time)
        self.turns.append((None, time, ready))
        return ready

    def step(self, *events: Event, **time: int) -> Ready:
        ready = self._replica.step(*events, **time)
        self.turns.append((events, time, ready))
        return ready

    def __getattr__(self, name: str) -> object:
        return getattr(self._replica, name)


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Recorded]]:
    """Every life of every replica that is simulated meanwhile."""
    monkeypatch.setattr(Recorded, "lives", [], raising=False)
    monkeypatch.setattr(nodes, "Replica", Recorded)
    return Recorded.lives


@pytest.mark.parametrize("seed", SEEDS)
def test_each_life_of_each_replica_can_be_played_again(lives: list[Recorded], seed: int) -> None:
    swarm.run(plan_of(seed))

    assert len(lives) >= 4
    for life in lives:
        again = Replica(application=life.judged.again(), **life.given)
        for events, time, said in life.turns:
            assert (again.start(**time) if events is None else again.step(*events, **time)) == said
        assert again.live_records() == life.live_records()


@pytest.mark.parametrize("seed", range(TIES))
def test_the_order_of_what_happens_at_once_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(world, "VirtualClock", lambda: VirtualClock(ties=Random(seed)))

    outcome, told = crash_points.run(NO_CRASH)

    assert (outcome.verdict, outcome.breaches) == (RunVerdict.PASS, ())
    assert len({node.state.chain for node in told.nodes}) == 1
