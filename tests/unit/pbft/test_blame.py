"""For what a primary is blamed: what it was given by a voter, and passed over."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest
from bftcluster.limits import RELAYED_PER_SENDER_MAX, RELAYED_SIZE_PER_SENDER_MAX_BYTES
from bftcluster.pbft import MessageReceived, ReplicaSettings, request_digest
from bftcluster.pbft.frames import kind_of, parse_frame
from bftcluster.pbft.messages import Body, Requests
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SMALL_WINDOW, SimulatedCluster
from tests.unit.pbft.readies import sent

SETTINGS = replace(
    SMALL_WINDOW, request_timeout_ms=500, view_change_timeout_ms=1_000, pool_requests_max=100
)
FOLLOWER = 4
PATIENCE_MS = 1_500


def running(settings: ReplicaSettings = SETTINGS) -> SimulatedCluster:
    return SimulatedCluster.running(4, spare=1, settings=settings)


def views(cluster: SimulatedCluster) -> set[int]:
    return {host.replica.view for host in cluster.hosts}


def hear(cluster: SimulatedCluster, to: int, *requests: bytes, sender: int, relayed: bool) -> None:
    frame = Requests(requests, relayed=relayed).frame()
    cluster.hosts[to].receive(cluster.hosts[sender].me, frame)


def deaf_to(cluster: SimulatedCluster, what: bytes) -> None:
    """Let the primary never hear of a request."""
    cluster.network.cut = lambda _source, target, frame: target == 0 and what in frame


def test_what_a_follower_relays_costs_no_primary_that_works_its_view() -> None:
    cluster = running()
    deaf_to(cluster, b"junk")

    for backup in (1, 2, 3):
        hear(cluster, backup, b"junk", sender=FOLLOWER, relayed=True)
    for number in range(20):
        cluster.submit(b"request %d" % number, to=1)
        cluster.run(PATIENCE_MS - 200)

    assert views(cluster) == {0}
    assert len(cluster.hosts[1].requests) == 20


@pytest.mark.parametrize("sender", [3, FOLLOWER])
def test_an_idle_primary_to_which_nothing_came_is_given_it_again_in_time(sender: int) -> None:
    cluster = running()
    deaf_to(cluster, b"relayed")

    for backup in (1, 2):
        hear(cluster, backup, b"relayed", sender=sender, relayed=True)
    cluster.run(PATIENCE_MS // 2)
    cluster.heal()
    cluster.run(20_000)

    assert views(cluster) == {0}
    assert cluster.hosts[0].requests == [b"relayed"]


@pytest.mark.parametrize("liar", [3, FOLLOWER])
def test_who_floods_the_primary_drops_nothing_there_that_others_hold_against_it(liar: int) -> None:
    cluster = running(replace(SETTINGS, slots_in_flight_max=1, batch_requests_max=2))
    cluster.network.cut = lambda _source, _target, frame: kind_of(frame) <= VoteKind.COMMIT
    junk = [b"junk %d" % number for number in range(99)]
    hear(cluster, 0, *junk, sender=liar, relayed=False)
    hear(cluster, 0, b"relayed", sender=liar, relayed=False)
    for backup in (1, 2):
        hear(cluster, backup, b"relayed", sender=liar, relayed=True)
    cluster.run(5)
    for number in range(20):
        hear(cluster, 0, b"honest %d" % number, sender=1, relayed=False)
    deaf_to(cluster, b"relayed")

    cluster.run(20_000)

    assert views(cluster) == {0}
    assert b"relayed" in cluster.hosts[1].requests


def test_what_a_voter_relays_is_passed_on_and_timed() -> None:
    cluster = running()
    deaf_to(cluster, b"ignored")

    for backup in (1, 2):
        hear(cluster, backup, b"ignored", sender=3, relayed=True)
    hear(cluster, 3, b"heard", sender=2, relayed=True)
    cluster.run(5_000)

    assert views(cluster) == {1}
    assert all({b"ignored", b"heard"} == set(host.requests) for host in cluster.hosts[1:])


def test_junk_in_every_pool_keeps_no_honest_request_out_and_goes_away() -> None:
    cluster = running()
    for backup in (1, 2, 3):
        for number in range(150):
            hear(cluster, backup, b"junk %d" % number, sender=FOLLOWER, relayed=False)
    assert [host.replica.stats.pending_requests for host in cluster.hosts[:4]] == [0, 100, 100, 100]

    cluster.submit(b"honest", to=2)
    cluster.run(1_000)
    assert all(host.requests == [b"honest"] for host in cluster.hosts)

    cluster.run(SETTINGS.request_expiry_ms + 2_000)
    assert [host.replica.stats.pending_requests for host in cluster.hosts[:4]] == [0] * 4
    assert views(cluster) == {0}


def test_a_flood_at_the_primary_pushes_out_no_honest_request() -> None:
    cluster = running()
    primary, now_ms = cluster.hosts[0], cluster.clock.now_ms
    junk = [b"junk %d" % number for number in range(300)]
    flood = [
        MessageReceived(cluster.hosts[FOLLOWER].me, Requests((one,), relayed=False).frame())
        for one in junk
    ]
    honest = MessageReceived(cluster.hosts[1].me, Requests((b"honest",), relayed=False).frame())

    ready = primary.replica.step(*flood, honest, now_ms=now_ms, wall_ms=now_ms)

    [first, *_] = [each.frame for each in sent(ready)]
    body = parse_frame(primary.me, first)
    assert isinstance(body, Body)
    assert b"honest" in body.batch


def test_a_request_decided_before_a_restart_is_not_timed_after_it() -> None:
    """The primary, which did not restart, knows it and does not order it again."""
    cluster = running()
    for number in range(9):
        cluster.submit(b"request %d" % number, to=1)
        cluster.run(15)
    for host in cluster.hosts[1:4]:
        host.stop()
        host.start()
        cluster.run(2_000)

    cluster.submit(b"request 1", to=1)
    for backup in (1, 2, 3):
        hear(cluster, backup, b"request 2", sender=3, relayed=True)
    cluster.run(20_000)

    assert views(cluster) == {0}
    assert {host.replica.stats.pending_requests for host in cluster.hosts} == {0}
    assert len(cluster.hosts[0].log) == 9


def test_what_the_primary_knows_to_be_of_no_use_is_not_held_against_it() -> None:
    cluster = running()
    cluster.hosts[0].replica._core.application = Knowing(b"useless")
    later = [Knowing(b"") for _ in range(3)]
    for host, application in zip(cluster.hosts[1:], later, strict=False):
        host.replica._core.application = application

    cluster.submit(b"useless", to=1)
    cluster.run(200)
    for application in later:
        application.useless = b"useless"
    cluster.run(20_000)

    assert views(cluster) == {0}
    assert cluster.hosts[0].requests == []
    assert cluster.hosts[1].replica.stats.pending_requests == 0


@pytest.mark.parametrize("sender", [3, FOLLOWER, None])
def test_a_primary_is_not_blamed_for_what_counts_only_with_something_it_never_heard_of(
    sender: int | None,
) -> None:
    """It counts at the backups, for they did hear of that; and once it is ordered, it is owed."""
    cluster = running()
    knowing = Knowing(b"only with another")
    for host in cluster.hosts[1:]:
        host.replica._core.application = Knowing(b"")
    cluster.hosts[0].replica._core.application = knowing
    if sender is None:
        cluster.submit(b"only with another", to=1)
    else:
        for backup in (1, 2):
            hear(cluster, backup, b"only with another", sender=sender, relayed=True)
    cluster.run(20_000)
    assert views(cluster) == {0}
    assert cluster.hosts[0].requests == []
    if sender is not None:
        return

    knowing.useless = b""
    cluster.run(PATIENCE_MS)
    assert views(cluster) == {0}
    assert cluster.hosts[0].requests == [b"only with another"]


class Knowing:
    """A state that knows one request to be of no use."""

    def __init__(self, useless: bytes) -> None:
        self.useless = useless

    def admissible(self, request: bytes) -> bool:
        return bool(request)

    def name(self, request: bytes) -> Digest:
        return request_digest(request)

    def is_wanted(self, request: bytes) -> bool:
        return request != self.useless

    def is_owed(self, request: bytes) -> bool:
        return not request.startswith(b"only with")


def test_no_more_than_an_honest_primary_has_room_for_is_given_at_once() -> None:
    cluster = running()
    given: list[bytes] = []

    def cut(_source: int, target: int, frame: bytes) -> bool:
        message = parse_frame(cluster.hosts[1].me, frame)
        if target == 0 and isinstance(message, Requests):
            given.extend(message.requests)
        return kind_of(frame) == 3

    cluster.network.cut = cut
    for number in range(60):
        cluster.submit(b"request %d" % number, to=1)
    cluster.run(200)
    assert given == [b"request %d" % number for number in range(10)]

    cluster.heal()
    cluster.run(10_000)
    assert len(cluster.hosts[1].requests) == 60


def test_a_few_of_what_one_voter_relays_are_passed_on_and_the_others_wait() -> None:
    cluster = running(ReplicaSettings())
    cluster.network.cut = lambda _source, target, _frame: target == 0
    cluster.network.sent.clear()

    for number in range(RELAYED_PER_SENDER_MAX + 50):
        hear(cluster, 1, b"request %d" % number, sender=2, relayed=True)

    passed = [frame for _, source, target, frame in cluster.network.sent if kind_of(frame) == 11]
    assert len(passed) == RELAYED_PER_SENDER_MAX
    assert cluster.hosts[1].replica.stats.pending_requests == RELAYED_PER_SENDER_MAX + 50


@pytest.mark.parametrize("sender", [2, 4])
def test_of_large_requests_that_others_relay_fewer_are_passed_on(sender: int) -> None:
    """A voter's and all followers' alike; each that is ordered makes room for one more."""
    cluster = running(ReplicaSettings(pool_requests_max=1_000))
    requests = [b"%d" % number * 100_000 for number in range(6)]
    cluster.network.sent.clear()

    def passed() -> int:
        return sum(len(frame) for _, _, _, frame in cluster.network.sent if kind_of(frame) == 11)

    for request in requests:
        hear(cluster, 1, request, sender=sender, relayed=True)
    first = passed()
    assert 2 * 100_000 < first <= RELAYED_SIZE_PER_SENDER_MAX_BYTES + 100

    cluster.run(100)
    for request in requests:
        hear(cluster, 1, request, sender=sender, relayed=True)
    assert passed() > first + 2 * 100_000


def test_a_request_for_which_there_is_no_room_keeps_out_none_that_came_with_it() -> None:
    cluster = running(replace(SETTINGS, pool_size_max_bytes=1_000))

    hear(cluster, 1, b"large" * 300, b"small", sender=2, relayed=False)

    waiting = cluster.hosts[1].replica._core.pool.waiting.values()
    assert [pending.request for pending in waiting] == [b"small"]


def test_decisions_of_other_requests_do_not_excuse_one_that_is_passed_over() -> None:
    """A primary that orders everything but one client's request, as fast as it can."""
    cluster = running()
    deaf_to(cluster, b"passed over")
    begin_ms = cluster.clock.now_ms
    cluster.submit(b"passed over", to=1)

    number = 0
    while cluster.clock.now_ms - begin_ms <= 2 * PATIENCE_MS + 10:
        cluster.submit(b"request %d" % number, to=2)
        cluster.run(10)
        number += 1

    assert b"passed over" in cluster.hosts[2].requests
    assert views(cluster) == {1}
