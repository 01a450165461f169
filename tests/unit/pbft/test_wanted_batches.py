"""A state with work under way moves on although nobody asks for anything."""

from bftcluster.ids import Seq
from bftcluster.pbft import Batch, ReplicaSettings
from bftcluster.pbft.batches import NULL_BATCH
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import Effect, HostCrashedError

WANTED = Seq(40)
SETTINGS = ReplicaSettings(checkpoint_interval_seqs=16, window_size_seqs=64)


def wanting(n: int = 4) -> SimulatedCluster:
    cluster = SimulatedCluster(n, settings=SETTINGS)
    for host in cluster.hosts:
        host.batches_wanted = WANTED
    cluster.start()
    cluster.run(10)
    return cluster


def wanting_without_its_primary() -> SimulatedCluster:
    cluster = wanting()
    cluster.submit(b"starts it")
    cluster.run(5)
    cluster.hosts[0].stop()
    cluster.submit(b"shows that the primary is gone", to=1)
    return cluster


def executed(cluster: SimulatedCluster) -> list[int]:
    return [host.replica.last_executed for host in cluster.hosts if host.is_up]


def test_an_idle_primary_orders_null_batches_until_the_state_wants_no_more() -> None:
    cluster = wanting()
    cluster.run(1_000)
    assert executed(cluster) == [0] * 4

    cluster.submit(b"starts it")
    cluster.run(2_000)

    reached = executed(cluster)
    assert min(reached) == max(reached)
    assert WANTED <= reached[0] <= WANTED + 2 * SETTINGS.slots_in_flight_max
    assert set(cluster.hosts[0].log[1:]) == {NULL_BATCH}
    cluster.run(5_000)
    assert executed(cluster) == reached
    assert all(host.replica.view == 0 for host in cluster.hosts)


def test_requests_go_before_null_batches() -> None:
    cluster = wanting()
    cluster.submit(b"first")
    cluster.submit(b"second")
    cluster.run(30)
    cluster.submit(b"third", to=2)
    cluster.run(2_000)

    assert all(host.requests == [b"first", b"second", b"third"] for host in cluster.hosts)
    cluster.check_agreement()


def test_the_next_primary_goes_on_where_a_crashed_one_stopped() -> None:
    cluster = wanting_without_its_primary()
    cluster.run(20_000)

    assert min(executed(cluster)) >= WANTED
    assert {Batch.from_bytes(batch).view for batch in cluster.hosts[1].log[20:]} == {1}
    cluster.check_agreement()


def test_after_a_restart_of_all_the_work_goes_on() -> None:
    cluster = wanting()
    cluster.submit(b"starts it")
    cluster.run(6)
    assert 0 < min(executed(cluster)) < WANTED
    for host in cluster.hosts:
        host.stop()
    for host in cluster.hosts:
        host.start()
    cluster.run(20_000)

    assert min(executed(cluster)) >= WANTED
    cluster.check_agreement()


def test_null_batches_that_are_alike_outlive_a_crash_before_the_log_is_cut() -> None:
    cluster = wanting_without_its_primary()
    victim = cluster.hosts[2]

    def die_at_the_cut(effect: Effect) -> None:
        if effect is Effect.TRUNCATE and victim.replica.stable:
            raise HostCrashedError

    victim.before_effect = die_at_the_cut
    cluster.run(20_000)
    assert not victim.is_up

    victim.before_effect = lambda _effect: None
    victim.start()
    cluster.run(20_000)
    assert min(executed(cluster)) >= WANTED
    cluster.check_agreement()
