"""Who slept while the others were replaced comes back, and is not fooled by those who left."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Epoch, Seq, View
from bftcluster.pbft import (
    CheckpointCertificate,
    EpochsLearned,
    EpochStart,
    MessageReceived,
    Verdict,
)
from bftcluster.pbft.messages import StableCheckpoint, Status
from bftcluster.pbft.steps import FetchEpochs
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.hosts import MEMBERS, Host
from tests.unit.pbft.builders import members, vote
from tests.unit.pbft.readies import those

SETTINGS = replace(SMALL_WINDOW, request_timeout_ms=300, view_change_timeout_ms=600)
FAR = Seq(400)
FORGED = Digest(b"a state that never was".ljust(32, b"."))
LATE, NEWCOMER = 3, 7
GONE = (0, 1, 2)
STATUS_MS = SETTINGS.status_interval_ms


def order(cluster: SimulatedCluster, count: int, *, to: int) -> None:
    for number in range(count):
        cluster.submit(b"request %d %d" % (cluster.clock.now_ms, number), to=to)
        cluster.run(15)


def replace_all_but_the_late_one(cluster: SimulatedCluster) -> None:
    """Have 4, 5 and 6 take the places of 0, 1 and 2, one after the other."""
    for replaced in GONE:
        voters = [*range(replaced + 1, replaced + 5)]
        cluster.submit(MEMBERS + bytes(voters), to=4 if replaced else 1)
        order(cluster, 9, to=4 if replaced else 2)
        cluster.run(1_500)


def replaced() -> SimulatedCluster:
    """Return a cluster whose founders have left, but for one that was cut off from early on."""
    cluster = SimulatedCluster(4, spare=4, settings=SETTINGS)
    cluster.start()
    cluster.hosts[NEWCOMER].stop()
    cluster.run(10)
    order(cluster, 2, to=1)
    cluster.partition({LATE}, {0, 1, 2, 4, 5, 6, 7})
    replace_all_but_the_late_one(cluster)
    assert [cluster.hosts[i].replica.membership.epoch for i in (LATE, 4, 5, 6)] == [0, 3, 3, 3]
    return cluster


def forged_certificate(seq: Seq = FAR) -> CheckpointCertificate:
    votes = [vote(VoteKind.CHECKPOINT, i, seq=seq, digest=FORGED) for i in GONE]
    return CheckpointCertificate.of(votes)


def says(host: Host, *, epoch: int) -> bytes:
    return Status(Epoch(epoch), View(0), View(0), Seq(0), Seq(0), Seq(0)).frame()


@pytest.mark.parametrize("index", [LATE, NEWCOMER])
def test_whose_known_members_are_all_gone_finds_the_cluster(index: int) -> None:
    cluster = replaced()
    for gone in GONE:
        cluster.hosts[gone].stop()
    cluster.heal()
    if index == LATE:
        cluster.hosts[LATE].stop()
    cluster.hosts[index].start()

    cluster.run(5_000)

    late = cluster.hosts[index]
    assert late.replica.membership == cluster.hosts[4].replica.membership
    assert late.requests == cluster.hosts[4].requests
    assert late.state_fetches == []


def test_who_comes_back_counts_as_a_member_again() -> None:
    cluster = replaced()
    for gone in GONE:
        cluster.hosts[gone].stop()
    cluster.heal()
    cluster.hosts[LATE].stop()
    cluster.hosts[LATE].start()
    cluster.run(5_000)
    order(cluster, 8, to=4)

    cluster.hosts[4].stop()
    order(cluster, 4, to=5)
    cluster.run(20_000)

    assert len(cluster.hosts[LATE].requests) == len(cluster.hosts[5].requests)
    assert len(cluster.hosts[5].requests) == 2 + 3 * 10 + 8 + 4


def test_the_state_comes_from_members_unknown_so_far_if_no_log_reaches_back() -> None:
    cluster = replaced()
    for host in cluster.hosts:
        host.log_kept_from = Seq(24)
    for gone in GONE:
        cluster.hosts[gone].stop()
    cluster.heal()

    cluster.run(6_000)

    late, present = cluster.hosts[LATE], {cluster.hosts[i].me for i in (4, 5, 6)}
    assert late.replica.latest_membership.epoch == 3
    fetch = late.state_fetches[-1]
    assert fetch.seq == cluster.hosts[4].replica.stable
    assert set(fetch.sources) >= present


@pytest.mark.parametrize("as_votes", [False, True])
def test_a_checkpoint_of_those_who_left_is_no_reason_to_fetch_or_to_be_silent(
    as_votes: bool,
) -> None:
    cluster = replaced()
    late = cluster.hosts[LATE]
    seq = Seq(16) if as_votes else FAR
    if as_votes:
        for i in GONE:
            frame = vote(VoteKind.CHECKPOINT, i, seq=seq, digest=FORGED).frame()
            late.receive(cluster.hosts[i].me, frame)
    else:
        late.receive(cluster.hosts[0].me, StableCheckpoint(forged_certificate()).frame())
    assert late.replica._core.certified == 0
    cluster.heal()

    cluster.run(20_000)

    assert late.state_fetches == []
    assert late.replica.membership.epoch == 3
    order(cluster, 8, to=4)
    cluster.hosts[4].stop()
    order(cluster, 1, to=5)
    cluster.run(20_000)
    assert late.requests == cluster.hosts[5].requests
    assert len(late.requests) == 2 + 3 * 10 + 8 + 1


def test_while_too_few_are_heard_a_far_checkpoint_is_not_believed() -> None:
    """Nobody is there to object, and that is no consent."""
    cluster = replaced()
    late = cluster.hosts[LATE]
    for host in cluster.hosts:
        host.log_kept_from = FAR

    for _ in range(20):
        late.receive(cluster.hosts[0].me, StableCheckpoint(forged_certificate()).frame())
        late.receive(cluster.hosts[0].me, says(cluster.hosts[0], epoch=0))
        cluster.run(1_000)

    assert late.replica._checkpoints.target is None
    assert late.replica._checkpoints.proven == FAR


def test_a_checkpoint_is_certified_by_its_owners_whichever_epoch_its_certificate_names() -> None:
    cluster = replaced()
    host = cluster.hosts[4]
    reports, next_one = len(host.reports), Seq(host.replica.stable + 4)
    assert next_one <= host.replica._core.epochs.horizon

    host.receive(cluster.hosts[0].me, StableCheckpoint(forged_certificate(next_one)).frame())

    assert host.reports[reports:] == [f"{Verdict.BAD_CERTIFICATE.value} StableCheckpoint"]
    assert host.replica._core.certified < next_one


def far_behind() -> tuple[SimulatedCluster, Host]:
    """Return a cluster without changes of members, whose last one has missed what no log has."""
    cluster = SimulatedCluster.running(4, spare=1, settings=SETTINGS)
    cluster.hosts[LATE].stop()
    order(cluster, 30, to=0)
    for host in cluster.hosts:
        host.log_kept_from = Seq(25)
    cluster.hosts[LATE].start()
    return cluster, cluster.hosts[LATE]


def test_a_far_checkpoint_of_the_present_members_is_fetched_once_there_was_time_to_object() -> None:
    cluster, late = far_behind()

    cluster.run(3 * STATUS_MS)
    assert (late.replica._checkpoints.proven, late.state_fetches) == (28, [])
    cluster.run(3 * STATUS_MS)

    assert [fetch.seq for fetch in late.state_fetches] == [28]


def test_who_claims_a_later_epoch_and_never_proves_it_delays_but_does_not_prevent() -> None:
    cluster, late = far_behind()
    cluster.hosts[4].stop()
    asked = 0
    for _ in range(16):
        late.receive(cluster.hosts[4].me, says(late, epoch=99))
        cluster.run(STATUS_MS)
        asked += len(late.state_fetches)
    assert asked == 0

    for _ in range(16):
        late.receive(cluster.hosts[4].me, says(late, epoch=99))
        cluster.run(STATUS_MS)

    assert late.state_fetches[0].seq == 28


def test_whoever_says_that_it_is_in_an_epoch_unknown_to_us_is_asked_who_votes() -> None:
    cluster = SimulatedCluster(4, spare=1, settings=SETTINGS)
    cluster.start()
    host, stranger = cluster.hosts[0], cluster.hosts[4].me
    now_ms = cluster.clock.now_ms

    readies = [
        host.replica.step(
            MessageReceived(stranger, says(host, epoch=epoch)), now_ms=now_ms, wall_ms=0
        )
        for epoch in (0, 1)
    ]

    assert [those(FetchEpochs, ready) for ready in readies] == [[], [FetchEpochs(stranger)]]


def test_epochs_that_do_not_follow_one_another_are_not_learned() -> None:
    cluster = SimulatedCluster(4, settings=SETTINGS)
    cluster.start()
    host = cluster.hosts[0]
    again, later = EpochStart(Seq(1), members(5, 1)), EpochStart(Seq(80), members(6, 2))

    host.step(EpochsLearned((again, later)))
    assert host.replica.latest_membership.epoch == 0
    host.step(EpochsLearned((EpochStart(Seq(9), members(5, 1)), EpochStart(Seq(9), members(6, 2)))))

    assert host.replica.latest_membership.epoch == 1


def test_the_statuses_of_strangers_that_are_remembered_are_bounded() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    host = cluster.hosts[0]

    for number in range(1_000):
        host.receive(type(host.me)(number.to_bytes(32, "big")), says(host, epoch=0))

    heard = host.replica._core.heard
    assert len(heard) <= 256 + 4
    assert {other.me for other in cluster.hosts[1:]} <= heard.keys()
