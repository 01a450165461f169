"""Peers are audited over a network that delays; some have deleted their blocks, or slander."""

from dataclasses import replace
from random import Random

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import AuditVerdict
from bftcluster.limits import AUDIT_DAY_MIN_MS
from bftcluster.reputation import AuditOutcome
from bftcluster_sim.cluster.adversary.audit_lies import (
    AUDIT_LIES,
    Colluder,
    Copier,
    Denier,
    Guesser,
    Mum,
    Slanderer,
)
from bftcluster_sim.cluster.environment.links import LinkFaults
from bftcluster_sim.cluster.peers.audit_speech import AuditLie
from bftcluster_sim.cluster.world import SETTINGS, World
from tests.simulation.test_beacons import PERIOD_MS, correct, dealt, work

AUDITED_MS = 60_000


def world_of(n: int, lies: dict[int, AuditLie] | None = None) -> World:
    settings = replace(SETTINGS, status_interval_ms=PERIOD_MS // 2)
    world = World(
        seed=n,
        keys=range(n),
        n=n,
        settings=settings,
        tracks=True,
        deals=True,
        audit_day_ms=AUDIT_DAY_MIN_MS,
    )
    world.links.faults = LinkFaults(delay_ms_min=1, delay_ms_max=50, loss_percent=2)
    world.audit_lies = dict(lies or {})
    world.faulty = set(world.audit_lies)
    for node in world.nodes:
        node.start()
    return world


def audited(world: World, for_ms: int = AUDITED_MS) -> dict[int, list[AuditVerdict]]:
    """Deal a key, let time pass, and return what came of the audits of each peer, by index."""
    dealt(world)
    work(world, for_ms)
    return ended(world)


def ended(world: World) -> dict[int, list[AuditVerdict]]:
    """Let contents come, check what must hold, and return what came of audits."""
    node = correct(world)[0]
    nodes = correct(world)

    def is_settled() -> bool:
        is_level = len({each.state.executed for each in nodes}) == 1
        return is_level and all(map(world.owes_nothing, nodes))

    assert world.run_until(world.clock.now_ms + 3 * PERIOD_MS, is_settled)
    for each in correct(world):
        world.check_end(each)
    found = queries.audit_verdicts(node.state.database)
    return {each.index: found.get(PeerId(each.key), []) for each in world.nodes}


def outcomes(verdicts: list[AuditVerdict]) -> set[AuditOutcome]:
    return {each.outcome for each in verdicts}


def test_peers_that_hold_what_they_should_pass() -> None:
    world = world_of(4)

    verdicts = audited(world)

    assert world.breaches == []
    assert all(outcomes(each) == {AuditOutcome.PASSED} for each in verdicts.values())


@pytest.mark.parametrize(
    "lie",
    [
        Guesser(),
        Colluder(),
        pytest.param(Copier(), marks=pytest.mark.slow),
        pytest.param(Mum(), marks=pytest.mark.slow),
    ],
    ids=lambda lie: type(lie).__name__,
)
def test_who_has_deleted_its_blocks_fails_whatever_it_says(lie: AuditLie) -> None:
    world = world_of(4, {3: lie})

    verdicts = audited(world, AUDITED_MS * (3 if isinstance(lie, Mum | Copier) else 1))

    assert world.breaches == []
    assert AuditOutcome.FAILED in outcomes(verdicts[3])
    assert all(outcomes(verdicts[index]) <= {AuditOutcome.PASSED} for index in range(3))


@pytest.mark.slow
def test_a_pair_that_agrees_on_a_lie_fails_where_one_other_answers() -> None:
    world = world_of(7, {0: Colluder(), 1: Colluder()})

    verdicts = audited(world)

    assert world.breaches == []
    assert AuditOutcome.FAILED in outcomes(verdicts[0]) & outcomes(verdicts[1])


@pytest.mark.parametrize("lie", [Denier(), Slanderer()], ids=lambda lie: type(lie).__name__)
def test_f_voters_that_lie_about_others_convict_nobody(lie: AuditLie) -> None:
    world = world_of(4, {3: lie})

    verdicts = audited(world)

    assert world.breaches == []
    assert all(outcomes(verdicts[index]) == {AuditOutcome.PASSED} for index in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_f_of_them_do_and_whoever_is_killed_nobody_honest_fails(seed: int) -> None:
    random = Random(seed)
    n = random.choice((4, 5, 7))
    liars = random.sample(range(n), (n - 1) // 3)
    world = world_of(n, {index: random.choice(AUDIT_LIES) for index in liars})
    dealt(world)
    for _ in range(12):
        node = random.choice(correct(world))
        node.kill()
        world.run_until(world.clock.now_ms + random.choice((10, 200, 2_000)))
        node.start()
        work(world, 5_000)

    verdicts = ended(world)

    assert world.breaches == []
    honest = set(range(n)) - set(liars)
    assert any(verdicts[index] for index in honest)
    assert AuditOutcome.FAILED not in {o for index in honest for o in outcomes(verdicts[index])}
