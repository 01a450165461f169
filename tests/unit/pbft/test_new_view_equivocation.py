"""A new primary that opens one view twice (D7)."""

from dataclasses import replace

from bftcluster.ids import ReplicaId, Seq
from bftcluster.pbft import MessageReceived, Replica, verify_evidence
from bftcluster.pbft.log import NULL_DIGEST
from bftcluster.pbft.steps import KeepEvidence, Notice
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import SimVerifier, sim_key
from tests.unit.pbft.builders import A, members, prepared
from tests.unit.pbft.readies import those
from tests.unit.pbft.view_builders import new_view, view_change


def started() -> Replica:
    cluster = SimulatedCluster(4)
    cluster.start()
    cluster.run(20)
    return cluster.hosts[3].replica


def hear(replica: Replica, frame: bytes, *, sender: int = 1) -> list[bytes]:
    event = MessageReceived(ReplicaId(sim_key(sender)), frame)
    ready = replica.step(event, now_ms=100, wall_ms=100)
    return [kept.piece for kept in those(KeepEvidence, ready)]


def test_two_openings_of_one_view_convict_the_primary_and_the_first_holds() -> None:
    replica = started()
    with_batch = new_view([view_change(i, proofs=(prepared(1),)) for i in (0, 1, 2)])
    later = prepared(2)
    without = new_view([view_change(0, proofs=(later,)), view_change(1), view_change(3)])
    assert [choice.digest for choice in with_batch.choices] == [A]
    assert [choice.digest for choice in without.choices] == [NULL_DIGEST, A]

    first = hear(replica, with_batch.frame())
    second = hear(replica, without.frame())

    assert first == []
    assert replica.view == 1
    slot = replica._core.log.slots[Seq(1)]
    assert slot.proposal is not None
    assert slot.proposal.digest == A
    culprits = [verify_evidence(d, members(), CLUSTER_ID, SimVerifier()) for d in second]
    assert culprits == [sim_key(1)]


def test_a_new_view_may_be_passed_on_by_anybody() -> None:
    replica = started()
    opening = new_view([view_change(i) for i in (0, 1, 2)])

    hear(replica, opening.frame(), sender=2)

    assert replica.view == 1


def test_a_bad_new_view_is_not_entered() -> None:
    replica = started()
    opening = new_view([view_change(i) for i in (0, 1, 2)])

    hear(replica, replace(opening, signature=bytes(64)).frame())

    assert replica.view == 0


def test_a_vote_of_another_view_change_sent_for_somebody_else_is_refused() -> None:
    replica = started()

    event = MessageReceived(ReplicaId(sim_key(2)), view_change(1).frame())
    ready = replica.step(event, now_ms=100, wall_ms=100)

    assert [report.verdict.value for report in those(Notice, ready)] == ["bad-view-change"]


def test_one_replica_alone_moves_nobody() -> None:
    replica = started()

    hear(replica, view_change(1, view=1_000_000).frame(), sender=1)

    assert replica.is_active
    assert replica.view == 0


def test_f_plus_one_replicas_are_followed_to_the_lower_of_their_views() -> None:
    replica = started()

    hear(replica, view_change(1, view=1_000_000).frame(), sender=1)
    hear(replica, view_change(2, view=3).frame(), sender=2)

    assert not replica.is_active
    assert replica._core.target_view == 3
