"""NEW-VIEWs with one thing wrong each, and the reason given for it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft.log import NULL_DIGEST
from bftcluster.pbft.new_view import Rejection, voter_digests
from bftcluster.pbft.view_messages import Choice, NewView, ViewChange
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import A, B, checkpoint, committed, prepared, rules
from tests.unit.pbft.view_builders import new_view, resign, sign_new_view, view_change

STABLE = checkpoint(8)


def changes() -> list[ViewChange]:
    """Three wishes for view 5: 9 committed, 10 prepared twice, 11 unknown, 12 prepared."""
    return [
        view_change(0, view=5, proofs=(committed(9), prepared(10, A)), stable=STABLE),
        view_change(2, view=5, proofs=(prepared(9), prepared(10, B, view=3)), stable=STABLE),
        view_change(3, view=5, proofs=(prepared(12, B, view=1),), stable=STABLE),
    ]


def good() -> NewView:
    return new_view(changes())


def signed(**fields: object) -> NewView:
    return sign_new_view(replace(good(), **fields))  # type: ignore[arg-type]


def of(picked: list[ViewChange]) -> NewView:
    """Return ``good`` with other view changes named and signed, and nothing else adapted."""
    bare = tuple(replace(change, checkpoint=None, proofs=()) for change in picked)
    return signed(view_changes=bare, voters=voter_digests(bare, CLUSTER_ID))


def ordered() -> list[ViewChange]:
    return sorted(changes(), key=lambda change: change.replica)


def choices(*picked: Choice) -> NewView:
    return signed(choices=picked)


FIRST, SECOND, GAP, LAST = (
    Choice(Seq(9), A, is_committed=True),
    Choice(Seq(10), B, is_committed=False),
    Choice(Seq(11), NULL_DIGEST, is_committed=False),
    Choice(Seq(12), B, is_committed=False),
)

VECTORS: list[tuple[str, Callable[[], NewView], Rejection]] = [
    ("of another epoch", lambda: signed(epoch=Epoch(1)), Rejection.WRONG_EPOCH),
    (
        "not from the primary",
        lambda: signed(replica=ReplicaId(sim_key(2))),
        Rejection.NOT_THE_PRIMARY,
    ),
    ("of a view with another primary", lambda: signed(view=View(6)), Rejection.NOT_THE_PRIMARY),
    ("with a view change missing", lambda: of(ordered()[:2]), Rejection.TOO_FEW_VIEW_CHANGES),
    (
        "with one voter twice",
        lambda: of([ordered()[0], ordered()[0], ordered()[1]]),
        Rejection.DUPLICATE_VOTER,
    ),
    ("with voters unsorted", lambda: of(ordered()[::-1]), Rejection.DUPLICATE_VOTER),
    (
        "with a view change of another view",
        lambda: of([*ordered()[:2], resign(replace(ordered()[2], view=View(4)))]),
        Rejection.WRONG_VIEW,
    ),
    (
        "replayed in a later view of the same primary",
        lambda: signed(view=View(9)),
        Rejection.WRONG_VIEW,
    ),
    (
        "with other view changes than it signed for",
        lambda: replace(good(), voters=tuple(reversed(good().voters))),
        Rejection.OTHER_VIEW_CHANGES,
    ),
    ("unsigned", lambda: replace(good(), signature=bytes(64)), Rejection.BAD_SIGNATURE),
    ("signed by another", lambda: sign_new_view(good(), signer=2), Rejection.BAD_SIGNATURE),
    (
        "with a view change unsigned",
        lambda: of([*ordered()[:2], replace(ordered()[2], signature=bytes(64))]),
        Rejection.BAD_SIGNATURE,
    ),
    (
        "with a view change from a stranger",
        lambda: of(
            sorted(
                [*ordered()[:2], resign(replace(ordered()[2], replica=ReplicaId(sim_key(9))))],
                key=lambda change: change.replica,
            )
        ),
        Rejection.NOT_A_MEMBER,
    ),
    ("starting too low", lambda: signed(stable=Seq(0)), Rejection.WRONG_CHECKPOINT),
    ("starting too high", lambda: signed(stable=Seq(16)), Rejection.WRONG_CHECKPOINT),
    (
        "starting from another state",
        lambda: signed(state_root=Digest(A)),
        Rejection.WRONG_CHECKPOINT,
    ),
    ("with a choice missing", lambda: choices(FIRST, SECOND, GAP), Rejection.WRONG_CHOICES),
    (
        "with a choice too many",
        lambda: choices(FIRST, SECOND, GAP, LAST, Choice(Seq(13), A, is_committed=False)),
        Rejection.WRONG_CHOICES,
    ),
    ("with choices swapped", lambda: choices(FIRST, GAP, SECOND, LAST), Rejection.WRONG_CHOICES),
    (
        "with the lower of two prepared",
        lambda: choices(FIRST, Choice(Seq(10), A, is_committed=False), GAP, LAST),
        Rejection.WRONG_CHOICES,
    ),
    (
        "with a prepared batch dropped for a null",
        lambda: choices(FIRST, SECOND, GAP, Choice(Seq(12), NULL_DIGEST, is_committed=False)),
        Rejection.WRONG_CHOICES,
    ),
    (
        "with a gap filled by its own batch",
        lambda: choices(FIRST, SECOND, Choice(Seq(11), A, is_committed=False), LAST),
        Rejection.WRONG_CHOICES,
    ),
    (
        "calling a prepared batch committed",
        lambda: choices(FIRST, Choice(Seq(10), B, is_committed=True), GAP, LAST),
        Rejection.WRONG_CHOICES,
    ),
    (
        "with a proof missing",
        lambda: signed(proofs=good().proofs[:2]),
        Rejection.PROOF_OF_ANOTHER_CLAIM,
    ),
    (
        "with proofs swapped",
        lambda: signed(proofs=good().proofs[::-1]),
        Rejection.PROOF_OF_ANOTHER_CLAIM,
    ),
    (
        "with a proposal missing",
        lambda: signed(proposals=good().proposals[1:]),
        Rejection.WRONG_PROPOSALS,
    ),
    ("without any proposal", lambda: signed(proposals=()), Rejection.WRONG_PROPOSALS),
    (
        "without its checkpoint's certificate",
        lambda: signed(checkpoint=None),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with a checkpoint one vote short",
        lambda: signed(checkpoint=checkpoint(8, voters=(0, 1))),
        Rejection.UNPROVEN_CHECKPOINT,
    ),
    (
        "with a commit one vote short",
        lambda: signed(proofs=(committed(9, voters=(0, 1)), *good().proofs[1:])),
        Rejection.UNPROVEN_CLAIM,
    ),
    (
        "with a proposal forged",
        lambda: signed(proposals=(*good().proposals[:2], bytes(64))),
        Rejection.FORGED_PROPOSAL,
    ),
]


def test_a_correct_new_view_is_believed() -> None:
    assert good().choices == (FIRST, SECOND, GAP, LAST)
    assert rules().reject_new_view(good()) is None


@pytest.mark.parametrize(("name", "make", "reason"), VECTORS, ids=[v[0] for v in VECTORS])
def test_a_new_view_is_rejected(name: str, make: Callable[[], NewView], reason: Rejection) -> None:
    assert rules().reject_new_view(make()) is reason, name


def test_every_reason_is_given_by_some_vector() -> None:
    from tests.unit.pbft.test_view_change_vectors import VECTORS as OTHERS

    assert {vector[2] for vector in [*VECTORS, *OTHERS]} == set(Rejection)


def test_an_unproven_claim_that_was_not_chosen_does_no_harm() -> None:
    forged = replace(prepared(10, A), proposal_signature=bytes(64))
    weaker = view_change(0, view=5, proofs=(committed(9), forged), stable=STABLE)

    view = new_view([weaker, *changes()[1:]])

    assert rules().reject_new_view(view) is None
