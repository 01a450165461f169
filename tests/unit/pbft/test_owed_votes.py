"""What could not be said in one mode is said when the mode ends: nothing waits for an event."""

from dataclasses import replace

from bftcluster import codec
from bftcluster.ids import View
from bftcluster.pbft import ReplicaDeadlinePassed
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import STABLE, VOUCH
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.hosts import MEMBERS, Host

SETTINGS = replace(SMALL_WINDOW, request_timeout_ms=300, view_change_timeout_ms=600)
LATE, DYING = 4, 2


def with_one_just_started() -> tuple[SimulatedCluster, Host]:
    """Return four at work, and the last of them, which has heard nobody yet."""
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    late = cluster.hosts[3]
    late.stop()
    late.start()
    return cluster, late


def order(cluster: SimulatedCluster, count: int) -> None:
    for number in range(count):
        cluster.submit(b"request %d %d" % (cluster.clock.now_ms, number), to=1)
        cluster.run(15)


def checkpoint_votes(cluster: SimulatedCluster, voter: int, *, epoch: int) -> set[int]:
    frames = [codec.decode(f) for _, source, _, f in cluster.network.sent if source == voter]
    return {f[3] for f in frames if f[0] == VoteKind.CHECKPOINT and f[1] == epoch}


def one_who_executed_the_next_epoch_in_the_old_one() -> SimulatedCluster:
    """Member 4 of epoch 1 has executed all there is, and heard of no stable checkpoint; what
    member 2 knows to be stable it has told nobody."""
    cluster = SimulatedCluster.running(4, spare=1, settings=SETTINGS)
    cluster.submit(MEMBERS + bytes((0, 1, 2, 4)), to=1)
    cluster.run(15)

    def is_cut(source: int, target: int, frame: bytes) -> bool:
        kind, epoch, *_ = codec.decode(frame)
        is_late = target == LATE and kind in (VoteKind.CHECKPOINT, STABLE)
        is_kept = kind == STABLE or (kind == VoteKind.CHECKPOINT and epoch == 1)
        return is_late or (source == DYING and is_kept)

    cluster.network.cut = is_cut
    order(cluster, 18)
    cluster.run(300)
    late, other = cluster.hosts[LATE].replica, cluster.hosts[0].replica
    assert (late.membership.epoch, late.last_executed) == (0, 16)
    assert (other.membership.epoch, other.stable) == (1, 8)
    cluster.hosts[DYING].stop()
    return cluster


def test_who_executed_checkpoints_of_the_next_epoch_votes_on_them_when_it_begins() -> None:
    cluster = one_who_executed_the_next_epoch_in_the_old_one()

    cluster.heal()
    cluster.run(2 * SETTINGS.follow_hold_ms)
    order(cluster, 3)
    cluster.run(2_000)

    assert checkpoint_votes(cluster, LATE, epoch=1) >= {12, 16}
    assert {cluster.hosts[i].replica.stable for i in (0, 1, LATE)} == {20}
    assert len(cluster.hosts[0].requests) == len(cluster.hosts[LATE].requests) == 1 + 18 + 3


def test_who_restarts_before_the_epoch_begins_votes_on_the_last_of_them_all_the_same() -> None:
    cluster = one_who_executed_the_next_epoch_in_the_old_one()
    cluster.hosts[LATE].stop()
    cluster.hosts[LATE].start()

    cluster.heal()
    cluster.run(2_000)
    order(cluster, 3)
    cluster.run(2_000)

    assert 16 in checkpoint_votes(cluster, LATE, epoch=1)
    assert {cluster.hosts[i].replica.stable for i in (0, 1, LATE)} == {20}


def test_who_executes_checkpoints_before_it_may_speak_votes_on_them_once_it_may() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    cluster.hosts[3].stop()
    cluster.hosts[3].start()

    def keeps_checkpoints(source: int, _target: int, frame: bytes) -> bool:
        return source == 2 and codec.decode(frame)[0] in (VoteKind.CHECKPOINT, STABLE, VOUCH)

    cluster.network.cut = lambda source, target, frame: (
        keeps_checkpoints(source, target, frame)
        or (target == 3 and codec.decode(frame)[0] == VOUCH)
    )
    order(cluster, 8)
    cluster.run(1_500)
    assert {host.replica.last_executed for host in cluster.hosts} == {8}
    assert checkpoint_votes(cluster, 3, epoch=0) == set()

    cluster.network.cut = keeps_checkpoints
    cluster.run(1_500)

    assert checkpoint_votes(cluster, 3, epoch=0) == {4, 8}
    assert {host.replica.stable for host in cluster.hosts} == {8}


def test_who_had_no_chance_to_vote_on_two_checkpoints_is_not_taken_for_forgetful() -> None:
    """It executed both before it could speak, or its disk was full before the votes were on it."""
    cluster, late = with_one_just_started()
    cluster.network.cut = lambda _source, target, frame: (
        target == 3 and codec.decode(frame)[0] in (VOUCH, VoteKind.CHECKPOINT, STABLE)
    )
    order(cluster, 9)
    cluster.run(1_500)
    assert (late.replica.last_executed, late.replica.stable) == (9, 0)
    late.stop()
    cluster.hosts[DYING].stop()

    cluster.heal()
    late.start()
    cluster.run(1_500)
    order(cluster, 2)
    cluster.run(3_000)

    assert late.replica._core.silent_until == 0
    assert [len(cluster.hosts[i].requests) for i in (0, 1, 3)] == [11] * 3


def test_a_wish_that_came_while_we_were_silent_is_joined_when_the_silence_ends() -> None:
    """Two of the three that are up want the next view, and say so only once."""
    cluster, silent = with_one_just_started()
    cluster.hosts[0].stop()
    cluster.network.cut = lambda _source, target, frame: target == 3 and kind_of(frame) == VOUCH
    for wishing in (1, 2):
        replica = cluster.hosts[wishing].replica
        replica._view_changer.give_up(View(1))
        cluster.hosts[wishing].step(ReplicaDeadlinePassed())
    cluster.run(100)
    assert silent.replica.is_active

    wish = VoteKind.CHECKPOINT.value + 1
    cluster.network.cut = lambda _source, target, frame: target == 3 and kind_of(frame) == wish
    cluster.run(SETTINGS.status_interval_ms + 50)

    sent = [codec.decode(f)[0] for _, source, _, f in cluster.network.sent if source == 3]
    assert not silent.replica._core.is_silent
    assert wish in sent
