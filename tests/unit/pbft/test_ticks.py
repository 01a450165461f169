"""What is due happens although nobody asks for anything, and nobody may pretend that it is."""

import pytest

from bftcluster.ids import Seq
from bftcluster.pbft import Batch, Replica, ReplicaSettings, Verdict
from bftcluster.pbft.batches import NULL_BATCH
from bftcluster.pbft.events import BatchesExecuted
from bftcluster.pbft.frames import kind_of
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import DUE, WALL_EPOCH_MS
from tests.unit.pbft.test_bad_proposals import SKEW_MS, WALL_MS, batch, prepares, propose, verdicts

SETTINGS = ReplicaSettings(
    clock_skew_max_ms=1_000, request_timeout_ms=500, view_change_timeout_ms=1_000
)


def due(cluster: SimulatedCluster, after_ms: int) -> int:
    """Have the state owe something after so long, and return when."""
    due_ms = WALL_EPOCH_MS + cluster.clock.now_ms + after_ms
    cluster.submit(DUE + b"%d" % due_ms, to=1)
    cluster.run(100)
    return due_ms


def running() -> SimulatedCluster:
    return SimulatedCluster.running(4, settings=SETTINGS)


def test_an_idle_primary_orders_one_tick_when_something_is_due() -> None:
    cluster = running()
    due_ms = due(cluster, after_ms=5_000)
    cluster.run(4_800)
    assert [len(host.log) for host in cluster.hosts] == [1] * 4

    cluster.run(20_000)

    for host in cluster.hosts:
        [_, tick] = [Batch.from_bytes(each) for each in host.log]
        assert tick.is_tick
        assert due_ms <= tick.timestamp_ms <= due_ms + SETTINGS.status_interval_ms
        assert host.disk.due_ms is None
        assert host.replica.view == 0


def test_a_primary_that_lets_what_is_due_pass_loses_its_view() -> None:
    cluster = running()
    due_ms = due(cluster, after_ms=2_000)
    lazy = cluster.hosts[0].replica._core
    cluster.network.cut = lambda source, _target, _frame: source == 0 and lazy.view == 0
    cluster.run(1_900)
    cluster.network.cut = lambda source, _target, frame: source == 0 and kind_of(frame) in (1, 10)
    cluster.run(10_000)

    assert {host.replica.view for host in cluster.hosts} == {1}
    tick = Batch.from_bytes(cluster.hosts[1].log[1])
    assert tick.is_tick
    timeouts_ms = SETTINGS.request_timeout_ms + SETTINGS.view_change_timeout_ms
    latest_ms = due_ms + SETTINGS.clock_skew_max_ms + timeouts_ms + 2_000
    assert due_ms < tick.timestamp_ms <= latest_ms


def test_a_primary_that_ignores_a_state_which_asks_for_batches_loses_its_view() -> None:
    cluster = running()
    for host in cluster.hosts:
        host.batches_wanted = Seq(3)
    cluster.network.cut = lambda source, _target, frame: (
        source == 0 and kind_of(frame) in (1, 10) and cluster.hosts[1].replica.last_decided == 1
    )
    cluster.submit(b"starts it", to=1)
    cluster.run(8_000)

    assert {host.replica.view for host in cluster.hosts} == {1}
    assert {len(host.log) for host in cluster.hosts} == {3}


def test_a_restarted_cluster_still_knows_what_is_due() -> None:
    cluster = running()
    due(cluster, after_ms=3_000)
    for host in cluster.hosts:
        host.stop()
        host.start()
    cluster.run(6_000)

    assert [len(host.log) for host in cluster.hosts] == [2] * 4


def asked(backup: Replica, *, wants: bool = False, due_ms: int | None = None) -> None:
    """Let the state before the first batch ask for something."""
    backup._core.wants_batches, backup._core.due_ms = wants, due_ms


@pytest.mark.parametrize("due_ms", [None, WALL_MS + 1])
def test_a_tick_before_anything_is_due_gets_no_vote(backup: Replica, due_ms: int | None) -> None:
    asked(backup, wants=True, due_ms=due_ms)

    readies = propose(backup, batch())

    assert prepares(readies) == 0
    assert verdicts(readies) == [Verdict.BAD_BATCH]


def test_a_tick_gets_a_vote_from_when_something_is_due(backup: Replica) -> None:
    asked(backup, due_ms=WALL_MS)

    assert prepares(propose(backup, batch())) == 1


def test_a_tick_from_beyond_the_allowed_skew_gets_no_vote(backup: Replica) -> None:
    asked(backup, due_ms=WALL_MS + SKEW_MS)

    readies = propose(backup, batch(ahead_ms=SKEW_MS + 1))

    assert verdicts(readies) == [Verdict.BAD_TIMESTAMP]


def test_a_null_batch_gets_a_vote_only_where_the_state_asks_for_batches(backup: Replica) -> None:
    asked(backup, due_ms=WALL_MS)
    refused = propose(backup, NULL_BATCH)

    assert prepares(refused) == 0
    assert verdicts(refused) == [Verdict.BAD_BATCH]


def test_a_null_batch_that_is_asked_for_gets_a_vote(backup: Replica) -> None:
    asked(backup, wants=True)

    assert prepares(propose(backup, NULL_BATCH)) == 1


def test_one_that_has_not_executed_what_is_before_waits_and_refuses_nothing(
    backup: Replica,
) -> None:
    """Whether it is asked for is seen in the state of exactly the number before."""
    asked(backup, wants=True)
    propose(backup, batch(b"a"))
    early = propose(backup, NULL_BATCH, seq=2)
    assert (prepares(early), verdicts(early)) == (0, [])
    backup._core.decided = Seq(1)

    ready = backup.step(BatchesExecuted(Seq(1), wants_batches=True), now_ms=200, wall_ms=WALL_MS)

    assert prepares([ready]) == 1
