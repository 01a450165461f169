"""Whom the auditor names, out of signed words alone; and whom it must not."""

from dataclasses import replace

from bftcluster.ids import ReplicaId
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.auditor import Auditor
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import A, B, prepared, vote
from tests.unit.pbft.view_builders import new_view, sign_new_view, view_change

LIAR = ReplicaId(sim_key(1))


def culprits(*frames: bytes, sender: ReplicaId = LIAR) -> set[ReplicaId]:
    auditor = Auditor(CLUSTER_ID)
    for frame in frames:
        auditor.note(sender, frame)
    return auditor.culprits


def said(kind: VoteKind, **slot: object) -> bytes:
    return vote(kind, 1, **({"seq": 1} | slot)).frame()  # type: ignore[arg-type]


def test_two_digests_in_one_slot_convict() -> None:
    for kind in VoteKind:
        assert culprits(said(kind, digest=A), said(kind, digest=B)) == {LIAR}


def test_votes_that_differ_in_more_than_the_digest_convict_nobody() -> None:
    assert not culprits(
        said(VoteKind.PREPARE),
        said(VoteKind.PREPARE),
        said(VoteKind.PREPARE, digest=B, seq=2),
        said(VoteKind.PREPARE, digest=B, view=1),
        said(VoteKind.PREPARE, digest=B, epoch=1),
        said(VoteKind.COMMIT, digest=B),
    )


def test_a_forged_second_vote_frames_nobody() -> None:
    forged: Vote = replace(vote(VoteKind.COMMIT, 1, seq=1, digest=B), signature=bytes(64))
    stolen = vote(VoteKind.COMMIT, 2, seq=1, digest=B).frame()

    assert not culprits(said(VoteKind.COMMIT), forged.frame(), stolen)


def test_noise_convicts_nobody() -> None:
    assert not culprits(b"\x86\x01", bytes(30), said(VoteKind.COMMIT)[:-1])


def test_two_view_changes_for_one_view_convict() -> None:
    first = view_change(1).frame()

    assert not culprits(first, first, view_change(1, view=2).frame())
    assert culprits(first, view_change(1, proofs=[prepared(1)]).frame()) == {LIAR}


def test_proofs_beside_a_view_change_are_not_part_of_what_it_says() -> None:
    change = view_change(1, proofs=[prepared(1)])
    other = replace(change, proofs=(prepared(1, voters=(0, 1, 3)),))

    assert not culprits(change.frame(), other.frame())


def test_a_commit_that_a_later_view_change_denies_convicts() -> None:
    commit = said(VoteKind.COMMIT)

    assert culprits(commit, view_change(1).frame()) == {LIAR}
    assert culprits(view_change(1).frame(), commit) == {LIAR}


def test_a_commit_that_the_view_change_claims_convicts_nobody() -> None:
    assert not culprits(said(VoteKind.COMMIT), view_change(1, proofs=[prepared(1)]).frame())


def test_a_commit_of_the_view_that_was_wanted_convicts_nobody() -> None:
    assert not culprits(view_change(1).frame(), said(VoteKind.COMMIT, view=1))


def test_two_new_views_for_one_view_convict_and_their_voters_are_read_too() -> None:
    empty = new_view([view_change(voter) for voter in (0, 1, 2)])
    full = new_view([view_change(voter, proofs=[prepared(1)]) for voter in (0, 1, 2)])

    assert not culprits(empty.frame(), empty.frame())
    named = culprits(empty.frame(), full.frame())
    assert named == {ReplicaId(sim_key(voter)) for voter in (0, 1, 2)}


def test_a_new_view_proposes_and_proposals_are_votes() -> None:
    full = new_view([view_change(voter, proofs=[prepared(1)]) for voter in (0, 1, 2)])
    contrary = said(VoteKind.PRE_PREPARE, digest=B, view=1)

    assert culprits(full.frame(), contrary) == {LIAR}


def test_a_new_view_signed_by_somebody_else_is_not_read() -> None:
    full = new_view([view_change(voter, proofs=[prepared(1)]) for voter in (0, 1, 2)])
    forged = sign_new_view(full, signer=3)

    assert not culprits(forged.frame(), said(VoteKind.PRE_PREPARE, digest=B, view=1))
