"""What a primary is given has room in its pool, and every relayer has its part of that."""

import pytest

from bftcluster.ids import ReplicaId
from bftcluster.limits import (
    POOL_REQUESTS_MAX,
    POOL_SIZE_MAX_BYTES,
    REPLICAS_MAX,
    REQUEST_SIZE_MAX_BYTES,
)
from bftcluster.pbft.debts import Debts
from bftcluster.pbft.lanes import FOLLOWERS, Load, Pending
from bftcluster.pbft.pool import request_digest

SIZES = ((REQUEST_SIZE_MAX_BYTES, 2), (100_000, 4), (10_000, 30), (300, 200))


def owed_among(n: int) -> tuple[Debts, Load]:
    shares = n + 1
    share = Load(POOL_REQUESTS_MAX // shares, POOL_SIZE_MAX_BYTES // shares)
    owed = Debts()
    owed.seat(shares, share)
    return owed, share


def voter(number: int) -> ReplicaId:
    return ReplicaId(bytes([number]) * 32)


def pending(name: bytes, size_bytes: int = 300) -> Pending:
    request = name.ljust(size_bytes, b".")
    return Pending(request, request_digest(request), 0, ReplicaId(b"m" * 32), ours=False)


def large(name: bytes) -> Pending:
    return pending(name, REQUEST_SIZE_MAX_BYTES)


@pytest.mark.parametrize("n", [4, 13, 31, 64, REPLICAS_MAX])
@pytest.mark.parametrize("sizes", [SIZES, SIZES[::-1]], ids=["large first", "small first"])
def test_an_honest_primary_has_room_for_all_that_it_is_given(
    n: int, sizes: tuple[tuple[int, int], ...]
) -> None:
    owed, share = owed_among(n)
    given = Load()
    for size_bytes, count in sizes:
        for number in range(count):
            owed.want(pending(b"ours %d" % number, size_bytes))
            for relayer in (*map(voter, range(1, n)), FOLLOWERS):
                one = pending(b"%d of %s" % (number, relayer[:1]), size_bytes)
                if owed.vouch(one, relayer, 0):
                    given.add(one)
    for _ in range(3):
        for one in owed.give(0):
            given.add(one)

    assert given.requests <= share.requests
    assert given.size_bytes <= share.size_bytes


@pytest.mark.parametrize("n", [31, REPLICAS_MAX])
def test_a_large_request_of_each_voter_is_passed_on_in_turn(n: int) -> None:
    owed, _ = owed_among(n)
    liar, honest = voter(1), voter(2)
    for number in range(9):
        assert not owed.vouch(large(b"junk %d" % number), liar, 0)
    owed.vouch(large(b"honest"), honest, 0)

    served: list[bytes] = []
    for number in range(4):
        for one in owed.give(0):
            served.append(one.request.rstrip(b"."))
            owed.settle(one.name)
            owed.vouch(large(b"more junk %d" % number), liar, 0)

    assert served == [b"junk 0", b"honest", b"more junk 0", b"more junk 2"]


def test_where_there_are_many_voters_each_has_its_part_of_the_small_ones() -> None:
    owed, _ = owed_among(31)
    for relayer in map(voter, range(1, 30)):
        for number in range(500):
            owed.vouch(pending(b"%d %d" % (relayer[0], number)), relayer, 0)

    assert owed.vouch(pending(b"honest"), voter(30), 0)


def test_a_large_request_that_followers_relayed_makes_way_for_a_voters() -> None:
    """A primary need not order it: it could be there for ever."""
    owed, _ = owed_among(31)
    assert owed.vouch(large(b"of a follower"), FOLLOWERS, 0)
    assert not owed.vouch(large(b"of another"), FOLLOWERS, 0)
    assert owed.oldest == []

    owed.vouch(large(b"of a voter"), voter(1), 0)
    assert owed.give(0) == [large(b"of a voter")]
    assert [debt.pending for debt in owed.oldest] == [large(b"of a voter")]
    assert owed.passed_on == []


@pytest.mark.parametrize("one", [pending(b"one"), large(b"one")], ids=["small", "large"])
def test_what_followers_relayed_first_is_owed_once_a_voter_vouches_for_it(one: Pending) -> None:
    owed, _ = owed_among(31)
    assert owed.vouch(one, FOLLOWERS, 0)
    assert owed.oldest == []

    is_given = owed.vouch(one, voter(1), 0) or owed.give(0) == [one]

    assert is_given
    assert [debt.pending for debt in owed.oldest] == [one]
    assert not owed.vouch(one, voter(2), 0)
    assert owed.forgive(one.name)
    assert (owed.oldest, owed.passed_on) == ([], [])


def test_what_waits_for_its_turn_is_forgotten_when_it_is_ordered() -> None:
    owed, _ = owed_among(31)
    for number in range(3):
        owed.vouch(large(b"%d" % number), voter(number), 0)

    owed.settle(large(b"0").name)

    assert owed.give(0) == [large(b"1")]


def test_the_primary_of_a_new_view_is_given_all_of_it_and_has_all_the_time() -> None:
    owed, _ = owed_among(31)
    ours = pending(b"ours")
    owed.want(ours)
    owed.give(0)
    relayed = [pending(b"relayed"), pending(b"of a follower"), large(b"first"), large(b"second")]
    for one, relayer in zip(relayed, (voter(1), FOLLOWERS, voter(1), voter(2)), strict=True):
        owed.vouch(one, relayer, 0)
    owed.give(0)

    again = owed.start_over(50, is_primary=False)

    assert sorted(one.request for one in again) == sorted(
        one.request for one in (ours, *relayed[:3])
    )
    assert {debt.begun_ms for debt in (*owed.oldest, *owed.passed_on)} == {50}
    assert owed.start_over(60, is_primary=True) == []
    assert (owed.vouched, list(owed.ours)) == ([], [])
    assert owed.give(70) == [ours]
