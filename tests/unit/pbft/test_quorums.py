"""Quorum intersection, over all subsets rather than by formula."""

from itertools import combinations

import pytest

from bftcluster.ids import Epoch, ReplicaId
from bftcluster.membership import Membership


@pytest.mark.parametrize("n", range(1, 11))
def test_any_two_quorums_share_a_correct_replica(n: int) -> None:
    membership = Membership(Epoch(0), tuple(ReplicaId(bytes([i]) * 32) for i in range(n)))
    quorums = [set(q) for q in combinations(range(n), membership.quorum)]

    for first, second in combinations(quorums, 2):
        assert len(first & second) > membership.f


@pytest.mark.parametrize("n", range(1, 11))
def test_the_correct_replicas_alone_form_a_quorum(n: int) -> None:
    membership = Membership(Epoch(0), tuple(ReplicaId(bytes([i]) * 32) for i in range(n)))

    assert n - membership.f >= membership.quorum
