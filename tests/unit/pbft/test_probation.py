"""A replica that forgot its votes stays silent until they cannot be contradicted."""

from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.errors import CorruptRecordError
from bftcluster.pbft import ReplicaSettings
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import HostDisk

SETTINGS = ReplicaSettings(
    checkpoint_interval_seqs=4,
    window_size_seqs=8,
    request_timeout_ms=300,
    view_change_timeout_ms=600,
)


def with_history(decisions: int) -> SimulatedCluster:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    order(cluster, decisions)
    return cluster


def order(cluster: SimulatedCluster, count: int) -> None:
    for _ in range(count):
        order.number += 1  # type: ignore[attr-defined]
        cluster.submit(b"request %d" % order.number, to=1)  # type: ignore[attr-defined]
        cluster.run(6)


order.number = 0  # type: ignore[attr-defined]


def slots_voted(cluster: SimulatedCluster, host: int) -> set[int]:
    """Return where ``host`` sent a PRE-PREPARE, PREPARE or COMMIT."""
    frames = (codec.decode(frame) for _, source, _, frame in cluster.network.sent if source == host)
    return {frame[3] for frame in frames if frame[0] <= 3}


def test_a_new_cluster_votes_after_one_round_trip() -> None:
    cluster = SimulatedCluster(4, settings=SETTINGS)
    cluster.start()
    cluster.submit(b"request")
    cluster.run(1)
    assert slots_voted(cluster, 0) == set()

    cluster.run(10)

    assert [host.requests for host in cluster.hosts] == [[b"request"]] * 4


def test_a_restarted_replica_that_forgot_nothing_votes_at_once() -> None:
    cluster = with_history(6)
    cluster.hosts[3].stop()
    cluster.hosts[3].start()
    cluster.run(10)
    cluster.network.sent.clear()

    order(cluster, 1)

    assert 7 in slots_voted(cluster, 3)


def test_a_replica_whose_log_is_gone_is_silent_until_the_window_has_passed() -> None:
    cluster = with_history(6)
    cluster.hosts[3].stop()
    cluster.hosts[3].disk.records = []
    cluster.network.sent.clear()
    cluster.hosts[3].start()
    order(cluster, 20)

    assert min(slots_voted(cluster, 3)) > 6 + SETTINGS.window_size_seqs
    assert max(slots_voted(cluster, 3)) >= 20
    assert cluster.hosts[3].requests == cluster.hosts[0].requests


def test_a_replica_whose_whole_disk_is_gone_is_told_by_its_peers() -> None:
    cluster = with_history(2)
    cluster.hosts[3].stop()
    cluster.hosts[3].disk = HostDisk(epochs=cluster.hosts[3].disk.epochs)
    cluster.network.sent.clear()
    cluster.hosts[3].start()
    order(cluster, 20)

    assert min(slots_voted(cluster, 3)) > 2 + SETTINGS.window_size_seqs
    assert cluster.hosts[3].requests == cluster.hosts[0].requests


def test_a_disk_rolled_back_to_an_older_consistent_state_is_noticed() -> None:
    cluster = with_history(5)
    disk = cluster.hosts[3].disk
    snapshot = replace(disk, records=list(disk.records), entries=list(disk.entries))
    order(cluster, 2)
    cluster.hosts[3].stop()
    cluster.hosts[3].disk = snapshot
    cluster.network.sent.clear()
    cluster.hosts[3].start()
    order(cluster, 15)

    fresh = {seq for seq in slots_voted(cluster, 3) if seq > 5}
    assert min(fresh) > 7 + SETTINGS.window_size_seqs
    assert cluster.hosts[3].requests == cluster.hosts[0].requests


def test_a_primary_that_forgot_is_replaced() -> None:
    cluster = with_history(2)
    cluster.hosts[0].stop()
    cluster.hosts[0].disk = HostDisk(epochs=cluster.hosts[0].disk.epochs)
    cluster.hosts[0].start()
    cluster.run(10)

    cluster.submit(b"afterwards", to=1)
    cluster.run(3_000)

    assert all(b"afterwards" in host.requests for host in cluster.hosts)
    assert cluster.hosts[1].replica.view == 1


def test_a_replica_with_another_replicas_log_refuses_to_start() -> None:
    cluster = with_history(2)
    cluster.hosts[3].stop()
    cluster.hosts[3].disk.records = cluster.hosts[2].disk.records

    with pytest.raises(CorruptRecordError):
        cluster.hosts[3].start()


def test_a_replica_whose_votes_nobody_heard_knows_from_its_ledger_that_they_are_gone() -> None:
    cluster = with_history(0)
    cluster.network.cut = lambda source, _target, _frame: source == 3
    order(cluster, 2)
    assert cluster.hosts[3].replica.last_executed == 2

    cluster.hosts[3].stop()
    cluster.hosts[3].disk.records = []
    cluster.heal()
    cluster.network.sent.clear()
    cluster.hosts[3].start()
    order(cluster, 20)

    assert min(slots_voted(cluster, 3)) > 2 + SETTINGS.window_size_seqs
    assert cluster.hosts[3].requests == cluster.hosts[0].requests


@pytest.mark.parametrize("forgetful", [(1, 2), (2, 3), (1, 3)], ids=str)
def test_two_of_four_that_forget_what_one_decided_stop_the_cluster_and_fork_nothing(
    forgetful: tuple[int, ...],
) -> None:
    """More than f: without their silence, those who are left would order something else."""
    cluster = with_history(2)
    cluster.network.cut = lambda _source, target, frame: (
        target != 0 and codec.decode(frame)[0] == VoteKind.COMMIT
    )
    cluster.submit(b"decided by one")
    cluster.run(50)
    assert [len(host.requests) for host in cluster.hosts] == [3, 2, 2, 2]
    cluster.hosts[0].stop()
    for index in forgetful:
        cluster.hosts[index].stop()
        cluster.hosts[index].disk = HostDisk(epochs=cluster.hosts[index].disk.epochs)
        cluster.hosts[index].start()
    cluster.heal()

    for index in (1, 2, 3):
        cluster.submit(b"something else", to=index)
    cluster.run(60_000)

    assert all(b"something else" not in host.requests for host in cluster.hosts)
    cluster.hosts[0].start()
    cluster.run(60_000)
    cluster.check_agreement()
