"""Quorums: any two meet in a correct replica, and the correct replicas alone can form one."""

from itertools import combinations

import pytest

from bftcluster.ids import Epoch, ReplicaId, View
from bftcluster.limits import REPLICAS_MAX
from bftcluster.membership import Membership


def members(n: int) -> Membership:
    return Membership(Epoch(0), tuple(ReplicaId(bytes([i])) for i in range(n)))


@pytest.mark.parametrize("n", range(1, 21))
def test_any_two_quorums_share_a_correct_replica_wherever_the_faulty_ones_are(n: int) -> None:
    membership = members(n)
    # The replicas are alike, so any one quorum stands for all as the first.
    first = set(range(membership.quorum))

    for second in combinations(range(n), membership.quorum):
        assert len(first.intersection(second)) > membership.f


@pytest.mark.parametrize("n", range(1, REPLICAS_MAX + 1))
def test_the_correct_replicas_alone_are_a_quorum_and_the_faulty_ones_no_weak_quorum(n: int) -> None:
    membership = members(n)

    assert 3 * membership.f < n <= 3 * membership.f + 3
    assert membership.n - membership.f >= membership.quorum
    assert 2 * membership.quorum - n > membership.f
    assert membership.weak_quorum == membership.f + 1


@pytest.mark.parametrize("n", range(1, REPLICAS_MAX + 1))
def test_no_smaller_number_of_votes_would_do(n: int) -> None:
    membership = members(n)

    one_less = membership.quorum - 1
    assert 2 * one_less - n <= membership.f


@pytest.mark.parametrize(
    ("n", "f", "quorum"),
    [
        (1, 0, 1),
        (2, 0, 2),
        (3, 0, 2),
        (4, 1, 3),
        (5, 1, 4),
        (6, 1, 4),
        (7, 2, 5),
        (8, 2, 6),
        (9, 2, 6),
        (10, 3, 7),
    ],
)
def test_quorums_of_small_clusters(n: int, f: int, quorum: int) -> None:
    membership = members(n)

    assert (membership.n, membership.f, membership.quorum) == (n, f, quorum)


def test_every_replica_is_primary_in_turn() -> None:
    membership = members(4)

    primaries = [membership.primary(View(view)) for view in range(8)]
    assert primaries == [*membership.replicas, *membership.replicas]


def test_an_epoch_without_replicas_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="at least one"):
        Membership(Epoch(0), ())


def test_a_replica_that_votes_twice_is_a_bug() -> None:
    twin = ReplicaId(b"a")

    with pytest.raises(AssertionError, match="distinct"):
        Membership(Epoch(0), (twin, ReplicaId(b"b"), twin, ReplicaId(b"c")))
