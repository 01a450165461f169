"""VIEW-CHANGEs with one thing wrong each, and the reason given for it (after QBFT's vectors)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft.new_view import GENESIS_ROOT, Rejection
from bftcluster.pbft.view_messages import Claim, ViewChange
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import ROOT, A, B, checkpoint, committed, prepared, rules
from tests.unit.pbft.view_builders import resign, view_change

STABLE = checkpoint(8)


def good() -> ViewChange:
    proofs = (committed(9), prepared(10), prepared(11, B, view=2))
    return view_change(1, view=3, proofs=proofs, stable=STABLE)


def with_proof(proof: object) -> ViewChange:
    return view_change(1, view=3, proofs=(proof,), stable=STABLE)  # type: ignore[arg-type]


def forge(change: ViewChange) -> ViewChange:
    return replace(change, signature=bytes(64))


VECTORS: list[tuple[str, Callable[[], ViewChange], Rejection]] = [
    ("of another epoch", lambda: resign(replace(good(), epoch=Epoch(1))), Rejection.WRONG_EPOCH),
    (
        "from a stranger",
        lambda: resign(replace(good(), replica=ReplicaId(sim_key(9)))),
        Rejection.NOT_A_MEMBER,
    ),
    ("unsigned", lambda: forge(good()), Rejection.BAD_SIGNATURE),
    (
        "signed by another member",
        lambda: replace(good(), replica=ReplicaId(sim_key(2))),
        Rejection.BAD_SIGNATURE,
    ),
    (
        "for another view than signed",
        lambda: replace(good(), view=View(4)),
        Rejection.BAD_SIGNATURE,
    ),
    (
        "with claims repeated",
        lambda: view_change(1, view=3, proofs=(prepared(9), prepared(9)), stable=STABLE),
        Rejection.CLAIMS_OUT_OF_ORDER,
    ),
    (
        "with claims swapped",
        lambda: view_change(1, view=3, proofs=(prepared(10), prepared(9)), stable=STABLE),
        Rejection.CLAIMS_OUT_OF_ORDER,
    ),
    (
        "claiming below its checkpoint",
        lambda: with_proof(prepared(8)),
        Rejection.CLAIM_OUTSIDE_WINDOW,
    ),
    (
        "claiming above its window",
        lambda: with_proof(prepared(8 + 33)),
        Rejection.CLAIM_OUTSIDE_WINDOW,
    ),
    (
        "claiming the view it asks for",
        lambda: with_proof(prepared(9, view=3)),
        Rejection.CLAIM_FROM_THE_FUTURE,
    ),
    (
        "claiming a later view",
        lambda: with_proof(prepared(9, view=7)),
        Rejection.CLAIM_FROM_THE_FUTURE,
    ),
    (
        "without a checkpoint certificate",
        lambda: replace(good(), checkpoint=None),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with the certificate of another checkpoint",
        lambda: replace(good(), checkpoint=checkpoint(16)),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with the certificate of another state",
        lambda: replace(good(), checkpoint=checkpoint(8, Digest(A))),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with a checkpoint one vote short",
        lambda: replace(good(), checkpoint=checkpoint(8, voters=(0, 1))),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with a checkpoint signed by a stranger",
        lambda: replace(good(), checkpoint=checkpoint(8, voters=(0, 1, 9))),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "at genesis with a state root",
        lambda: resign(
            replace(good(), stable=Seq(0), state_root=ROOT, checkpoint=None, claims=(), proofs=())
        ),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with a proof missing",
        lambda: replace(good(), proofs=good().proofs[:2]),
        Rejection.PROOF_OF_ANOTHER_CLAIM,
    ),
    (
        "with the proof of another digest",
        lambda: replace(good(), proofs=(committed(9, B), *good().proofs[1:])),
        Rejection.PROOF_OF_ANOTHER_CLAIM,
    ),
    (
        "with the proof of another view",
        lambda: replace(good(), proofs=(committed(9, view=1), *good().proofs[1:])),
        Rejection.PROOF_OF_ANOTHER_CLAIM,
    ),
    (
        "with a prepared certificate for a claim of a commit",
        lambda: replace(good(), proofs=(prepared(9), *good().proofs[1:])),
        Rejection.PROOF_OF_ANOTHER_CLAIM,
    ),
    (
        "prepared by one too few",
        lambda: with_proof(prepared(9, voters=(1,))),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "prepared by its primary twice",
        lambda: with_proof(prepared(9, voters=(0, 1))),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "prepared by a stranger",
        lambda: with_proof(prepared(9, voters=(1, 9))),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "prepared in another epoch",
        lambda: with_proof(prepared(9, epoch=1)),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "prepared with prepares of another view",
        lambda: with_proof(replace(prepared(9, view=1), signatures=prepared(9).signatures)),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "prepared with prepares of another digest",
        lambda: with_proof(replace(prepared(9), signatures=prepared(9, B).signatures)),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "prepared with a forged proposal",
        lambda: with_proof(replace(prepared(9), proposal_signature=bytes(64))),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "committed by one too few",
        lambda: with_proof(committed(9, voters=(0, 1))),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "committed with signatures of prepares",
        lambda: with_proof(replace(committed(9), signatures=prepared(9).signatures)),
        Rejection.UNPROVEN_CLAIM,
    ),
]


def test_a_correct_view_change_is_believed() -> None:
    assert rules().reject_view_change(good()) is None


def test_a_correct_view_change_at_genesis_is_believed() -> None:
    change = view_change(2, proofs=(prepared(1),))

    assert change.state_root == GENESIS_ROOT
    assert rules().reject_view_change(change) is None


@pytest.mark.parametrize(("name", "make", "reason"), VECTORS, ids=[v[0] for v in VECTORS])
def test_a_view_change_is_rejected(
    name: str, make: Callable[[], ViewChange], reason: Rejection
) -> None:
    assert rules().reject_view_change(make()) is reason, name


def test_a_claim_compares_committed_before_prepared_then_by_view() -> None:
    committed_low = Claim.of(committed(9, A, view=0))
    prepared_high = Claim.of(prepared(9, B, view=6))

    assert committed_low > prepared_high
    assert Claim.of(prepared(9, B, view=1)) > Claim.of(prepared(9, A, view=0))
