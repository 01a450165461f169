"""Anybody can make variants of a request that have its effect: they are ordered as one."""

import pytest

from bftcluster.ids import Digest, Seq
from bftcluster.limits import DECIDED_AGAIN_MS
from bftcluster.pbft import Batch, MessageReceived, Replica, RequestSubmitted, Verdict
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body, Requests
from bftcluster.pbft.pool import request_digest
from bftcluster.pbft.steps import Notice
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import WALL_EPOCH_MS
from tests.unit.pbft.builders import WantsAll, vote
from tests.unit.pbft.readies import sent, those

FOLLOWER = 4
VARIANTS = [b"intent|signed by choice %d" % number for number in range(40)]


class Variants(WantsAll):
    """A state that refuses everything, and wants everything; a name ends before the bar."""

    def admissible(self, request: bytes) -> bool:
        return not request.endswith(b"forged")

    def name(self, request: bytes) -> Digest:
        return request_digest(request.partition(b"|")[0])


@pytest.fixture
def cluster() -> SimulatedCluster:
    cluster = SimulatedCluster(4, spare=1)
    for host in cluster.hosts:
        host.application = Variants
    cluster.start()
    cluster.run(10)
    return cluster


def ordered(cluster: SimulatedCluster) -> list[bytes]:
    [first, *others] = [
        [each for each in host.requests if each in VARIANTS] for host in cluster.hosts
    ]
    assert all(other == first for other in others)
    return first


def is_calm(cluster: SimulatedCluster) -> bool:
    pending = {host.replica.stats.pending_requests for host in cluster.hosts}
    return pending == {0} and {host.replica.view for host in cluster.hosts} == {0}


def test_of_the_variants_that_everybody_is_handed_at_once_one_is_ordered(
    cluster: SimulatedCluster,
) -> None:
    stranger = cluster.hosts[FOLLOWER].me
    for number, variant in enumerate(VARIANTS):
        host = cluster.hosts[number % 4]
        host.receive(stranger, Requests((variant,), relayed=True).frame())
        cluster.submit(variant, to=(number + 1) % 4)

    cluster.run(DECIDED_AGAIN_MS // 2)

    assert len(ordered(cluster)) == 1


def test_variants_that_come_all_the_time_are_ordered_at_the_pace_of_one_request(
    cluster: SimulatedCluster,
) -> None:
    stranger = cluster.hosts[FOLLOWER].me
    for number in range(100):
        host = cluster.hosts[number % 4]
        host.receive(stranger, Requests((VARIANTS[number % 40],), relayed=True).frame())
        cluster.submit(VARIANTS[(number + 7) % 40], to=number % 3)
        cluster.run(DECIDED_AGAIN_MS // 20)

    assert 5 <= len(ordered(cluster)) <= 6
    assert {host.replica.view for host in cluster.hosts} == {0}


@pytest.mark.parametrize("to", range(4))
def test_a_client_whose_variant_was_not_the_one_makes_nobody_blame_the_primary(
    cluster: SimulatedCluster, to: int
) -> None:
    for number in range(4):
        cluster.submit(VARIANTS[number], to=number)
    cluster.run(1_000)

    cluster.submit(VARIANTS[9], to=to)
    cluster.run(2 * DECIDED_AGAIN_MS)

    assert len(ordered(cluster)) == 2
    assert is_calm(cluster)


def test_who_starts_again_knows_variants_of_what_was_decided(cluster: SimulatedCluster) -> None:
    cluster.submit(VARIANTS[0], to=0)
    cluster.run(1_000)
    for host in cluster.hosts[:4]:
        host.stop()
        host.start()
    cluster.run(100)

    cluster.submit(VARIANTS[1], to=0)
    cluster.run(DECIDED_AGAIN_MS // 2)

    assert ordered(cluster) == [VARIANTS[0]]


def test_a_variant_is_not_taken_for_judged_because_another_was(cluster: SimulatedCluster) -> None:
    backup, primary = cluster.hosts[1].replica, cluster.hosts[0].me
    submit(backup, b"intent|good", primary=primary)
    body = Batch(WALL_EPOCH_MS + 20, (b"intent|forged",)).to_bytes()

    readies = [
        backup.step(MessageReceived(primary, frame), now_ms=20, wall_ms=WALL_EPOCH_MS + 20)
        for frame in (
            Body(body).frame(),
            vote(VoteKind.PRE_PREPARE, 0, seq=Seq(1), digest=batch_digest(body)).frame(),
        )
    ]

    assert [report.verdict for report in those(Notice, *readies)] == [Verdict.INADMISSIBLE]


def submit(backup: Replica, request: bytes, *, primary: object) -> None:
    ready = backup.step(RequestSubmitted(request), now_ms=20, wall_ms=WALL_EPOCH_MS + 20)
    assert [out.to for out in sent(ready)] == [primary]
    assert backup.stats.pending_requests == 1


def test_a_primary_proposes_nothing_that_it_knows_to_be_wrong_by_now(
    cluster: SimulatedCluster,
) -> None:
    known: set[bytes] = set()
    primary = cluster.hosts[0]

    class Learning(Variants):
        def admissible(self, request: bytes) -> bool:
            return request not in known

    application = Learning(())
    primary.replica._core.application = application
    cluster.partition({0}, {1, 2, 3, 4})
    for number in range(primary.replica._core.settings.slots_in_flight_max + 1):
        cluster.submit(b"%d" % number, to=0)
    waiting = [each.request for each in primary.replica._core.pool.waiting.values()]
    assert waiting
    known.update(waiting)

    cluster.heal()
    cluster.run(1_000)

    assert primary.requests
    assert not known & set(primary.requests)
    assert primary.replica.view == 0


def test_a_batch_with_two_variants_of_one_request_is_refused(cluster: SimulatedCluster) -> None:
    """An honest primary has one of them, and each takes its bytes on every log."""
    backup, primary = cluster.hosts[1].replica, cluster.hosts[0].me

    readies = [
        backup.step(MessageReceived(primary, frame), now_ms=20, wall_ms=WALL_EPOCH_MS + 20)
        for frame in proposal_of(VARIANTS[0], b"another|request", VARIANTS[1])
    ]

    assert [report.verdict for report in those(Notice, *readies)] == [Verdict.BAD_BATCH]


def proposal_of(*requests: bytes) -> tuple[bytes, bytes]:
    body = Batch(WALL_EPOCH_MS + 20, requests).to_bytes()
    proposal = vote(VoteKind.PRE_PREPARE, 0, seq=Seq(1), digest=batch_digest(body))
    return Body(body).frame(), proposal.frame()


def test_a_wrong_variant_does_not_wait_in_the_place_of_a_right_one(
    cluster: SimulatedCluster,
) -> None:
    cluster.submit(VARIANTS[0], to=0)
    cluster.run(1_000)

    cluster.submit(b"intent|forged", to=1)
    cluster.submit(VARIANTS[1], to=1)
    cluster.run(2 * DECIDED_AGAIN_MS)

    assert ordered(cluster) == [VARIANTS[0], VARIANTS[1]]
    assert is_calm(cluster)
