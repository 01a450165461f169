"""The check of the wire would notice a contradiction, and nothing else."""

from pathlib import Path

import pytest

from bftcluster.ids import PeerId, ReplicaId
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.frame_log import FrameLog
from bftcluster.pbft.messages import Status
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.e2e.said import Said
from tests.unit.pbft.builders import A, B, prepared, vote
from tests.unit.pbft.view_builders import new_view, view_change

LIAR = ReplicaId(sim_key(1))
"""The primary of view 1."""
OTHER = ReplicaId(sim_key(2))


def said(*spoken: tuple[ReplicaId, bytes]) -> Said:
    found = Said()
    for sender, frame in spoken:
        found.hear(sender, frame)
    return found


@pytest.mark.parametrize("kind", VoteKind)
def test_two_votes_for_one_slot_are_a_contradiction(kind: VoteKind) -> None:
    first, second = (vote(kind, 1, seq=7, digest=digest) for digest in (A, B))

    found = said((LIAR, first.frame()), (LIAR, second.frame()))

    [place] = found.contradictions
    assert (place.replica, place.kind, place.seq) == (LIAR, kind.name, 7)
    assert found.votes == {LIAR: 2}


@pytest.mark.parametrize(
    "other",
    [
        vote(VoteKind.PREPARE, 1, seq=7, digest=A),
        vote(VoteKind.PREPARE, 1, seq=8, digest=B),
        vote(VoteKind.PREPARE, 1, seq=7, digest=B, view=1),
        vote(VoteKind.PREPARE, 1, seq=7, digest=B, epoch=1),
        vote(VoteKind.PREPARE, 2, seq=7, digest=B),
        vote(VoteKind.COMMIT, 1, seq=7, digest=B),
    ],
    ids=["repeated", "another slot", "another view", "another epoch", "another voter", "a commit"],
)
def test_votes_that_agree_or_have_nothing_to_do_with_each_other_are_none(other: Vote) -> None:
    first = vote(VoteKind.PREPARE, 1, seq=7, digest=A)

    found = said((LIAR, first.frame()), (other.replica, other.frame()))

    assert found.contradictions == []


def test_a_second_wish_for_one_view_is_a_contradiction() -> None:
    empty, full = view_change(1), view_change(1, proofs=[prepared(1)])

    assert len(said((LIAR, empty.frame()), (LIAR, full.frame())).contradictions) == 1
    assert said((LIAR, empty.frame()), (LIAR, empty.frame())).contradictions == []


def test_a_second_opening_of_one_view_is_a_contradiction() -> None:
    empty = new_view(view_change(i) for i in range(3))
    full = new_view(view_change(i, proofs=[prepared(1)]) for i in range(3))

    assert len(said((LIAR, empty.frame()), (LIAR, full.frame())).contradictions) == 1


def test_a_proposal_in_a_new_view_counts_as_one() -> None:
    opening = new_view(view_change(i, proofs=[prepared(1)]) for i in range(3))
    proposal = vote(VoteKind.PRE_PREPARE, 1, seq=1, digest=B, view=1)

    [place] = said((LIAR, opening.frame()), (LIAR, proposal.frame())).contradictions

    assert (place.kind, place.view, place.seq) == ("PRE_PREPARE", 1, 1)


def test_what_is_passed_on_is_not_the_word_of_who_passes_it_on() -> None:
    empty, full = view_change(1), view_change(1, proofs=[prepared(1)])

    assert said((OTHER, empty.frame()), (OTHER, full.frame())).contradictions == []


def test_frames_are_read_back_from_the_logs_of_peers(tmp_path: Path) -> None:
    first, second = (vote(VoteKind.COMMIT, 1, seq=7, digest=digest) for digest in (A, B))
    status = Status(first.epoch, first.view, first.view, first.seq, first.seq, first.seq)
    logs = [tmp_path / "one", tmp_path / "two"]
    for path, frames in zip(logs, [[first, status], [second]], strict=True):
        log = FrameLog(path, SystemClock())
        for message in frames:
            log.note(PeerId(LIAR), message.frame())
        log.close()

    found = Said()
    found.hear_all(logs)

    assert found.votes == {LIAR: 2}
    assert len(found.contradictions) == 1
