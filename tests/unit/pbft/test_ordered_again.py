"""What was refused when it was ordered may be wanted later: the state decides, and a pace holds."""

import pytest

from bftcluster.limits import DECIDED_AGAIN_MS
from bftcluster.pbft import ReplicaSettings
from bftcluster.pbft.messages import Requests
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.pbft.builders import WantsAll

PRIMARY, FOLLOWER = 0, 4
REFUSED = b"refused for now"


@pytest.fixture
def cluster() -> SimulatedCluster:
    """One in which a request was just ordered, and refused."""
    cluster = SimulatedCluster(4, spare=1, settings=ReplicaSettings())
    cluster.start()
    for host in cluster.hosts:
        host.replica._core.application = WantsAll()
    cluster.run(10)
    cluster.submit(REFUSED, to=1)
    cluster.run(100)
    assert ordered(cluster) == 1
    return cluster


def ordered(cluster: SimulatedCluster) -> int:
    [count] = {host.requests.count(REFUSED) for host in cluster.hosts}
    return count


def is_calm(cluster: SimulatedCluster) -> bool:
    pending = {host.replica.stats.pending_requests for host in cluster.hosts}
    return pending == {0} and {host.replica.view for host in cluster.hosts} == {0}


@pytest.mark.parametrize("to", [PRIMARY, 1, 2, FOLLOWER])
def test_what_a_client_hands_in_again_is_ordered_again(cluster: SimulatedCluster, to: int) -> None:
    cluster.run(DECIDED_AGAIN_MS)

    cluster.submit(REFUSED, to=to)
    cluster.run(1_000)

    assert ordered(cluster) == 2
    assert is_calm(cluster)


@pytest.mark.parametrize("to", [PRIMARY, 1, 2, FOLLOWER])
def test_what_is_handed_in_again_at_once_waits_for_its_time(
    cluster: SimulatedCluster, to: int
) -> None:
    for _ in range(3):
        cluster.submit(REFUSED, to=to)
        cluster.run(DECIDED_AGAIN_MS // 4)
    assert ordered(cluster) == 1

    cluster.run(DECIDED_AGAIN_MS)

    assert ordered(cluster) == 2
    assert is_calm(cluster)


def test_nobody_has_what_was_refused_ordered_more_often_than_that(
    cluster: SimulatedCluster,
) -> None:
    frame = Requests((REFUSED,), relayed=True).frame()
    for _ in range(100):
        for host in cluster.hosts[:3]:
            host.receive(cluster.hosts[3].me, frame)
            host.receive(cluster.hosts[FOLLOWER].me, frame)
        cluster.submit(REFUSED, to=1)
        cluster.run(DECIDED_AGAIN_MS // 20)

    assert 5 <= ordered(cluster) <= 6
    assert is_calm(cluster)


@pytest.mark.parametrize("restarted", [(1,), (1, 2), (2, 3), (0, 1, 2, 3)])
def test_who_restarted_blames_nobody_for_it(
    cluster: SimulatedCluster, restarted: tuple[int, ...]
) -> None:
    for index in restarted:
        cluster.hosts[index].stop()
        cluster.hosts[index].start()
        cluster.hosts[index].replica._core.application = WantsAll()
        cluster.run(1_000)

    cluster.submit(REFUSED, to=1)
    cluster.run(2 * DECIDED_AGAIN_MS)

    assert ordered(cluster) == 2
    assert is_calm(cluster)


def test_what_was_decided_before_a_restart_is_ordered_again_when_its_time_is_over(
    cluster: SimulatedCluster,
) -> None:
    cluster.run(DECIDED_AGAIN_MS - 2_000)
    for host in cluster.hosts[:3]:
        host.stop()
        host.start()
        host.replica._core.application = WantsAll()
        cluster.run(500)

    cluster.run(1_000)
    cluster.submit(REFUSED, to=1)
    cluster.run(1_000)

    assert ordered(cluster) == 2


def test_what_is_ordered_again_and_again_holds_up_no_other_retry(cluster: SimulatedCluster) -> None:
    other = b"refused as well"
    cluster.submit(other, to=1)
    cluster.run(100)
    for request in (REFUSED, other):
        cluster.submit(request, to=1)

    for _ in range(5):  # A primary that has its own idea of how often.
        cluster.run(DECIDED_AGAIN_MS - 2_000)
        pool = cluster.hosts[PRIMARY].replica._core.pool
        pool._decided.clear()
        cluster.hosts[PRIMARY].receive(
            cluster.hosts[3].me, Requests((REFUSED,), relayed=False).frame()
        )

    assert cluster.hosts[1].requests.count(other) == 2
