"""A state is fetched when the log is too long or gone, and the replica goes on from there."""

from bftcluster.ids import Digest, Seq
from bftcluster.pbft import (
    CheckpointCertificate,
    EpochsLearned,
    EpochStart,
    MessageReceived,
    ReplicaSettings,
)
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.pbft.steps import FetchEpochs, StartStateTransfer
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import Host
from tests.unit.pbft.builders import B, members, vote
from tests.unit.pbft.readies import those

ENTRIES_KIND = 15
SETTINGS = ReplicaSettings(
    checkpoint_interval_seqs=4, window_size_seqs=8, state_fetch_behind_seqs=1000
)


def late_by(count: int, settings: ReplicaSettings = SETTINGS) -> tuple[SimulatedCluster, Host]:
    """Return a cluster whose last replica was down for ``count`` batches."""
    cluster = SimulatedCluster.running(4, settings=settings)
    cluster.hosts[3].stop()
    for number in range(count):
        cluster.submit(b"request %d" % number)
        cluster.run(10)
    return cluster, cluster.hosts[3]


def behind_every_log() -> tuple[SimulatedCluster, Host]:
    """Return a cluster, and the replica that came back to it when no log reached back to it."""
    cluster, late = late_by(30)
    for host in cluster.hosts:
        host.log_kept_from = Seq(25)
    late.start()
    cluster.run(3_000)
    return cluster, late


def install(late: Host, source: Host) -> None:
    """Put the state that was asked for last on the disk, and start again on it."""
    fetch = late.state_fetches[-1]
    late.stop()
    late.disk.entries = list(source.disk.entries[: fetch.seq])
    late.disk.root = fetch.state_root
    late.disk.checkpoint_root = fetch.state_root
    late.disk.checkpoint = fetch.certificate
    late.disk.timestamp_ms = source.disk.timestamp_ms
    late.start()


def test_a_replica_too_far_behind_for_every_log_asks_for_the_state() -> None:
    cluster, late = behind_every_log()

    fetch = late.state_fetches[0]
    assert fetch.seq == 28
    assert set(fetch.sources) == {host.me for host in cluster.hosts[:3]}

    install(late, cluster.hosts[0])
    cluster.run(2_000)
    cluster.submit(b"afterwards")
    cluster.run(10)

    assert late.replica.stable == 28
    assert late.replica.last_executed == 31
    assert late.requests == cluster.hosts[0].requests


def test_a_replica_that_fetched_its_state_votes_again() -> None:
    cluster, late = behind_every_log()
    install(late, cluster.hosts[0])
    cluster.run(3_000)

    cluster.hosts[2].stop()
    for number in range(10):
        cluster.submit(b"with only three %d" % number)
        cluster.run(500)

    assert late.replica.last_executed == 40
    assert late.replica.stable == 40


def test_a_ledger_that_lost_its_own_stable_checkpoint_gets_that_state() -> None:
    """Its log of votes knows the checkpoint, no log reaches back, and nothing new is ordered."""
    cluster, lost = late_by(0)
    lost.start()
    for number in range(5):
        cluster.submit(b"request %d" % number)
        cluster.run(50)
    assert lost.replica.stable == 4
    for host in cluster.hosts:
        host.log_kept_from = Seq(5)
    lost.stop()
    lost.disk.entries, lost.disk.root, lost.disk.checkpoint_root = [], Digest(bytes(32)), None
    lost.start()
    cluster.run(4_000)

    assert [fetch.seq for fetch in lost.state_fetches] == [4]
    install(lost, cluster.hosts[0])
    cluster.run(2_000)
    assert lost.replica.last_executed == 5


def test_a_source_that_never_answers_does_not_hide_that_the_log_is_gone() -> None:
    """It was ahead once, and is dead or a liar now; the others say that their logs are cut."""
    cluster, late = late_by(30)
    for host in cluster.hosts:
        host.log_kept_from = Seq(25)
    cluster.network.cut = lambda source, _target, frame: (
        source == 1 and kind_of(frame) == ENTRIES_KIND
    )
    late.start()
    cluster.run(4_000)

    assert [fetch.seq for fetch in late.state_fetches] == [28]


def test_while_nobody_answers_at_all_the_log_is_not_given_up() -> None:
    cluster, late = late_by(30)
    cluster.network.cut = lambda _source, _target, frame: kind_of(frame) == ENTRIES_KIND
    late.start()
    cluster.run(4_000)

    assert late.state_fetches == []


def test_a_replica_whose_gap_the_logs_cover_asks_for_no_state() -> None:
    cluster, late = late_by(30)
    late.start()
    cluster.run(3_000)

    assert late.state_fetches == []
    assert late.replica.last_executed == 30


def test_far_behind_the_state_is_asked_for_though_the_logs_reach_back() -> None:
    settings = ReplicaSettings(
        checkpoint_interval_seqs=4, window_size_seqs=8, state_fetch_behind_seqs=20
    )
    cluster, late = late_by(30, settings)
    cluster.network.cut = lambda _source, _target, frame: kind_of(frame) == ENTRIES_KIND
    late.start()
    cluster.run(3_000)

    assert [fetch.seq for fetch in late.state_fetches] == [28]


def test_a_newer_certified_state_is_asked_for_while_the_cluster_moves_on() -> None:
    cluster, late = behind_every_log()
    for host in cluster.hosts:
        host.log_kept_from = Seq(45)
    for number in range(20):
        cluster.submit(b"meanwhile %d" % number)
        cluster.run(200)

    asked = [fetch.seq for fetch in late.state_fetches]
    assert asked == sorted(asked)
    assert asked[-1] == 48


def test_a_state_is_asked_for_again_after_a_while() -> None:
    cluster, late = behind_every_log()
    cluster.run(SETTINGS.state_fetch_retry_ms + 500)

    assert [fetch.seq for fetch in late.state_fetches] == [28, 28]


def test_a_fetched_state_is_remembered_by_every_later_life() -> None:
    cluster, late = behind_every_log()
    install(late, cluster.hosts[0])
    cluster.run(3_000)

    late.stop()
    late.start()
    cluster.run(3_000)

    assert late.replica.stable == 28
    assert late.replica.last_executed == 30
    assert late.state_fetches[-1].seq == 28


def test_a_certificate_of_an_epoch_unknown_to_us_makes_us_ask_who_votes() -> None:
    cluster, late = late_by(0)
    late.start()
    source = cluster.hosts[0].me
    votes = [vote(VoteKind.CHECKPOINT, voter, seq=40, digest=B, epoch=1) for voter in range(4)]
    frame = StableCheckpoint(CheckpointCertificate.of(votes)).frame()
    now_ms = cluster.clock.now_ms

    asked = late.replica.step(MessageReceived(source, frame), now_ms=now_ms, wall_ms=0)
    later, next_one = EpochStart(Seq(80), members(6, 2)), EpochStart(Seq(9), members(5, 1))
    for learned in ((later,), (next_one, next_one), (next_one,)):
        late.replica.step(EpochsLearned(learned), now_ms=now_ms, wall_ms=0)
    again = late.replica.step(MessageReceived(source, frame), now_ms=now_ms, wall_ms=0)

    assert those(FetchEpochs, asked) == [FetchEpochs(source)]
    assert those(StartStateTransfer, asked) == []
    assert those(FetchEpochs, again) == []
    assert late.replica.latest_membership == next_one.membership
    assert late.replica.membership.epoch == 0
