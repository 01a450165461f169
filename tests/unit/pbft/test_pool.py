"""Requests wait once, in order, within bounds."""

from bftcluster.ids import ReplicaId
from bftcluster.limits import (
    GIVEN_SIZE_MAX_BYTES,
    RELAYED_SIZE_PER_SENDER_MAX_BYTES,
    UNEXECUTED_SIZE_MAX_BYTES,
)
from bftcluster.pbft import Verdict
from bftcluster.pbft.pool import RequestPool, request_digest

ME, A, B, C = (ReplicaId(name * 32) for name in (b"m", b"a", b"b", b"c"))


def pool(*, requests_max: int = 4, size_max_bytes: int = 100) -> RequestPool:
    return RequestPool(
        me=ME, requests_max=requests_max, size_max_bytes=size_max_bytes, name=request_digest
    )


def add(requests: RequestPool, request: bytes, *, sender: ReplicaId, now_ms: int) -> Verdict:
    return requests.add(request, request_digest(request), sender=sender, now_ms=now_ms)


def take(
    requests: RequestPool, requests_max: int, size_max_bytes: int = 99, share_max_bytes: int = 99
) -> tuple[bytes, ...]:
    return requests.take(
        requests_max=requests_max,
        size_max_bytes=size_max_bytes,
        share_max_bytes=share_max_bytes,
        may_propose=lambda request: request != b"unwanted",
    )


def test_requests_are_taken_in_order_of_arrival_up_to_the_limits() -> None:
    requests = pool(requests_max=10)
    for number in range(6):
        assert add(requests, b"%d" % number * 5, now_ms=number, sender=A) is Verdict.ACCEPTED

    assert take(requests, 2, 100) == (b"00000", b"11111")
    assert take(requests, 10, 12) == (b"22222", b"33333")
    assert take(requests, 10, 1) == (b"44444",)


def test_a_known_or_decided_request_is_not_taken_again() -> None:
    requests = pool()
    add(requests, b"a", now_ms=0, sender=A)

    assert add(requests, b"a", now_ms=1, sender=ME) is Verdict.DUPLICATE
    take(requests, 1, 1)
    assert add(requests, b"a", now_ms=2, sender=A) is Verdict.DUPLICATE
    requests.settle((b"a",), now_ms=2)
    assert add(requests, b"a", now_ms=3, sender=A) is Verdict.LATE
    assert len(requests) == 0


def test_a_full_pool_refuses_until_something_is_decided() -> None:
    requests = pool(requests_max=2, size_max_bytes=10)
    assert add(requests, b"x" * 8, now_ms=0, sender=A) is Verdict.ACCEPTED
    assert add(requests, b"yyy", now_ms=0, sender=A) is Verdict.POOL_FULL
    assert add(requests, b"y", now_ms=0, sender=A) is Verdict.ACCEPTED
    assert add(requests, b"z", now_ms=0, sender=A) is Verdict.POOL_FULL

    requests.settle((b"x" * 8,), now_ms=1)

    assert add(requests, b"z" * 9, now_ms=0, sender=A) is Verdict.ACCEPTED


def test_a_view_that_ends_lets_its_requests_wait_first() -> None:
    requests = pool()
    add(requests, b"a", now_ms=0, sender=A)
    take(requests, 1, 1)
    add(requests, b"b", now_ms=1, sender=A)
    requests.claim((b"c",), primary=A, now_ms=2)

    requests.unpropose()

    assert take(requests, 9, 99) == (b"a", b"c", b"b")


def test_what_anothers_proposal_holds_is_not_proposed_by_us() -> None:
    requests = pool()
    add(requests, b"a", now_ms=0, sender=ME)
    add(requests, b"b", now_ms=0, sender=ME)

    requests.claim((b"a", b"c"), primary=A, now_ms=1)

    assert take(requests, 9, 99) == (b"b",)
    found = requests.find(request_digest(b"a"))
    assert found is not None
    assert found.ours
    assert requests.find(request_digest(b"c"))


def fill(requests: RequestPool, sender: ReplicaId, count: int, *, size: int = 1) -> list[Verdict]:
    names = (b"%c%d" % (sender[0], number) for number in range(count))
    return [add(requests, name.ljust(size, b"."), sender=sender, now_ms=0) for name in names]


def waiting(requests: RequestPool, sender: ReplicaId) -> list[bytes]:
    return [each.request for each in requests.waiting.values() if each.sender == sender]


def seated(*voters: ReplicaId, requests_max: int = 12, size_max_bytes: int = 10_000) -> RequestPool:
    requests = pool(requests_max=requests_max, size_max_bytes=size_max_bytes)
    requests.seat((ME, *voters))
    return requests


def test_the_heaviest_sender_loses_its_newest_to_one_that_has_less() -> None:
    requests = seated(A, B)
    assert fill(requests, A, 20).count(Verdict.ACCEPTED) == 12

    assert fill(requests, B, 6) == [Verdict.ACCEPTED] * 6

    assert waiting(requests, A) == [b"a%d" % number for number in range(6)]
    assert add(requests, b"bb", sender=B, now_ms=0) is Verdict.POOL_FULL


def test_our_own_clients_have_a_share_whatever_the_others_bring() -> None:
    requests = seated(A, B)
    for sender in (A, B, C):
        fill(requests, sender, 12)

    assert fill(requests, ME, 3) == [Verdict.ACCEPTED] * 3


def test_all_followers_together_weigh_as_much_as_one_voter() -> None:
    requests = seated(A)
    followers = [ReplicaId(bytes([number]) * 32) for number in range(100, 112)]
    for follower in followers:
        add(requests, follower, sender=follower, now_ms=0)

    assert fill(requests, A, 6) == [Verdict.ACCEPTED] * 6
    assert sum(each.sender in followers for each in requests.waiting.values()) == 6
    assert add(requests, b"another", sender=A, now_ms=0) is Verdict.POOL_FULL


def test_the_heaviest_follower_makes_room_for_another() -> None:
    requests = seated()
    fill(requests, A, 12)

    assert fill(requests, B, 1) == [Verdict.ACCEPTED]
    assert len(waiting(requests, A)) == 11


def test_bytes_are_shared_like_places() -> None:
    requests = seated(A, B, requests_max=1_000, size_max_bytes=100)
    fill(requests, A, 10, size=10)

    assert fill(requests, B, 10, size=5) == [Verdict.ACCEPTED] * 10

    assert len(waiting(requests, A)) == 5
    assert add(requests, b"x" * 101, sender=ME, now_ms=0) is Verdict.POOL_FULL


def test_a_batch_takes_from_each_sender_in_turn() -> None:
    requests = seated(A, B)
    for sender, count in ((C, 2), (A, 4), (ME, 1)):
        fill(requests, sender, count)
    add(requests, b"d", sender=ReplicaId(b"d" * 32), now_ms=0)

    assert take(requests, 4) == (b"c0", b"a0", b"m0", b"d")
    assert take(requests, 9) == (b"a1", b"c1", b"a2", b"a3")


def test_no_sender_has_more_bytes_of_a_batch_than_its_share() -> None:
    requests = seated(A, B)
    for sender, count in ((A, 4), (B, 1)):
        fill(requests, sender, count)
    add(requests, b"longer than a share", sender=ME, now_ms=0)
    fill(requests, ME, 1)

    assert take(requests, 9, share_max_bytes=5) == (b"a0", b"b0", b"longer than a share", b"a1")
    assert take(requests, 9, share_max_bytes=5) == (b"m0", b"a2", b"a3")


def test_a_sender_that_used_up_its_share_keeps_no_other_out_of_the_batch() -> None:
    requests = seated(A, B, requests_max=1_000, size_max_bytes=10 << 20)
    fill(requests, A, 5, size=200_000)
    for sender in (B, ME):
        fill(requests, sender, 300, size=500)

    for _ in range(5):
        taken = take(requests, 100, size_max_bytes=1 << 20, share_max_bytes=256 << 10)
        assert len(taken) == 100
        assert sum(len(request) == 200_000 for request in taken) == 1


def test_what_does_not_fit_any_more_is_the_first_of_the_next_batch() -> None:
    requests = seated(A, B)
    fill(requests, A, 2, size=50)
    fill(requests, B, 1, size=60)
    fill(requests, ME, 3)

    assert [request[:2] for request in take(requests, 9)] == [b"a0", b"m0", b"m1", b"m2"]
    assert [request[:2] for request in take(requests, 9)] == [b"b0"]


def test_all_followers_together_have_one_share_of_a_batch() -> None:
    requests = seated(A)
    for follower in (B, C):
        fill(requests, follower, 1, size=40)
    fill(requests, A, 2, size=40)

    taken = take(requests, 9, size_max_bytes=999, share_max_bytes=80)
    assert [request[:2] for request in taken] == [b"b0", b"a0", b"c0", b"a1"]
    for follower in (B, C):
        fill(requests, follower, 3, size=41)
    assert len(take(requests, 9, size_max_bytes=999, share_max_bytes=80)) == 1


def test_whether_there_is_room_is_known_before_a_request_is_looked_at() -> None:
    requests = seated(A, B)
    assert requests.has_room(A, 1)
    fill(requests, A, 12)

    assert not requests.has_room(A, 1)
    assert add(requests, b"one more", sender=A, now_ms=0) is Verdict.POOL_FULL
    assert requests.has_room(B, 1)
    assert add(requests, b"of another", sender=B, now_ms=0) is Verdict.ACCEPTED


def test_a_sender_has_so_many_bytes_waiting_however_much_room_there_is() -> None:
    requests = seated(A, B, requests_max=1_000, size_max_bytes=64 << 20)

    taken = fill(requests, A, 100, size=100_000).count(Verdict.ACCEPTED) * 100_000

    rightly = GIVEN_SIZE_MAX_BYTES + 2 * RELAYED_SIZE_PER_SENDER_MAX_BYTES
    assert rightly + UNEXECUTED_SIZE_MAX_BYTES < taken < 4 << 20
    assert not requests.has_room(A, 100_000)
    assert fill(requests, B, 5, size=100_000) == [Verdict.ACCEPTED] * 5
    assert fill(requests, ME, 100, size=100_000) == [Verdict.ACCEPTED] * 100


def test_whose_turn_it_is_outlives_a_batch() -> None:
    requests = seated(A, B)
    for sender in (A, B, ME):
        fill(requests, sender, 2)

    assert [take(requests, 2) for _ in range(3)] == [(b"a0", b"b0"), (b"m0", b"a1"), (b"b1", b"m1")]


def test_what_is_no_longer_wanted_is_dropped_rather_than_proposed() -> None:
    requests = seated(A)
    add(requests, b"unwanted", sender=A, now_ms=0)
    add(requests, b"wanted", sender=A, now_ms=0)

    assert take(requests, 9) == (b"wanted",)
    assert len(requests) == 1


def test_what_others_brought_expires_and_what_is_ours_or_proposed_does_not() -> None:
    requests = seated(A)
    add(requests, b"proposed", sender=A, now_ms=0)
    take(requests, 1)
    for sender, now_ms in ((A, 1), (ME, 1), (A, 5), (B, 2)):
        add(requests, b"%c%d" % (sender[0], now_ms), sender=sender, now_ms=now_ms)
    add(requests, b"a1", sender=ME, now_ms=3)

    requests.expire(5)

    assert [each.request for each in requests.pending()] == [b"a1", b"m1", b"a5", b"proposed"]
    assert add(requests, b"b2", sender=B, now_ms=6) is Verdict.ACCEPTED


def test_followers_that_become_voters_have_shares_of_their_own() -> None:
    requests = seated()
    fill(requests, A, 6)
    fill(requests, B, 6)

    requests.seat((A, B))

    assert fill(requests, C, 4) == [Verdict.ACCEPTED] * 4
    assert [len(waiting(requests, sender)) for sender in (A, B, C)] == [4, 4, 4]
