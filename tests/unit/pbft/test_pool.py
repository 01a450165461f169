"""Requests wait once, in order, within bounds."""

from bftcluster.ids import ReplicaId
from bftcluster.pbft import Verdict
from bftcluster.pbft.pool import RequestPool, request_digest

ME, A, B, C = (ReplicaId(name * 32) for name in (b"m", b"a", b"b", b"c"))


def pool(*, requests_max: int = 4, size_max_bytes: int = 100) -> RequestPool:
    return RequestPool(me=ME, requests_max=requests_max, size_max_bytes=size_max_bytes)


def take(requests: RequestPool, requests_max: int, size_max_bytes: int = 99) -> tuple[bytes, ...]:
    return requests.take(
        requests_max=requests_max,
        size_max_bytes=size_max_bytes,
        is_wanted=lambda request: request != b"unwanted",
    )


def test_requests_are_taken_in_order_of_arrival_up_to_the_limits() -> None:
    requests = pool(requests_max=10)
    for number in range(6):
        assert requests.add(b"%d" % number * 5, now_ms=number, sender=A) is Verdict.ACCEPTED

    assert take(requests, 2, 100) == (b"00000", b"11111")
    assert take(requests, 10, 12) == (b"22222", b"33333")
    assert take(requests, 10, 1) == (b"44444",)


def test_a_known_or_decided_request_is_not_taken_again() -> None:
    requests = pool()
    requests.add(b"a", now_ms=0, sender=A)

    assert requests.add(b"a", now_ms=1, sender=ME) is Verdict.DUPLICATE
    take(requests, 1, 1)
    assert requests.add(b"a", now_ms=2, sender=A) is Verdict.DUPLICATE
    requests.settle((b"a",))
    assert requests.add(b"a", now_ms=3, sender=A) is Verdict.LATE
    assert len(requests) == 0


def test_a_full_pool_refuses_until_something_is_decided() -> None:
    requests = pool(requests_max=2, size_max_bytes=10)
    assert requests.add(b"x" * 8, now_ms=0, sender=A) is Verdict.ACCEPTED
    assert requests.add(b"yyy", now_ms=0, sender=A) is Verdict.POOL_FULL
    assert requests.add(b"y", now_ms=0, sender=A) is Verdict.ACCEPTED
    assert requests.add(b"z", now_ms=0, sender=A) is Verdict.POOL_FULL

    requests.settle((b"x" * 8,))

    assert requests.add(b"z" * 9, now_ms=0, sender=A) is Verdict.ACCEPTED


def test_a_view_that_ends_lets_its_requests_wait_first() -> None:
    requests = pool()
    requests.add(b"a", now_ms=0, sender=A)
    take(requests, 1, 1)
    requests.add(b"b", now_ms=1, sender=A)
    requests.claim((b"c",), primary=A, now_ms=2)

    requests.unpropose()

    assert take(requests, 9, 99) == (b"a", b"c", b"b")


def test_what_anothers_proposal_holds_is_not_proposed_by_us() -> None:
    requests = pool()
    requests.add(b"a", now_ms=0, sender=ME)
    requests.add(b"b", now_ms=0, sender=ME)

    requests.claim((b"a", b"c"), primary=A, now_ms=1)

    assert take(requests, 9, 99) == (b"b",)
    found = requests.find(request_digest(b"a"))
    assert found is not None
    assert found.ours
    assert requests.find(request_digest(b"c"))
