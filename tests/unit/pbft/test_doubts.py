"""Who gives up a view, and with whom: a silent peer and a mistaken one cost one view together."""

from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.ids import Epoch, View
from bftcluster.pbft import MessageReceived, ReplicaSettings
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import DOUBT, REQUESTS, Doubt
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.pbft.builders import vote

SETTINGS = ReplicaSettings(request_timeout_ms=400, view_change_timeout_ms=1_000)
DUE_MS = SETTINGS.request_timeout_ms + SETTINGS.view_change_timeout_ms
"""A request is relayed, and then the primary has so long to order it."""


def aggrieved(*hosts: int, n: int = 4) -> SimulatedCluster:
    """Return a cluster in which each of ``hosts`` alone knows of a request, for ever."""
    cluster = SimulatedCluster.running(n, settings=SETTINGS)
    cluster.network.cut = lambda source, _target, frame: (
        source in hosts and kind_of(frame) == REQUESTS
    )
    for host in hosts:
        cluster.submit(b"unheard %d" % host, to=host)
    return cluster


def views(cluster: SimulatedCluster) -> list[View]:
    return [host.replica.view for host in cluster.hosts if host.is_up]


def test_beside_a_backup_that_alone_has_a_reason_a_silent_peer_costs_no_view() -> None:
    cluster = aggrieved(2)
    cluster.run(2 * DUE_MS)
    cluster.hosts[3].stop()

    took_ms = []
    for number in range(6):
        cluster.submit(b"request %d" % number)
        begin_ms, decided = cluster.clock.now_ms, number + 1
        assert cluster.run_until(
            lambda: all(h.replica.last_decided == decided for h in cluster.hosts if h.is_up),  # noqa: B023
            limit_ms=60_000,
        )
        took_ms.append(cluster.clock.now_ms - begin_ms)
        cluster.run(2 * DUE_MS)

    assert max(took_ms) < 10
    assert views(cluster) == [0, 0, 0]


def test_a_slot_that_a_vote_opened_long_ago_leaves_the_primary_all_its_time() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    stray = vote(VoteKind.PREPARE, 3, seq=1).frame()
    for host in cluster.hosts[1:3]:
        host.receive(cluster.hosts[3].me, stray)
    cluster.run(10 * DUE_MS)

    cluster.network.cut = lambda _source, _target, frame: kind_of(frame) == VoteKind.COMMIT
    cluster.network.sent.clear()
    cluster.submit(b"request")
    cluster.run(DUE_MS // 2)
    assert not [frame for _, _, _, frame in cluster.network.sent if kind_of(frame) == DOUBT]

    cluster.heal()
    cluster.run(DUE_MS)
    assert views(cluster) == [0, 0, 0, 0]
    assert cluster.hosts[1].requests == [b"request"]


def test_a_silent_primary_costs_one_view_and_the_others_stay_in_the_next() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    cluster.hosts[0].stop()

    for number in range(6):
        cluster.submit(b"request %d" % number, to=2)
        cluster.run(2 * DUE_MS)

    assert views(cluster) == [1, 1, 1]
    assert cluster.hosts[2].requests == [b"request %d" % number for number in range(6)]


@pytest.mark.parametrize(("aggrieved_hosts", "view"), [((2,), 0), ((2, 3), 0), ((2, 3, 4), 1)])
def test_as_many_as_may_be_liars_leave_no_view(aggrieved_hosts: tuple[int, ...], view: int) -> None:
    cluster = aggrieved(*aggrieved_hosts, n=7)

    cluster.run(DUE_MS + SETTINGS.view_change_timeout_ms // 2)

    assert views(cluster) == [view] * 7


def test_one_whose_timers_are_ten_times_too_fast_doubts_and_leaves_no_view() -> None:
    cluster = SimulatedCluster(4, settings=SETTINGS)
    cluster.network.faults.delay_ms_min = cluster.network.faults.delay_ms_max = 100
    cluster.hosts[3]._settings = replace(
        SETTINGS, request_timeout_ms=40, view_change_timeout_ms=100
    )
    cluster.start()

    for number in range(20):
        cluster.submit(b"request %d" % number, to=number % 4)
        cluster.run(500)

    doubters = {source for _, source, _, f in cluster.network.sent if codec.decode(f)[0] == DOUBT}
    assert doubters == {3}
    assert views(cluster) == [0] * 4
    assert [len(host.requests) for host in cluster.hosts] == [20] * 4


def test_the_doubts_of_others_move_nobody_who_has_no_reason() -> None:
    cluster = aggrieved()
    for liar in (2, 3):
        frame = Doubt(Epoch(0), View(0)).frame()
        cluster.hosts[1].step(MessageReceived(cluster.hosts[liar].me, frame))

    cluster.run(2 * DUE_MS)

    assert views(cluster) == [0] * 4


@pytest.mark.parametrize(
    ("sender", "doubt", "age_ms"),
    [
        (4, Doubt(Epoch(0), View(0)), 0),
        (3, Doubt(Epoch(0), View(1)), 0),
        (3, Doubt(Epoch(1), View(0)), 0),
        (3, Doubt(Epoch(0), View(0)), 3 * SETTINGS.request_timeout_ms),
        (2, Doubt(Epoch(0), View(0)), 0),
    ],
    ids=["no member", "another view", "another epoch", "long ago", "our own words"],
)
def test_a_doubt_that_does_not_count(sender: int, doubt: Doubt, age_ms: int) -> None:
    cluster = aggrieved(2)
    cluster.run(DUE_MS - 5 - age_ms)
    names = [host.me for host in SimulatedCluster(5).hosts]

    cluster.hosts[2].step(MessageReceived(names[sender], doubt.frame()))
    cluster.run(DUE_MS)

    assert views(cluster) == [0] * 4
    assert cluster.hosts[2].replica.is_active


def test_of_two_who_doubt_the_first_waits_for_the_second() -> None:
    cluster = aggrieved(2)
    cluster.run(DUE_MS + 100)
    assert cluster.hosts[2].replica.is_active

    cluster.hosts[2].step(MessageReceived(cluster.hosts[3].me, Doubt(Epoch(0), View(0)).frame()))

    assert not cluster.hosts[2].replica.is_active
