"""A peer gets so many answers of a kind per period, however often it asks."""

from bftcluster.ids import ReplicaId
from bftcluster.pbft import MessageReceived
from bftcluster.pbft.messages import FetchBody, Status
from bftcluster.pbft.throttle import AnswerKind, Throttle
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.readies import sent

PEER, OTHER = ReplicaId(sim_key(2)), ReplicaId(sim_key(3))


def test_one_peer_cannot_use_up_the_share_of_another() -> None:
    throttle = Throttle(period_ms=100)

    granted = [throttle.grants(PEER, AnswerKind.BODY, now_ms=0, count_max=2) for _ in range(4)]

    assert granted == [True, True, False, False]
    assert throttle.grants(OTHER, AnswerKind.BODY, now_ms=0)
    assert throttle.grants(PEER, AnswerKind.VOTES, now_ms=0)


def test_a_new_period_grants_anew() -> None:
    throttle = Throttle(period_ms=100)
    assert throttle.grants(PEER, AnswerKind.VOTES, now_ms=7)

    assert not throttle.grants(PEER, AnswerKind.VOTES, now_ms=106)
    assert throttle.grants(PEER, AnswerKind.VOTES, now_ms=107)


def test_a_flood_of_statuses_and_fetches_is_answered_sparingly() -> None:
    cluster = SimulatedCluster.running(4)
    cluster.partition({0, 1}, {2, 3})
    cluster.submit(b"request")
    cluster.run(10)
    primary = cluster.hosts[0].replica
    digest = primary._core.log.slots[1].proposal.digest
    status = Status(*(0,) * 6).frame()

    count = 0
    for frame in [status, FetchBody(digest).frame()] * 200:
        ready = primary.step(MessageReceived(PEER, frame), now_ms=cluster.clock.now_ms, wall_ms=0)
        count += len(sent(ready))

    assert count <= 30
