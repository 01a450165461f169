"""The fault-free path, counted message by message."""

from collections import Counter

import pytest

from bftcluster import codec
from bftcluster.ids import Seq
from bftcluster.pbft import MessageReceived, ReplicaSettings
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.pbft.builders import vote

PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT = 1, 2, 3, 4


def quiet(n: int, **settings: int) -> SimulatedCluster:
    """Return a started cluster whose first statuses have passed."""
    cluster = SimulatedCluster.running(n, settings=ReplicaSettings(**settings))
    cluster.network.sent.clear()
    cluster.verifier.checks = 0
    return cluster


@pytest.mark.parametrize("n", [1, 4, 5, 6, 7, 8, 10, 16])
def test_a_decision_takes_2n_times_n_minus_1_votes_and_three_delays(n: int) -> None:
    cluster = quiet(n)
    begin_ms = cluster.clock.now_ms

    cluster.submit(b"request")
    cluster.run(3)

    kinds = Counter(codec.decode(frame)[0] for *_, frame in cluster.network.sent)
    assert kinds[PRE_PREPARE] == n - 1
    assert kinds[PREPARE] == (n - 1) ** 2
    assert kinds[COMMIT] == n * (n - 1)
    assert all(host.replica.last_executed == 1 for host in cluster.hosts)
    assert cluster.clock.now_ms == begin_ms + 3


@pytest.mark.parametrize("n", [4, 7, 10, 16])
def test_a_decision_costs_at_most_4fn_signature_checks(n: int) -> None:
    cluster = quiet(n)

    cluster.submit(b"request")
    cluster.run(3)

    assert cluster.verifier.checks <= 4 * cluster.membership.f * n


def test_a_request_at_a_backup_takes_one_delay_more() -> None:
    cluster = quiet(4)

    cluster.submit(b"request", to=2)
    cluster.run(4)

    assert [host.replica.last_executed for host in cluster.hosts] == [1, 1, 1, 1]


def test_one_replica_short_of_a_quorum_nothing_is_decided() -> None:
    cluster = quiet(4)
    cluster.partition({0, 1}, {2}, {3})

    cluster.submit(b"request")
    cluster.run(100)

    assert [host.replica.last_executed for host in cluster.hosts] == [0, 0, 0, 0]


def test_the_same_request_everywhere_is_ordered_once() -> None:
    cluster = quiet(4)

    for host in range(4):
        cluster.submit(b"request", to=host)
    cluster.run(50)
    cluster.submit(b"request", to=1)
    cluster.run(50)

    assert [host.replica.last_executed for host in cluster.hosts] == [1, 1, 1, 1]


def test_requests_beyond_the_slots_in_flight_share_batches() -> None:
    cluster = quiet(4, slots_in_flight_max=2, batch_requests_max=50)

    for number in range(102):
        cluster.submit(b"request %d" % number)
    cluster.run(50)

    assert [host.replica.last_executed for host in cluster.hosts] == [4, 4, 4, 4]
    cluster.check_agreement()


def test_checkpoints_become_stable_and_the_log_is_truncated() -> None:
    settings = {"checkpoint_interval_seqs": 4, "window_size_seqs": 16}
    cluster = quiet(4, **settings)

    for number in range(10):
        cluster.submit(b"request %d" % number)
        cluster.run(5)

    for host in cluster.hosts:
        assert host.replica.stable == 8
        assert host.replica.stats.open_slots == 2
        assert len(host.disk.records) < 15


def test_a_replica_that_was_cut_off_catches_up_from_the_log() -> None:
    settings = {"checkpoint_interval_seqs": 4, "window_size_seqs": 16}
    cluster = quiet(4, **settings)
    cluster.partition({0, 1, 2}, {3})
    for number in range(200):
        cluster.submit(b"request %d" % number)
        cluster.run(5)
    assert cluster.hosts[3].replica.last_executed == 0

    cluster.heal()
    cluster.run(1_500)

    assert cluster.hosts[3].replica.last_executed == 200
    assert cluster.hosts[3].replica.stable == 200
    cluster.check_agreement()
    assert cluster.hosts[3].reports == []


def test_lost_messages_are_sent_again_when_a_status_stands_still() -> None:
    cluster = quiet(4)
    cluster.network.faults.loss_percent = 40

    for number in range(20):
        cluster.submit(b"request %d" % number)
        cluster.run(50)
    cluster.network.faults.loss_percent = 0
    cluster.run(3_000)

    assert [len(host.requests) for host in cluster.hosts] == [20, 20, 20, 20]
    cluster.check_agreement()


def test_a_batch_that_is_never_sent_along_is_fetched_by_digest() -> None:
    cluster = quiet(4)
    body = 10
    cluster.network.cut = lambda source, target, frame: (
        source == 0 and target == 3 and codec.decode(frame)[0] == body
    )

    cluster.submit(b"request")
    cluster.run(2_000)

    assert cluster.hosts[3].replica.last_executed == 1


@pytest.mark.parametrize("seed", range(5))
def test_pipelined_slots_execute_in_order_under_any_delivery_order(seed: int) -> None:
    cluster = SimulatedCluster(4, seed=seed)
    cluster.network.faults.delay_ms_max = 30
    cluster.network.faults.duplicate_percent = 20
    cluster.start()

    for number in range(100):
        cluster.submit(b"request %d" % number, to=number % 4)
        cluster.run(3)
    cluster.run(3_000)

    assert {len(host.log) for host in cluster.hosts} == {len(cluster.hosts[0].log)}
    assert cluster.hosts[0].replica.stats.pending_requests == 0
    cluster.check_agreement()


def test_without_a_quorum_of_prepares_nobody_votes_to_commit() -> None:
    cluster = quiet(4)
    cluster.network.cut = lambda _source, _target, frame: codec.decode(frame)[0] == PREPARE

    cluster.submit(b"request")
    cluster.run(100)

    kinds = Counter(codec.decode(frame)[0] for *_, frame in cluster.network.sent)
    assert kinds[PREPARE] > 0
    assert kinds[COMMIT] == 0


def test_nothing_is_opened_above_the_window_however_far_we_have_executed() -> None:
    cluster = quiet(4, checkpoint_interval_seqs=4, window_size_seqs=8)
    cluster.network.cut = lambda _source, _target, frame: codec.decode(frame)[0] == CHECKPOINT
    for number in range(4):
        cluster.submit(b"request %d" % number)
        cluster.run(5)
    replica = cluster.hosts[1].replica
    assert (replica.stable, replica.last_executed) == (0, 4)

    frame = vote(VoteKind.PRE_PREPARE, 0, seq=9).frame()
    event = MessageReceived(cluster.hosts[0].me, frame)
    replica.step(event, now_ms=cluster.clock.now_ms, wall_ms=0)

    assert Seq(9) not in replica._core.log.slots
    assert replica.stats.stashed_frames == 1


def test_few_bytes_are_under_way_at_once_so_that_nobody_waits_long_for_them() -> None:
    cluster = quiet(4, batch_requests_max=1, unexecuted_size_max_bytes=150)

    requests = [b"%d" % number * 100 for number in range(5)]
    for request in requests:
        cluster.submit(request, to=0)
    said = [codec.decode(frame) for _, _, _, frame in cluster.network.sent]
    proposed = {value[3] for value in said if value[0] == PRE_PREPARE}
    cluster.run(200)

    assert len(proposed) == 2
    assert [host.requests for host in cluster.hosts] == [requests] * 4
