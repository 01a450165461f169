"""What makes a cluster degraded or endangered, and which loss would be the worst."""

from dataclasses import replace

import pytest

from bftcluster.api.health_views import ClusterHealthView, HealthGrade, PinCounts
from bftcluster.ledger.state import queries
from bftcluster.node.service.health.cluster_health import findings_of, losses_of
from tests.unit.api.memory_peers import WELL
from tests.unit.ledger.departures import pin, report_all
from tests.unit.ledger.world import GIB, PEERS, World, genesis_of, peer_id
from tests.unit.node.loops.test_census import tally_of

COUNTED = PinCounts(counted_ms=0, pins=9)


def found(view: ClusterHealthView) -> list[tuple[str, HealthGrade]]:
    return [(each.code, each.grade) for each in findings_of(view)]


def test_of_a_cluster_that_is_well_there_is_nothing_to_say() -> None:
    assert found(WELL) == []
    assert found(replace(WELL, counts=None, beacon_period=None)) == []


@pytest.mark.parametrize(
    ("change", "code", "grade"),
    [
        ({"waiting": 3}, "waiting", HealthGrade.DEGRADED),
        ({"last_copies": 1}, "last-copy", HealthGrade.ENDANGERED),
        ({"counts": replace(COUNTED, short=1)}, "short", HealthGrade.DEGRADED),
        ({"counts": replace(COUNTED, endangered=1)}, "one-copy", HealthGrade.ENDANGERED),
        ({"counts": replace(COUNTED, missing=1)}, "missing", HealthGrade.ENDANGERED),
        ({"absent": ("p",)}, "absent", HealthGrade.DEGRADED),
        ({"suspended": ("p",)}, "suspended", HealthGrade.DEGRADED),
        ({"evictions_waiting": 2}, "evictions", HealthGrade.DEGRADED),
        ({"reached": 3}, "last-quorum", HealthGrade.ENDANGERED),
        ({"reached": 2}, "no-quorum", HealthGrade.ENDANGERED),
        ({"reached": 6, "voters": 7, "quorum": 5}, "voters", HealthGrade.DEGRADED),
        ({"beacon_period": 18}, "beacon", HealthGrade.DEGRADED),
        ({"losses": (replace(WELL.losses[0], room_bytes=1),)}, "no-room", HealthGrade.DEGRADED),
    ],
)
def test_each_thing_that_is_not_as_it_should_be_is_named(
    change: dict[str, object], code: str, grade: HealthGrade
) -> None:
    assert found(replace(WELL, **change)) == [(code, grade)]


def test_a_beacon_may_be_a_period_late() -> None:
    assert found(replace(WELL, beacon_period=19)) == []


def test_the_worst_comes_first() -> None:
    view = replace(WELL, waiting=1, last_copies=1, absent=("p",))

    assert found(view)[0][0] == "last-copy"


def test_the_peer_that_more_pins_need_is_the_worst_to_lose() -> None:
    world = World(genesis_of(domains=("cellar", "cellar", "attic", "attic")))
    world.join_all()
    pin(world, range(9), 2)
    report_all(world, range(9))
    tally, peers = tally_of(world), queries.peers(world.store)
    held = dict.fromkeys(peers, GIB)

    peer, domain = losses_of(peers, peers, held, tally)

    assert peer.pins_short == max(tally.without_peer.values())
    assert (peer.moved_bytes, peer.room_bytes, peer.fits) == (GIB, 3 * GIB, True)
    assert domain.name in {"cellar", "attic"}
    assert (domain.pins_short, len(domain.peers)) == (9, 2)
    assert (domain.moved_bytes, domain.room_bytes) == (2 * GIB, 2 * GIB)


def test_one_that_would_not_fit_is_worse_than_any_that_would() -> None:
    world = World()
    world.join_all()
    peers = queries.peers(world.store)
    held = dict.fromkeys(peers, 0) | {peer_id(PEERS[2]): 4 * GIB}

    [loss] = losses_of(peers, peers, held, None)

    assert loss.peers == (peer_id(PEERS[2]),)
    assert (loss.fits, loss.pins_short) == (False, None)
