"""What others hold of us tells that we forgot, whatever we still have."""

import pytest

from bftcluster import codec
from bftcluster.ids import Epoch, ReplicaId, View
from bftcluster.pbft import MessageReceived, RequestSubmitted
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import REQUESTS, STATUS, VOUCH, Doubt
from bftcluster.pbft.steps import Append
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.pbft.forgetting import (
    SETTINGS,
    change_members,
    order,
    restart,
    slots_of,
    votes_of,
)
from tests.unit.pbft.readies import sent, sent_early, those

# An older copy of everything


def test_a_copy_from_before_the_epoch_is_noticed_and_contradicts_nothing(
    cluster: SimulatedCluster,
) -> None:
    """Its next proposal reached one only; it is the primary, and would make another."""
    order(cluster, 2)
    copy = cluster.hosts[0].disk.copy()
    change_members(cluster, 0, 1, 2, 4)
    cluster.network.cut = lambda source, target, frame: (
        source == 0 and target != 4 and codec.decode(frame)[0] in (1, 10)
    )
    cluster.submit(b"first", to=0)
    cluster.run(30)
    said = votes_of(cluster, 0)
    cluster.heal()

    host = restart(cluster, 0, copy)
    cluster.submit(b"second", to=0)
    cluster.run(5_000)
    order(cluster, 30)

    for slot, digests in votes_of(cluster, 0).items():
        assert len(digests | said.get(slot, set())) == 1, f"two votes at {slot}"
    assert not any(host.evidence for host in cluster.hosts)
    assert any("older copy" in report for report in host.reports)
    assert host.replica.silence == ""


def test_a_copy_is_noticed_by_the_checkpoint_that_we_signed_when_no_slot_is_open(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 1)
    copy = cluster.hosts[3].disk.copy()
    order(cluster, 7)
    cluster.run(2_000)
    assert cluster.hosts[0].replica.stable == 8

    host = restart(cluster, 3, copy)

    assert "older copy" in host.replica.silence


@pytest.mark.parametrize(("liars", "is_believed"), [((0,), False), ((0, 1), True)])
def test_a_hint_counts_once_so_many_give_it_that_one_is_honest(
    cluster: SimulatedCluster, liars: tuple[int, ...], is_believed: bool
) -> None:
    order(cluster, 2)
    host = cluster.hosts[3]
    host.stop()
    deliver = host.receive

    def receive(sender: ReplicaId, frame: bytes) -> None:
        if kind_of(frame) == VOUCH and sender in {cluster.hosts[index].me for index in liars}:
            value = codec.decode(frame)
            frame = codec.encode([*value[:7], [0, 0, 12], value[8]])
        deliver(sender, frame)

    host.receive = receive  # type: ignore[method-assign]
    host.start()
    cluster.run(100)

    assert bool(host.replica.silence) is is_believed


def test_a_vote_of_an_epoch_that_we_do_not_know_proves_the_loss(cluster: SimulatedCluster) -> None:
    """Nothing else tells: no certificate with our name in it, and no hint."""
    order(cluster, 2)
    copy = cluster.hosts[3].disk.copy()
    change_members(cluster, 0, 1, 2, 3, 4)
    order(cluster, 1)
    host = cluster.hosts[3]
    deliver = host.receive

    def receive(sender: ReplicaId, frame: bytes) -> None:
        if kind_of(frame) == VOUCH:
            value = codec.decode(frame)
            frame = codec.encode([*value[:6], b"", [0, 0, 0], b""])
            deliver(sender, frame)

    host.receive = receive  # type: ignore[method-assign]
    restart(cluster, 3, copy)

    assert host.replica.membership.epoch == 0
    assert "older copy" in host.replica.silence


def test_a_status_leaves_when_what_it_says_is_durable(cluster: SimulatedCluster) -> None:
    now_ms = cluster.clock.now_ms + SETTINGS.status_interval_ms

    ready = cluster.hosts[0].replica.step(RequestSubmitted(b"pin"), now_ms=now_ms, wall_ms=0)

    assert those(Append, ready)
    assert STATUS in {kind_of(out.frame) for out in sent(ready)}
    assert STATUS not in {kind_of(out.frame) for out in sent_early(ready)}


# Promises


def gives_up_alone(cluster: SimulatedCluster, index: int) -> None:
    """Have one host give up view 0 for a request that nobody hears of, and on a liar's word that
    it would too; the others go on."""
    cluster.network.cut = lambda source, _target, frame: (
        source == index and kind_of(frame) == REQUESTS
    )
    cluster.submit(b"never heard of by the primary", to=index)
    host, doubt = cluster.hosts[index], Doubt(Epoch(0), View(0)).frame()
    while host.replica.is_active:
        host.step(MessageReceived(cluster.hosts[0].me, doubt))
        cluster.run(100)
    cluster.run(50)
    cluster.heal()


def test_who_gave_up_a_view_and_forgot_it_does_not_vote_there_again(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 2)
    gives_up_alone(cluster, 3)

    host = restart(cluster, 3)
    order(cluster, 40)

    assert host.replica._core.guard.promised == (0, 1)
    assert slots_of(cluster, 3) == set()
    assert host.replica.silence == ""
    host = restart(cluster, 3, host.disk)
    order(cluster, 4)
    assert slots_of(cluster, 3) == set()
    cluster.hosts[0].stop()
    for index in (1, 2):
        cluster.submit(b"in another view", to=index)
    cluster.run(10_000)
    assert b"in another view" in host.requests


def test_a_copy_from_before_a_view_was_given_up_is_noticed_by_the_view_change(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 2)
    copy = cluster.hosts[3].disk.copy()
    gives_up_alone(cluster, 3)

    host = restart(cluster, 3, copy)

    assert "older copy" in host.replica.silence
