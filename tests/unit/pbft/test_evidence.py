"""Who contradicts himself is convicted by his own signatures, and nobody else ever is."""

from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.errors import BadSignatureError, MalformedMessageError, UnknownSignerError
from bftcluster.ids import ClusterId, ReplicaId
from bftcluster.pbft import Evidence, MessageReceived, verify_evidence
from bftcluster.pbft.steps import KeepEvidence
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import SimVerifier, sim_key
from tests.unit.pbft.builders import A, B, members, vote
from tests.unit.pbft.readies import those


def judge(data: bytes, *, epoch: int = 0, cluster_id: ClusterId = CLUSTER_ID) -> ReplicaId:
    return verify_evidence(data, members(epoch=epoch), cluster_id, SimVerifier())


@pytest.mark.parametrize("kind", list(VoteKind))
def test_two_votes_for_one_slot_convict_their_voter(kind: VoteKind) -> None:
    first, second = vote(kind, 2, seq=5, digest=A), vote(kind, 2, seq=5, digest=B)

    assert judge(Evidence(first, second).to_bytes()) == sim_key(2)


def test_evidence_does_not_depend_on_which_vote_came_first() -> None:
    first, second = (vote(VoteKind.COMMIT, 2, seq=5, digest=d) for d in (A, B))

    assert Evidence(first, second).to_bytes() == Evidence(second, first).to_bytes()


def test_one_vote_twice_convicts_nobody() -> None:
    once = vote(VoteKind.COMMIT, 2, seq=5)

    with pytest.raises(MalformedMessageError):
        judge(Evidence(once, once).to_bytes())


@pytest.mark.parametrize(
    "second",
    [
        vote(VoteKind.COMMIT, 2, seq=6, digest=B),
        vote(VoteKind.COMMIT, 2, seq=5, view=1, digest=B),
        vote(VoteKind.COMMIT, 2, seq=5, epoch=1, digest=B),
        vote(VoteKind.PREPARE, 2, seq=5, digest=B),
        vote(VoteKind.COMMIT, 3, seq=5, digest=B),
    ],
    ids=["of another slot", "view", "epoch", "kind", "replica"],
)
def test_votes_that_do_not_contradict_convict_nobody(second: object) -> None:
    first = vote(VoteKind.COMMIT, 2, seq=5, digest=A)

    with pytest.raises(BadSignatureError):
        judge(Evidence(first, second).to_bytes())  # type: ignore[arg-type]


def test_a_forged_vote_convicts_nobody() -> None:
    first = vote(VoteKind.COMMIT, 2, seq=5, digest=A)
    forged = replace(first, digest=B)

    with pytest.raises(BadSignatureError):
        judge(Evidence(first, forged).to_bytes())


def test_votes_of_another_cluster_convict_nobody() -> None:
    other = ClusterId(b"x" * 32)
    votes = [vote(VoteKind.COMMIT, 2, seq=5, digest=d, cluster_id=other) for d in (A, B)]

    with pytest.raises(BadSignatureError):
        judge(Evidence(*votes).to_bytes())


def test_evidence_is_about_members_of_its_epoch() -> None:
    stranger = [vote(VoteKind.COMMIT, 9, seq=5, digest=d) for d in (A, B)]
    member = [vote(VoteKind.COMMIT, 2, seq=5, digest=d) for d in (A, B)]

    with pytest.raises(UnknownSignerError):
        judge(Evidence(*stranger).to_bytes())
    with pytest.raises(UnknownSignerError):
        judge(Evidence(*member).to_bytes(), epoch=1)


@pytest.mark.parametrize("kind", [VoteKind.PREPARE, VoteKind.COMMIT, VoteKind.PRE_PREPARE])
def test_a_replica_that_hears_both_votes_hands_out_evidence_once(kind: VoteKind) -> None:
    cluster = SimulatedCluster.running(4)
    liar = 0 if kind is VoteKind.PRE_PREPARE else 2
    replica = cluster.hosts[1].replica
    found = []

    for digest in (A, B, B):
        frame = vote(kind, liar, seq=1, digest=digest).frame()
        ready = replica.step(
            MessageReceived(ReplicaId(sim_key(liar)), frame), now_ms=20, wall_ms=20
        )
        found += [kept.piece for kept in those(KeepEvidence, ready)]

    assert [judge(data) for data in found] == [sim_key(liar)]


def test_a_second_vote_with_a_forged_signature_frames_nobody() -> None:
    cluster = SimulatedCluster.running(4)
    replica = cluster.hosts[1].replica
    genuine = vote(VoteKind.COMMIT, 2, seq=1, digest=A)
    forged = replace(vote(VoteKind.COMMIT, 2, seq=1, digest=B), signature=bytes(64))

    for frame in (genuine.frame(), forged.frame()):
        ready = replica.step(MessageReceived(genuine.replica, frame), now_ms=20, wall_ms=20)

    assert those(KeepEvidence, ready) == []


def test_evidence_with_unsorted_digests_is_refused() -> None:
    first, second = (vote(VoteKind.COMMIT, 2, seq=5, digest=d) for d in (A, B))
    value = codec.decode(Evidence(first, second).to_bytes())
    value[5:9] = [*value[7:9], *value[5:7]]

    with pytest.raises(MalformedMessageError):
        judge(codec.encode(value))
