"""What exactly is signed, and how votes are counted."""

import pytest

from bftcluster import codec
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft import Verdict
from bftcluster.pbft.votes import Vote, VoteKind, VoteSet, vote_payload
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import A, B, vote


@pytest.mark.parametrize("voter", range(3))
def test_a_vote_signs_the_canonical_encoding_of_all_it_means(voter: int) -> None:
    replica = ReplicaId(sim_key(voter))

    payload = vote_payload(CLUSTER_ID, Epoch(1), View(2), Seq(300), Digest(A), replica)

    assert payload == codec.encode([CLUSTER_ID, 1, 2, 300, A, replica])


def test_the_first_vote_of_a_replica_counts() -> None:
    votes = VoteSet()

    verdicts = [votes.add(vote(VoteKind.COMMIT, 1, seq=1, digest=d)) for d in (A, A, B)]

    assert verdicts == [Verdict.COUNTED, Verdict.DUPLICATE, Verdict.CONFLICTING]
    assert votes.popular(1) == A


def test_no_vote_is_verified_before_there_are_enough() -> None:
    votes = VoteSet()
    checked: list[Vote] = []
    for voter in (0, 1):
        votes.add(vote(VoteKind.COMMIT, voter, seq=1))

    found = votes.find_certified(Digest(A), 3, lambda v: not checked.append(v), checked.append)

    assert found is None
    assert checked == []


def test_a_forged_vote_is_named_and_its_replica_may_vote_again() -> None:
    votes = VoteSet()
    cast = [vote(VoteKind.COMMIT, voter, seq=1) for voter in range(4)]
    for one in cast:
        votes.add(one)
    forged: list[Vote] = []

    found = votes.find_certified(Digest(A), 3, lambda v: v is not cast[1], forged.append)

    assert found == (cast[0], cast[2], cast[3])
    assert forged == [cast[1]]
    assert votes.add(cast[1]) is Verdict.COUNTED


def test_votes_for_another_digest_do_not_help() -> None:
    votes = VoteSet()
    for voter, digest in enumerate((A, A, B, B)):
        votes.add(vote(VoteKind.COMMIT, voter, seq=1, digest=digest))

    assert votes.popular(3) is None
    assert votes.find_certified(Digest(A), 3, lambda _: True, lambda _: None) is None
