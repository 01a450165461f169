"""Crashes at every effect boundary: no vote is ever contradicted, and the cluster goes on."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.pbft import ReplicaSettings
from bftcluster.pbft.records import Stable, parse_record
from bftcluster_sim.cluster.cluster import SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.hosts import Effect, Host, HostCrashedError

SETTINGS = ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=16)
DECISIONS = 6


def run_with_crash(victim: int, boundary: int) -> tuple[SimulatedCluster, bool]:
    """Kill ``victim`` before its effect number ``boundary``; restart it; let all settle."""
    cluster = SimulatedCluster(4, settings=SETTINGS)
    host = cluster.hosts[victim]
    has_crashed = crash_before(host, boundary)
    cluster.start()
    for number in range(DECISIONS):
        if host.is_up:
            cluster.submit(b"request %d" % number, to=victim)
        else:
            cluster.submit(b"request %d" % number, to=(victim + 1) % 4)
        cluster.run(5)
    if not host.is_up:
        host.start()
    cluster.run(2_000)
    host.before_effect = lambda _effect: None
    crashed = has_crashed()
    cluster.submit(b"one more", to=victim)
    cluster.run(2_500)
    return cluster, crashed


def crash_before(host: Host, boundary: int) -> Callable[[], bool]:
    """Have ``host`` crash before its effect of that number; return what tells whether it did."""
    seen = 0

    def before_effect(_effect: Effect) -> None:
        nonlocal seen
        seen += 1
        if seen == boundary:
            raise HostCrashedError

    host.before_effect = before_effect
    return lambda: seen >= boundary


def runs_that_agree(
    run: Callable[[int, int], tuple[SimulatedCluster, bool]], victim: int
) -> Iterator[SimulatedCluster]:
    """Run until no boundary is left to crash at; whatever the run, no vote is contradicted."""
    for boundary in itertools.count(1):
        cluster, crashed = run(victim, boundary)
        assert all(len(digests) == 1 for digests in votes_signed(cluster).values())
        cluster.check_agreement()
        yield cluster
        if not crashed:
            return


def cluster_with(decisions: int) -> SimulatedCluster:
    """Return four replicas that have decided so many requests, one after the other."""
    cluster = SimulatedCluster(4, settings=SETTINGS)
    cluster.start()
    for number in range(decisions):
        cluster.submit(b"request %d" % number)
        cluster.run(5)
    return cluster


def votes_signed(cluster: SimulatedCluster) -> dict[tuple[int, ...], set[bytes]]:
    """Return the digests each replica ever sent for one (replica, kind, epoch, view, seq)."""
    signed: dict[tuple[int, ...], set[bytes]] = {}
    for _, source, _, frame in cluster.network.sent:
        kind, *rest = codec.decode(frame)
        if kind <= 4:
            epoch, view, seq, digest, _ = rest
            signed.setdefault((source, kind, epoch, view, seq), set()).add(digest)
    return signed


def test_a_view_given_up_before_a_restart_stays_given_up() -> None:
    commit, view_change, new_view = 3, 5, 6
    cluster = SimulatedCluster.running(
        4, settings=ReplicaSettings(request_timeout_ms=100, view_change_timeout_ms=200)
    )
    cluster.network.cut = lambda _source, _target, frame: (
        codec.decode(frame)[0] in {commit, new_view}
    )
    cluster.submit(b"request", to=3)
    cluster.run(400)
    host = cluster.hosts[2]
    assert (host.replica.view, host.replica.is_active) == (0, False)
    before = [frame for _, source, _, frame in cluster.network.sent if source == 2]
    wishes = [frame for frame in before if codec.decode(frame)[0] == view_change]

    host.stop()
    cluster.network.sent.clear()
    host.start()

    assert not host.replica.is_active
    after = [frame for _, source, _, frame in cluster.network.sent if source == 2]
    assert wishes[-1] in after
    assert all(frame in before for frame in after if codec.decode(frame)[0] <= commit)


def test_a_request_decided_before_a_restart_is_not_proposed_again() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    cluster.submit(b"request", to=0)
    cluster.run(50)

    cluster.hosts[0].stop()
    cluster.hosts[0].start()
    cluster.run(50)
    cluster.submit(b"request", to=0)
    cluster.run(50)

    assert [host.requests for host in cluster.hosts] == [[b"request"]] * 4


@pytest.mark.parametrize("victim", [0, 1])
def test_a_crash_at_any_effect_boundary_contradicts_no_vote(victim: int) -> None:
    runs = list(runs_that_agree(run_with_crash, victim))

    for boundary, cluster in enumerate(runs, start=1):
        logs = {len(host.log) for host in cluster.hosts}
        assert len(logs) == 1, f"boundary {boundary}: everybody caught up, {logs}"
    assert len(runs) >= 40


def test_all_replicas_restarted_at_once_decide_what_was_in_flight() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    cluster.submit(b"request")
    cluster.run(2)

    for host in cluster.hosts:
        host.stop()
    for host in cluster.hosts:
        host.start()
    cluster.run(100)

    assert [host.replica.last_executed for host in cluster.hosts] == [1, 1, 1, 1]
    assert all(len(digests) == 1 for digests in votes_signed(cluster).values())


def test_a_checkpoint_that_was_voted_on_becomes_stable_after_a_restart_of_everybody() -> None:
    cluster = SimulatedCluster.running(4, settings=SETTINGS)
    cluster.network.cut = lambda _source, _target, frame: codec.decode(frame)[0] == 4
    for number in range(4):
        cluster.submit(b"request %d" % number)
        cluster.run(5)
    assert [host.replica.stable for host in cluster.hosts] == [0, 0, 0, 0]

    for host in cluster.hosts:
        host.stop()
        host.disk.checkpoint_root = None
    cluster.network.cut = lambda _source, _target, _frame: False
    for host in cluster.hosts:
        host.start()
    cluster.run(10)

    assert [host.replica.stable for host in cluster.hosts] == [4, 4, 4, 4]


def test_live_records_rebuild_the_same_state() -> None:
    cluster = cluster_with(7)
    host = cluster.hosts[0]
    before = host.replica.live_records()
    host.disk.records = before
    host.stop()
    host.start()

    assert sorted(host.replica.live_records()) == sorted(before)


def run_view_change_with_crash(victim: int, boundary: int) -> tuple[SimulatedCluster, bool]:
    """Have the primary die in the middle of things, and ``victim`` crash during what follows."""
    settings = replace(
        SMALL_WINDOW, request_timeout_ms=100, view_change_timeout_ms=200, status_interval_ms=80
    )
    cluster = SimulatedCluster(4, settings=settings)
    cluster.start()
    for number in range(3):
        cluster.submit(b"request %d" % number, to=3)
        cluster.run(5)
    cluster.submit(b"in flight", to=3)
    cluster.run(3)
    cluster.hosts[0].stop()
    host = cluster.hosts[victim]
    crash_before(host, boundary)
    cluster.submit(b"waiting", to=3)
    cluster.run(400)
    crashed = not host.is_up
    host.before_effect = lambda _effect: None
    if crashed:
        host.start()
    cluster.run(2_500)
    cluster.hosts[0].start()
    cluster.submit(b"one more", to=2)
    cluster.run(1_500)
    return cluster, crashed


@pytest.mark.parametrize("victim", [1, 2])
def test_a_crash_at_any_effect_boundary_of_a_view_change_contradicts_no_vote(victim: int) -> None:
    runs = list(runs_that_agree(run_view_change_with_crash, victim))

    for boundary, cluster in enumerate(runs, start=1):
        for host in cluster.hosts:
            assert {b"in flight", b"waiting", b"one more"} <= set(host.requests), boundary
            assert len(set(host.requests)) == len(host.requests)
    assert len(runs) >= 20


def test_votes_above_what_a_ledger_that_lost_its_last_flushes_knows_of_are_remembered() -> None:
    """Slots up to 12 are open once 4 is executed; the power goes before that was durable."""
    cluster = cluster_with(10)
    host = cluster.hosts[3]
    assert len(host.log) == 10
    host.disk.records = [
        record for record in host.disk.records if not isinstance(parse_record(record), Stable)
    ]

    host.stop()
    del host.disk.entries[3:]
    host.disk.checkpoint_root = None
    host.start()
    cluster.run(2_000)

    assert len(host.log) == 10
    cluster.check_agreement()


def test_a_crash_between_entering_a_view_and_compacting_the_log_leaves_us_in_the_view() -> None:
    cluster = SimulatedCluster.running(
        4, settings=ReplicaSettings(request_timeout_ms=100, view_change_timeout_ms=200)
    )
    cluster.hosts[0].stop()
    host = cluster.hosts[2]

    def before_effect(effect: Effect) -> None:
        if effect is Effect.TRUNCATE:
            raise HostCrashedError

    host.before_effect = before_effect
    cluster.submit(b"request", to=3)
    cluster.run(400)
    assert not host.is_up

    host.start()

    assert (host.replica.view, host.replica.is_active) == (1, True)
