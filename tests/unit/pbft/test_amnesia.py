"""Who lost its votes is silent until they cannot matter, across epochs and views."""

import pytest

from bftcluster import codec
from bftcluster.pbft import birth_records
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.records import Silenced, Started, ViewChanged, parse_record
from bftcluster.pbft.view_messages import VIEW_CHANGE
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SimulatedCluster
from bftcluster_sim.cluster.hosts import Host, HostDisk
from tests.unit.pbft.forgetting import (
    SETTINGS,
    change_members,
    executed_together,
    order,
    restart,
    slots_of,
    votes_of,
)

# An empty disk


def test_a_disk_wiped_in_a_later_epoch_is_silent_until_nothing_old_can_matter(
    cluster: SimulatedCluster,
) -> None:
    change_members(cluster, 0, 1, 2, 3, 4)
    order(cluster, 2)
    top = cluster.hosts[3].replica.last_decided

    host = restart(cluster, 3, run_ms=2_000)
    order(cluster, 30)

    assert host.replica.membership.epoch == 1
    assert min(slots_of(cluster, 3)) > top + SETTINGS.window_size_seqs - 4
    assert host.replica.silence == ""
    assert executed_together(cluster, 0, 1, 2, 3, 4)


def test_the_wiped_one_votes_again_and_then_others_may_stop(cluster: SimulatedCluster) -> None:
    order(cluster, 6)
    restart(cluster, 3)
    order(cluster, 40)
    cluster.hosts[2].stop()

    order(cluster, 3)

    assert executed_together(cluster, 0, 1, 3)
    assert cluster.hosts[0].replica.last_executed >= 49


def test_a_crash_during_the_silence_does_not_end_it(cluster: SimulatedCluster) -> None:
    order(cluster, 2)
    host = restart(cluster, 3)
    until = host.replica._core.silent_until
    assert until > 2

    for count in (1, 2, 2):
        order(cluster, count)
        host = restart(cluster, 3, host.disk)

        assert host.replica._core.silent_until == until
        assert "there was no log of votes" in host.replica.silence
    order(cluster, 30)
    assert host.replica.silence == ""


def test_a_crash_before_the_end_of_the_silence_is_known_does_not_end_it(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 6)
    cluster.network.cut = lambda source, _target, _frame: source != 3
    host = restart(cluster, 3)
    assert "as many others as a quorum" in host.replica.silence
    cluster.heal()

    host = restart(cluster, 3, host.disk)
    order(cluster, 1)

    assert host.replica._core.silent_until > 6
    assert "there was no log of votes" in host.replica.silence
    assert slots_of(cluster, 3) == set()


def test_who_forgot_gives_up_no_view_before_its_silence_is_over(cluster: SimulatedCluster) -> None:
    """Its VIEW-CHANGE would lack what it forgot. Better that the cluster stands still."""
    order(cluster, 6)
    host = restart(cluster, 3)
    assert not host.replica._core.is_silent
    cluster.hosts[0].stop()
    for index in (1, 2, 3):
        cluster.submit(b"x", to=index)

    cluster.run(20_000)

    kinds = {kind_of(frame) for _, source, _, frame in cluster.network.sent if source == 3}
    assert VIEW_CHANGE not in kinds
    assert all(b"x" not in host.requests for host in cluster.hosts)
    cluster.hosts[0].start()
    cluster.run(5_000)
    assert all(b"x" in host.requests for host in cluster.hosts)


def test_a_log_cut_to_what_is_alive_still_says_that_votes_are_lost(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 6)
    host = restart(cluster, 3)
    order(cluster, 4)

    kept = [parse_record(record) for record in host.replica.live_records()]

    assert [r for r in kept if isinstance(r, Silenced)]


def test_who_lost_its_votes_after_giving_up_a_view_knows_that_it_must_ask(
    cluster: SimulatedCluster,
) -> None:
    """It voted nowhere in the view that it wanted, so that votes alone tell nothing."""
    order(cluster, 2)
    cluster.partition({0}, {1, 2, 3}, {4})
    cluster.submit(b"x", to=1)
    cluster.network.cut = lambda source, target, frame: (
        0 in (source, target) or (target == 3 and codec.decode(frame)[0] in (1, 2, 3, 10))
    )
    cluster.run(1_500)
    assert cluster.hosts[3].replica.view == 1

    host = restart(cluster, 3)

    assert "as many others as a quorum" in host.replica.silence
    cluster.heal()
    cluster.run(2_000)
    order(cluster, 40)
    assert host.replica.silence == ""
    assert min(view for _, _, view, _ in votes_of(cluster, 3)) >= 1


# More disks than f


@pytest.mark.parametrize("has_changed", [False, True], ids=["first epoch", "second epoch"])
@pytest.mark.parametrize("wiped", [(1, 2), (1, 3), (2, 3)], ids=str)
def test_two_disks_replaced_one_after_the_other_after_a_checkpoint_fork_nothing(
    cluster: SimulatedCluster, wiped: tuple[int, int], has_changed: bool
) -> None:
    members = [0, 1, 2, 4] if has_changed else [0, 1, 2, 3]
    if has_changed:
        change_members(cluster, *members)
    else:
        order(cluster, 9)
        cluster.run(2_000)
    primary = next(i for i in members if cluster.hosts[i].me == cluster.hosts[0].replica.primary)
    others = [index for index in members if index != primary]
    cluster.network.cut = lambda _source, target, frame: (
        target != primary and codec.decode(frame)[0] == VoteKind.COMMIT
    )
    cluster.submit(b"decided by one", to=primary)
    cluster.run(50)
    assert b"decided by one" in cluster.hosts[primary].requests
    cluster.hosts[primary].stop()
    for number in wiped:
        restart(cluster, others[number - 1])
    cluster.heal()

    for index in others:
        cluster.submit(b"something else", to=index)
    cluster.run(60_000)

    assert not any(b"something else" in cluster.hosts[index].requests for index in others)
    cluster.hosts[primary].start()
    cluster.run(20_000)
    cluster.check_agreement()


def test_whoever_forgot_itself_does_not_count_among_those_who_know(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 6)
    for index in (2, 3):
        cluster.hosts[index].stop()
        cluster.hosts[index].disk = HostDisk(epochs=cluster.hosts[index].disk.epochs[:1])
    cluster.network.sent.clear()
    for index in (2, 3):
        cluster.hosts[index].start()

    cluster.run(5_000)

    assert all(cluster.hosts[index].replica._core.is_silent for index in (2, 3))
    assert all(cluster.hosts[index].replica.last_executed == 6 for index in range(4))


def test_a_whole_cluster_that_starts_again_with_its_disks_goes_on(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 6)
    for host in cluster.hosts:
        host.stop()
    for host in cluster.hosts[:3]:
        host.start()
    cluster.run(200)

    order(cluster, 3)

    assert executed_together(cluster, 0, 1, 2)
    assert cluster.hosts[0].replica.last_executed == 9
    assert not any(host.replica.silence for host in cluster.hosts[:3])


def test_a_lost_disk_returns_under_a_new_key_and_the_cluster_bears_a_fault_again(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 6)
    cluster.hosts[3].stop()

    change_members(cluster, 0, 1, 2, 4)
    cluster.hosts[2].stop()
    order(cluster, 3)

    assert executed_together(cluster, 0, 1, 4)
    assert not cluster.hosts[4].replica.silence
    restart(cluster, 3, run_ms=5_000)
    assert executed_together(cluster, 0, 1, 3, 4)
    assert slots_of(cluster, 3) == set()


# Time


def test_while_no_view_may_be_given_up_nothing_is_due_all_the_time(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 10)
    cluster.network.cut = lambda _source, _target, frame: kind_of(frame) == 6
    cluster.hosts[0].stop()
    cluster.submit(b"x", to=1)
    host = cluster.hosts[3]
    assert cluster.run_until(
        lambda: not host.replica.is_active and host.replica.primary != host.me, limit_ms=9_000
    )
    disk = host.disk
    disk.records = [r for r in disk.records if isinstance(parse_record(r), Started | ViewChanged)]
    restart(cluster, 3, disk, run_ms=1_500)
    assert not host.replica.is_active

    assert ticks(cluster, host, duration_ms=10_000) < 100


def ticks(cluster: SimulatedCluster, host: Host, *, duration_ms: int) -> int:
    step, count = host.step, [0]

    def counted(event: object) -> None:
        count[0] += type(event).__name__ == "ReplicaDeadlinePassed"
        step(event)  # type: ignore[arg-type]

    host.step = counted  # type: ignore[method-assign]
    cluster.run(duration_ms)
    return count[0]


def test_a_new_key_is_told_from_a_lost_disk_by_the_first_record() -> None:
    cluster = SimulatedCluster(4, settings=SETTINGS)
    for host in cluster.hosts:
        assert host.disk.records == list(birth_records(CLUSTER_ID, host.me))

    cluster.start()
    cluster.run(10)

    assert not any(host.replica.silence for host in cluster.hosts)
