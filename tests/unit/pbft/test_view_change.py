"""What happens when the primary does not do its work."""

from random import Random

import pytest

from bftcluster import codec
from bftcluster.ids import Digest
from bftcluster.pbft import MessageReceived, ReplicaSettings, request_digest
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import STABLE, Requests
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import WALL_EPOCH_MS
from tests.unit.pbft.readies import sent, sent_early
from tests.unit.pbft.view_builders import view_change

TIMEOUT_MS = 1_000
PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT, VIEW_CHANGE, NEW_VIEW = 1, 2, 3, 4, 5, 6


def running(n: int = 4, *, seed: int = 0, **settings: int) -> SimulatedCluster:
    """Return a started cluster whose replicas may vote."""
    times = {"request_timeout_ms": 500, "view_change_timeout_ms": TIMEOUT_MS}
    cluster = SimulatedCluster(n, seed=seed, settings=ReplicaSettings(**{**times, **settings}))
    cluster.start()
    cluster.run(10)
    return cluster


def views(cluster: SimulatedCluster) -> list[int]:
    return [host.replica.view for host in cluster.hosts if host.is_up]


def no_vote_was_contradicted(cluster: SimulatedCluster) -> bool:
    signed: dict[tuple[int, ...], set[bytes]] = {}
    for _, source, _, frame in cluster.network.sent:
        kind, *rest = codec.decode(frame)
        if kind <= 4:
            signed.setdefault((source, kind, *rest[:3]), set()).add(rest[3])
    return all(len(digests) == 1 for digests in signed.values())


def test_a_crashed_primary_is_replaced_after_the_timeout_and_four_delays() -> None:
    cluster = running()
    cluster.hosts[0].stop()
    begin_ms = cluster.clock.now_ms

    cluster.submit(b"request", to=1)
    # The request is relayed at 500; the others hear of it 1 later and wait from then on.
    cluster.run_until(lambda: cluster.hosts[2].replica.last_executed == 1, limit_ms=5_000)

    relayed_ms, delays = 500 + 1, 4
    assert cluster.clock.now_ms - begin_ms == relayed_ms + TIMEOUT_MS + delays
    cluster.run(2)
    assert views(cluster) == [1, 1, 1]


@pytest.mark.parametrize("n", [4, 5, 7, 10])
def test_f_crashed_primaries_in_a_row_are_passed_over(n: int) -> None:
    cluster = running(n)
    f = cluster.membership.f
    for host in cluster.hosts[:f]:
        host.stop()

    cluster.submit(b"request", to=n - 1)
    cluster.run(500 + 20 + TIMEOUT_MS * (2**f))

    assert views(cluster) == [f] * (n - f)
    assert [host.requests for host in cluster.hosts[f:]] == [[b"request"]] * (n - f)


def test_f_wishes_for_a_view_move_nobody_and_one_more_moves_all() -> None:
    cluster = running(7)
    replica = cluster.hosts[0].replica
    active = []

    for voter in (4, 5, 6):
        event = MessageReceived(cluster.hosts[voter].me, view_change(voter).frame())
        replica.step(event, now_ms=cluster.clock.now_ms, wall_ms=0)
        active.append(replica.is_active)

    assert cluster.membership.f == 2
    assert active == [True, True, False]


def test_a_decision_resets_the_timer_so_that_each_lost_primary_costs_the_same() -> None:
    cluster = running()
    waits_ms = []

    for view in range(6):
        primary, other = view % 4, cluster.hosts[(view + 2) % 4]
        request = b"in view %d" % view
        cluster.partition({primary}, {0, 1, 2, 3} - {primary})
        begin_ms = cluster.clock.now_ms
        cluster.submit(request, to=other.index)
        cluster.run_until(lambda h=other, r=request: r in h.requests, limit_ms=60_000)
        waits_ms.append(cluster.clock.now_ms - begin_ms)
        cluster.heal()
        cluster.run(3_000)

    assert views(cluster) == [6] * 4
    assert max(waits_ms) < min(waits_ms) + TIMEOUT_MS // 2


def test_the_next_view_is_tried_at_least_as_often_as_the_cap_says() -> None:
    cap_ms, minutes = 8_000, 10
    cluster = running(view_change_timeout_max_ms=cap_ms)
    cluster.network.cut = lambda _source, _target, frame: codec.decode(frame)[0] == NEW_VIEW
    cluster.hosts[0].stop()

    cluster.submit(b"request", to=1)
    cluster.run(minutes * 60_000)

    frames = [codec.decode(frame) for *_, frame in cluster.network.sent]
    wanted = {frame[2] for frame in frames if frame[0] == VIEW_CHANGE}
    assert len(wanted) > minutes * 60_000 // (2 * cap_ms)


@pytest.mark.parametrize("delays", range(1, 6))
def test_what_was_in_flight_when_the_primary_died_is_decided_once(delays: int) -> None:
    cluster = running()
    cluster.submit(b"request", to=1)
    cluster.run(delays)
    cluster.hosts[0].stop()

    cluster.run(3_000)
    cluster.submit(b"another", to=2)
    cluster.run(3_000)

    for host in cluster.hosts[1:]:
        assert host.requests == [b"request", b"another"]
    assert no_vote_was_contradicted(cluster)


def test_what_only_one_replica_decided_is_kept_by_the_next_view() -> None:
    cluster = running()
    cluster.network.cut = lambda _source, target, frame: (
        target != 3 and codec.decode(frame)[0] == COMMIT
    )
    cluster.submit(b"request", to=1)
    cluster.run(10)
    assert [len(host.requests) for host in cluster.hosts] == [0, 0, 0, 1]

    cluster.hosts[3].stop()
    cluster.heal()
    cluster.run(5_000)

    assert cluster.hosts[1].requests == [b"request"]
    cluster.check_agreement()


def test_a_prepared_batch_survives_two_view_changes_and_a_restart_of_everybody() -> None:
    cluster = running()
    cluster.network.cut = lambda _source, _target, frame: codec.decode(frame)[0] == COMMIT
    cluster.submit(b"request", to=2)
    cluster.run(4_500)
    assert min(views(cluster)) >= 1
    digests = set()
    for host in cluster.hosts:
        digests.add(host.replica._core.log.slots[1].prepared.digest)
    assert len(digests) == 1

    for host in cluster.hosts:
        host.stop()
    cluster.heal()
    for host in cluster.hosts:
        host.start()
    cluster.run(8_000)

    assert [host.requests for host in cluster.hosts] == [[b"request"]] * 4
    assert no_vote_was_contradicted(cluster)


def test_a_lost_view_change_or_new_view_is_repeated() -> None:
    for lost_kind in (VIEW_CHANGE, NEW_VIEW):
        cluster = running()
        cluster.network.cut = lambda _s, _t, frame, kind=lost_kind, c=cluster: (
            c.clock.now_ms < 2_600 and codec.decode(frame)[0] == kind
        )
        cluster.hosts[0].stop()
        cluster.submit(b"request", to=1)
        cluster.run(9_000)

        assert [host.requests for host in cluster.hosts[1:]] == [[b"request"]] * 3


def test_an_idle_healed_primary_learns_the_view_it_missed() -> None:
    cluster = running()
    cluster.partition({0}, {1, 2, 3})
    cluster.submit(b"request", to=1)
    cluster.run(4_000)
    assert views(cluster) == [0, 1, 1, 1]

    cluster.heal()
    cluster.run(2_000)

    assert views(cluster) == [1, 1, 1, 1]
    assert cluster.hosts[0].requests == [b"request"]


@pytest.mark.parametrize("later_ms", range(0, 2_500, 250))
def test_a_replica_without_peers_blames_no_primary(later_ms: int) -> None:
    """Nor for a request that nobody has heard of yet: it is relayed as soon as others are heard."""
    cluster = running()
    cluster.partition({0, 1, 2}, {3})
    cluster.submit(b"lonely", to=3)
    cluster.submit(b"request", to=0)
    cluster.run(20_000 + later_ms)

    cluster.heal()
    cluster.run(1_000)
    assert b"lonely" in cluster.hosts[0].requests
    cluster.run(2_000)

    assert set(views(cluster)) == {0}
    assert all(host.replica.is_active for host in cluster.hosts)
    assert all(b"lonely" in host.requests for host in cluster.hosts[:3])
    cluster.check_agreement()


def test_two_of_four_down_for_hours_and_back_decide_within_the_capped_timeout() -> None:
    cluster = running(view_change_timeout_max_ms=8_000)
    for host in cluster.hosts[2:]:
        host.stop()
    cluster.submit(b"request", to=1)
    cluster.run(10_000_000)
    assert all(len(host.requests) == 0 for host in cluster.hosts[:2])

    for host in cluster.hosts[2:]:
        host.start()
    cluster.run(20_000)

    assert [host.requests for host in cluster.hosts] == [[b"request"]] * 4
    assert max(views(cluster)) <= 1


def test_a_censored_request_costs_the_primary_its_view_though_it_serves_others() -> None:
    cluster = running()
    primary = cluster.hosts[0]
    primary.replica._core.application = Censor()

    cluster.submit(b"censored", to=2)
    for number in range(100):
        cluster.submit(b"request %d" % number, to=number % 4)
        cluster.run(100)

    assert all(b"censored" in host.requests for host in cluster.hosts[1:])
    assert min(views(cluster)[1:]) >= 1


class Censor:
    """What a primary executes for that takes all requests but one client's."""

    def admissible(self, request: bytes) -> bool:
        return request != b"censored"

    def name(self, request: bytes) -> Digest:
        return request_digest(request)

    def is_wanted(self, request: bytes) -> bool:
        return True

    def is_owed(self, request: bytes) -> bool:
        return True


def test_what_comes_before_a_request_that_is_refused_is_passed_on_all_the_same() -> None:
    cluster = running()
    backup, relayer = cluster.hosts[1], cluster.hosts[2]
    backup.replica._core.application = Censor()
    cluster.network.sent.clear()

    backup.receive(relayer.me, Requests((b"good", b"censored"), relayed=True).frame())

    passed = Requests((b"good",), relayed=False).frame()
    assert (1, 0, passed) in {(source, to, frame) for _, source, to, frame in cluster.network.sent}


def test_a_slow_replica_that_complains_alone_changes_nothing() -> None:
    cluster = running()
    cluster.network.cut = lambda source, target, frame: (
        target == 3 and source == 0 and codec.decode(frame)[0] in {1, 2, 3, 10}
    )

    for number in range(100):
        cluster.submit(b"request %d" % number, to=number % 4)
        cluster.run(100)
    cluster.run(2_000)

    assert views(cluster)[:3] == [0, 0, 0]
    assert cluster.hosts[3].requests == cluster.hosts[0].requests


@pytest.mark.parametrize("seed", range(12))
def test_random_loss_and_crashes_never_split_the_log(seed: int) -> None:
    cluster = running(
        seed=seed, checkpoint_interval_seqs=8, window_size_seqs=32, view_change_timeout_max_ms=4_000
    )
    random = Random(seed)
    cluster.network.faults.delay_ms_max = 40
    cluster.network.faults.loss_percent = random.choice([0, 5, 20])
    for number in range(60):
        up = [host for host in cluster.hosts if host.is_up]
        cluster.submit(b"request %d" % number, to=random.choice(up).index)
        cluster.run(random.choice([5, 50, 300]))
        if len(up) == 4 and random.random() < 0.15:
            random.choice(up).stop()
        elif len(up) < 4 and random.random() < 0.2:
            next(host for host in cluster.hosts if not host.is_up).start()
    for host in cluster.hosts:
        if not host.is_up:
            host.start()
    cluster.network.faults.loss_percent = 0
    cluster.submit(b"the end", to=1)
    cluster.run(40_000)

    cluster.check_agreement()
    assert all(
        host.requests[-1] == b"the end" or b"the end" in host.requests for host in cluster.hosts
    )
    assert len({len(host.log) for host in cluster.hosts}) == 1
    assert no_vote_was_contradicted(cluster)


def test_one_whose_window_lags_behind_blames_nobody_and_follows() -> None:
    cluster = running(checkpoint_interval_seqs=4, window_size_seqs=8)
    late = cluster.hosts[3]
    cluster.network.cut = lambda _source, target, frame: (
        target == late.index and kind_of(frame) in (CHECKPOINT, STABLE)
    )
    for number in range(40):
        cluster.submit(b"request %d" % number, to=number % 4)
        cluster.run(50)
    cluster.run(2 * TIMEOUT_MS)
    assert [host.replica.stable for host in cluster.hosts] == [40, 40, 40, 0]

    cluster.heal()
    cluster.run(2_000)

    assert [host.replica.stable for host in cluster.hosts] == [40] * 4
    assert [len(host.requests) for host in cluster.hosts] == [40] * 4
    assert views(cluster) == [0] * 4


def test_a_backlog_is_no_reason_to_blame_a_fair_primary() -> None:
    cluster = running(execution_backlog_max_seqs=1, slots_in_flight_max=1, batch_requests_max=1)

    for number in range(900):
        cluster.submit(b"request %d" % number, to=1)
    cluster.network.sent.clear()
    cluster.run(12_000)

    assert set(views(cluster)) == {0}
    assert len(cluster.hosts[0].requests) == 900
    relayed = sum(codec.decode(frame)[0] == 11 for *_, frame in cluster.network.sent)
    assert relayed < 100


def test_a_new_view_that_is_asked_for_again_in_the_same_turn_does_not_leave_early() -> None:
    """One turn takes several events, and has one append for all of them: it is not durable yet."""
    cluster = running()
    replica, now_ms = cluster.hosts[1].replica, cluster.clock.now_ms
    wishes = [
        MessageReceived(cluster.hosts[voter].me, view_change(voter, view=1).frame())
        for voter in (2, 3, 2)
    ]

    ready = replica.step(*wishes, now_ms=now_ms, wall_ms=WALL_EPOCH_MS + now_ms)

    assert replica.view == 1
    assert [codec.decode(o.frame)[0] for o in sent_early(ready)] == []
    to = [o.to for o in sent(ready) if codec.decode(o.frame)[0] == NEW_VIEW]
    assert to == [None, cluster.hosts[2].me]
