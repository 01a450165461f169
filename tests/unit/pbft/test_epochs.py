"""Members come and go at epoch boundaries, and each certificate answers to its own epoch."""

from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.errors import UnknownSignerError
from bftcluster.ids import Epoch, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.pbft import (
    Batch,
    CommitCertificate,
    EpochStart,
    LogEntry,
    MessageReceived,
    Verdict,
    verify_commit_certificate,
)
from bftcluster.pbft.epochs import Epochs
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import STABLE
from bftcluster.pbft.steps import Notice
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import SimVerifier, sim_key
from bftcluster_sim.cluster.hosts import MEMBERS
from tests.unit.pbft.builders import A, vote
from tests.unit.pbft.readies import those

SETTINGS = replace(SMALL_WINDOW, request_timeout_ms=300, view_change_timeout_ms=600)


def running(n: int = 4, *, spare: int = 1) -> SimulatedCluster:
    return SimulatedCluster.running(n, spare=spare, settings=SETTINGS)


def order(cluster: SimulatedCluster, count: int, *, to: int = 1, pause_ms: int = 15) -> None:
    for number in range(count):
        cluster.submit(b"request %d %d" % (cluster.clock.now_ms, number), to=to)
        cluster.run(pause_ms)


def change_members(cluster: SimulatedCluster, *indices: int, to: int = 1) -> None:
    cluster.submit(MEMBERS + bytes(indices), to=to)
    cluster.run(15)


def epochs(cluster: SimulatedCluster) -> list[int]:
    return [host.replica.membership.epoch for host in cluster.hosts if host.is_up]


def votes_of(cluster: SimulatedCluster, host: int, *, epoch: int) -> int:
    frames = (codec.decode(f) for _, source, _, f in cluster.network.sent if source == host)
    return sum(frame[0] <= 4 and frame[1] == epoch for frame in frames)


def test_a_change_takes_over_one_interval_after_its_checkpoint() -> None:
    cluster = running()
    change_members(cluster, 0, 1, 2, 3, 4)
    order(cluster, 6)
    assert epochs(cluster) == [0] * 5

    order(cluster, 2)
    cluster.run(2_000)

    assert epochs(cluster) == [1] * 5
    order(cluster, 3)
    cluster.check_agreement()
    assert {len(host.log) for host in cluster.hosts} == {12}


def test_a_learner_follows_without_a_vote_and_then_votes() -> None:
    cluster = running()
    change_members(cluster, 0, 1, 2, 3, 4)
    order(cluster, 7)
    cluster.run(2_000)

    order(cluster, 4)

    assert votes_of(cluster, 4, epoch=0) == 0
    assert votes_of(cluster, 4, epoch=1) > 0
    assert cluster.hosts[4].requests == cluster.hosts[0].requests


def test_a_removed_member_votes_no_more_but_may_follow() -> None:
    cluster = running()
    change_members(cluster, 1, 2, 3, 4)
    order(cluster, 7)
    cluster.run(2_000)
    cluster.network.sent.clear()

    order(cluster, 5, to=2)
    cluster.run(2_000)

    assert votes_of(cluster, 0, epoch=0) == votes_of(cluster, 0, epoch=1) == 0
    assert cluster.hosts[0].requests == cluster.hosts[1].requests
    assert cluster.hosts[1].replica.primary == sim_key(1)


def test_a_vote_of_a_removed_member_counts_in_no_epoch() -> None:
    cluster = running()
    change_members(cluster, 1, 2, 3, 4)
    order(cluster, 7)
    cluster.run(2_000)
    replica = cluster.hosts[2].replica
    seq = replica.last_executed + 1

    verdicts = []
    for epoch in (0, 1):
        frame = vote(VoteKind.COMMIT, 0, seq=seq, digest=A, epoch=epoch).frame()
        ready = replica.step(
            MessageReceived(ReplicaId(sim_key(0)), frame), now_ms=cluster.clock.now_ms, wall_ms=0
        )
        verdicts += [report.verdict.value for report in those(Notice, ready)]

    assert verdicts == ["not-a-member"]
    slot = replica._core.log.slots.get(Seq(seq))
    assert slot is None or not slot.commits.votes


def test_a_certificate_verifies_under_its_own_epoch_only() -> None:
    cluster = running()
    change_members(cluster, 1, 2, 3, 4)
    order(cluster, 7)
    cluster.run(2_000)
    order(cluster, 1)
    entries = [LogEntry.from_bytes(entry) for entry in cluster.hosts[1].disk.entries]
    old, new = (start.membership for start in cluster.hosts[1].disk.epochs)

    for entry in entries:
        owner, other = (old, new) if entry.seq <= 8 else (new, old)
        certificate = verify_commit_certificate(entry.certificate, owner, CLUSTER_ID, SimVerifier())
        assert certificate.epoch == owner.epoch
        with pytest.raises(UnknownSignerError):
            verify_commit_certificate(entry.certificate, other, CLUSTER_ID, SimVerifier())
    assert {CommitCertificate.from_bytes(e.certificate).epoch for e in entries} == {0, 1}


@pytest.mark.parametrize("victim", [0, 2, 4])
@pytest.mark.parametrize("wait", range(9))
def test_a_crash_around_the_boundary_leaves_everybody_in_the_new_epoch(
    victim: int, wait: int
) -> None:
    cluster = running()
    change_members(cluster, 0, 1, 2, 3, 4)
    order(cluster, wait)
    cluster.hosts[victim].stop()
    order(cluster, 2, pause_ms=1)
    cluster.hosts[victim].start()
    order(cluster, 9, pause_ms=400)
    cluster.run(3_000)

    cluster.check_agreement()
    assert epochs(cluster) == [1] * 5
    assert len({len(host.log) for host in cluster.hosts}) == 1


def test_all_replicas_restarted_at_the_boundary_go_on() -> None:
    for wait in range(5, 9):
        cluster = running()
        change_members(cluster, 0, 1, 2, 3, 4)
        order(cluster, wait)
        for host in cluster.hosts:
            host.stop()
        for host in cluster.hosts:
            host.start()
        cluster.run(10)
        order(cluster, 6, pause_ms=100)
        cluster.run(3_000)

        assert epochs(cluster) == [1] * 5
        assert len({len(host.log) for host in cluster.hosts}) == 1
        cluster.check_agreement()


def test_the_old_primary_removed_in_the_middle_of_a_view_change() -> None:
    cluster = running()
    change_members(cluster, 1, 2, 3, 4)
    order(cluster, 5)
    cluster.hosts[0].stop()
    order(cluster, 8, pause_ms=1_000)
    cluster.run(4_000)

    assert epochs(cluster) == [1] * 4
    cluster.hosts[0].start()
    cluster.run(3_000)
    assert cluster.hosts[0].requests == cluster.hosts[1].requests


def check_all_are_at(cluster: SimulatedCluster, epoch: int) -> None:
    assert epochs(cluster) == [epoch] * len(cluster.hosts)
    cluster.check_agreement()
    assert len({len(host.log) for host in cluster.hosts}) == 1


def test_two_changes_in_a_row_follow_one_another() -> None:
    cluster = running(spare=2)
    change_members(cluster, 0, 1, 2, 3, 4)
    order(cluster, 3)
    change_members(cluster, 1, 2, 3, 4, 5)
    order(cluster, 12, pause_ms=100, to=2)
    cluster.run(3_000)

    check_all_are_at(cluster, 2)


def test_the_cluster_shrinks_and_grows_again() -> None:
    cluster = running(7, spare=0)
    for members in ((0, 1, 2, 3), (0, 1, 2, 3, 4, 5, 6), (3, 4, 5, 6)):
        change_members(cluster, *members, to=3)
        order(cluster, 12, to=3, pause_ms=50)
        cluster.run(1_500)

    check_all_are_at(cluster, 3)


def test_an_epoch_knows_its_first_and_last_slot() -> None:
    def of(epoch: int) -> Membership:
        return Membership(Epoch(epoch), (ReplicaId(sim_key(0)),))

    history = Epochs([EpochStart(Seq(1), of(0)), EpochStart(Seq(9), of(1))])

    assert [history.of(Seq(seq)).epoch for seq in (0, 1, 8, 9, 99)] == [0, 0, 0, 1, 1]
    assert history.last_of(Epoch(0)) == 8
    assert history.last_of(Epoch(1)) > 1 << 60
    with pytest.raises(AssertionError):
        history.add(EpochStart(Seq(20), of(3)))


def test_members_that_have_left_cannot_add_to_the_log_of_one_who_has_not_noticed() -> None:
    cluster = running()
    follower = cluster.hosts[4]
    cluster.network.cut = lambda _source, target, frame: (
        target == 4 and codec.decode(frame)[0] in {VoteKind.CHECKPOINT, STABLE}
    )
    change_members(cluster, 1, 2, 3, 4)
    order(cluster, 7)
    cluster.run(2_000)
    assert (follower.replica.last_executed, follower.replica.membership.epoch) == (8, 0)
    cluster.partition({0, 1, 2, 3}, {4})
    order(cluster, 1)

    # The old members sign another batch 9, and one of them is all that the follower hears.
    batch = Batch(1_800_000_000_000, (b"an alternative history",)).to_bytes()
    forged = CommitCertificate.of(
        [vote(VoteKind.COMMIT, i, seq=9, digest=batch_digest(batch)) for i in (0, 1, 2)]
    )
    cluster.hosts[0].disk.entries[8] = LogEntry(Seq(9), batch, forged.to_bytes()).to_bytes()
    cluster.hosts[0].stop()  # What it has in memory is true.
    cluster.hosts[0].start()
    cluster.network.cut = lambda source, target, frame: (
        4 in {source, target}
        and (0 not in {source, target} or codec.decode(frame)[0] in {VoteKind.CHECKPOINT, STABLE})
    )
    cluster.run(30_000)

    assert follower.replica.last_executed == 8
    assert any(report.startswith(Verdict.WRONG_ENTRY.value) for report in follower.reports)
