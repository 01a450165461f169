"""Never two digests for one slot; the same vote again is the same vote."""

import subprocess
import sys

import pytest

from bftcluster import codec
from bftcluster.errors import CorruptRecordError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft.records import Voted, parse_record
from bftcluster.pbft.sign_guard import SignGuard
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.votes import VoteKind
from bftcluster.signing.envelope import Domain
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key
from tests.unit.pbft.builders import A, B

E0, V0, V1, S5 = Epoch(0), View(0), View(1), Seq(5)
COMMIT = VoteKind.COMMIT


def guard(records: list[bytes]) -> SignGuard:
    me = ReplicaId(sim_key(0))
    return SignGuard(
        me=me,
        signer=SimSigner(me),
        signatures=Signatures(cluster_id=CLUSTER_ID, verifier=SimVerifier()),
        persist=records.append,
    )


def test_a_vote_is_recorded_once_and_repeated_unaltered() -> None:
    records: list[bytes] = []
    signs = guard(records)

    votes = [signs.vote(COMMIT, E0, V0, S5, Digest(A)) for _ in range(3)]

    assert votes[0] == votes[1] == votes[2]
    assert records == [Voted(COMMIT, E0, V0, S5, Digest(A)).to_bytes()]


def test_a_second_digest_is_never_signed() -> None:
    signs = guard([])
    signs.vote(COMMIT, E0, V0, S5, Digest(A))

    assert not signs.may_vote(COMMIT, E0, V0, S5, Digest(B))
    with pytest.raises(AssertionError, match="second digest"):
        signs.vote(COMMIT, E0, V0, S5, Digest(B))


@pytest.mark.parametrize(
    ("kind", "epoch", "view", "seq"),
    [
        (VoteKind.PREPARE, E0, V0, S5),
        (COMMIT, Epoch(1), V0, S5),
        (COMMIT, E0, V1, S5),
        (COMMIT, E0, V0, Seq(6)),
    ],
)
def test_another_slot_is_another_vote(kind: VoteKind, epoch: Epoch, view: View, seq: Seq) -> None:
    signs = guard([])
    signs.vote(COMMIT, E0, V0, S5, Digest(A))

    assert signs.vote(kind, epoch, view, seq, Digest(B)).digest == B


def test_a_restarted_guard_makes_the_same_vote_and_refuses_another() -> None:
    records: list[bytes] = []
    before = guard(records).vote(COMMIT, E0, V0, S5, Digest(A))
    again: list[bytes] = []
    signs = guard(again)
    for data in records:
        record = parse_record(data)
        assert isinstance(record, Voted)
        signs.restore(record)

    assert signs.vote(COMMIT, E0, V0, S5, Digest(A)) == before
    assert again == []
    assert not signs.may_vote(COMMIT, E0, V0, S5, Digest(B))
    assert signs.live_records() == records


def test_slots_under_a_stable_checkpoint_are_closed() -> None:
    signs = guard([])
    signs.vote(COMMIT, E0, V0, S5, Digest(A))

    signs.forget(Seq(8))

    assert signs.live_records() == []
    assert not signs.may_vote(COMMIT, E0, V0, S5, Digest(A))
    with pytest.raises(AssertionError, match="closed"):
        signs.vote(COMMIT, E0, V0, Seq(8), Digest(B))


def test_a_view_given_up_gets_no_more_votes_but_checkpoints_do() -> None:
    signs = guard([])
    signs.sign_view_message(Domain.VIEW_CHANGE, E0, V1, b"wish")

    assert not signs.may_vote(COMMIT, E0, V0, S5, Digest(A))
    assert signs.may_vote(COMMIT, E0, V1, S5, Digest(A))
    assert signs.may_vote(VoteKind.CHECKPOINT, E0, V0, S5, Digest(A))
    with pytest.raises(AssertionError, match="given up"):
        signs.vote(COMMIT, E0, V0, S5, Digest(A))


def test_one_view_change_and_one_new_view_per_view() -> None:
    signs = guard([])
    signs.sign_view_message(Domain.VIEW_CHANGE, E0, V1, b"wish")
    signs.sign_view_message(Domain.NEW_VIEW, E0, V1, b"opening")

    assert signs.sign_view_message(Domain.VIEW_CHANGE, E0, V1, b"wish")
    with pytest.raises(AssertionError, match="second view message"):
        signs.sign_view_message(Domain.VIEW_CHANGE, E0, V1, b"another wish")
    with pytest.raises(AssertionError, match="given up"):
        signs.sign_view_message(Domain.VIEW_CHANGE, E0, V0, b"wish")


@pytest.mark.parametrize("value", [[99, 1], [], 5, [1, 9, 0, 0, 1, bytes(32)], [2, 1]])
def test_a_record_of_another_version_is_refused_with_a_hint(value: object) -> None:
    with pytest.raises(CorruptRecordError) as refused:
        parse_record(codec.encode(value))

    assert refused.value.hint


BROKEN = """
from bftcluster.errors import BrokenPromiseError
from tests.unit.pbft.test_sign_guard import *
assert False, "assertions are off"

def vote_again(signs):
    signs.vote(COMMIT, E0, V0, S5, Digest(A))
    signs.vote(COMMIT, E0, V0, S5, Digest(B))

def open_again(signs):
    signs.sign_view_message(Domain.NEW_VIEW, E0, V1, b"one")
    signs.sign_view_message(Domain.NEW_VIEW, E0, V1, b"two")

def vote_in_a_view_given_up(signs):
    signs.promise(E0, View(5))
    signs.vote(COMMIT, E0, V1, S5, Digest(A))

def vote_below_a_checkpoint(signs):
    signs.forget(Seq(8))
    signs.vote(COMMIT, E0, V0, S5, Digest(A))

def sign_a_vote_as_a_view_message(signs):
    signs.sign_view_message(Domain.COMMIT, E0, V1, b"one")

for wrong in (
    vote_again, open_again, vote_in_a_view_given_up, vote_below_a_checkpoint,
    sign_a_vote_as_a_view_message,
):
    try:
        wrong(guard([]))
    except BrokenPromiseError as exc:
        print("refused", exc)
"""


def test_with_assertions_off_it_refuses_all_the_same() -> None:
    run = subprocess.run(
        [sys.executable, "-O", "-c", BROKEN],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert run.stdout.count("refused") == 5, run.stdout
