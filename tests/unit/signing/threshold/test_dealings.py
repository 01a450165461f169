from dataclasses import replace

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.limits import DEALING_SIZE_MAX_BYTES, HOLDERS_MAX
from bftcluster.signing.threshold.curve import G1_GENERATOR, G1_INFINITY, ORDER
from bftcluster.signing.threshold.dealings import Ceremony, Dealing, deal, judge_dealing
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.verdicts import DealingVerdict
from tests.unit.signing.threshold.ceremonies import (
    CEREMONY,
    CURVE,
    DEALINGS,
    ceremony_of,
    dealt,
    entropy_of,
    registered,
)

DEALING = DEALINGS[0]


def judged(dealing: Dealing, ceremony: Ceremony = CEREMONY) -> DealingVerdict:
    return judge_dealing(CURVE, ceremony, dealing)


def test_a_dealing_is_accepted_and_the_same_each_time() -> None:
    assert judged(DEALING) is DealingVerdict.ACCEPTED
    assert deal(CURVE, CEREMONY, 1, entropy_of(0)) == DEALING


def test_one_entropy_deals_other_secrets_in_another_ceremony_or_place() -> None:
    next_ceremony = ceremony_of(range(4), 2, number=2)

    others = deal(CURVE, next_ceremony, 1, entropy_of(0)), deal(CURVE, CEREMONY, 2, entropy_of(0))

    for other in others:
        assert not set(other.commitments) & set(DEALING.commitments)
        assert other.ephemeral != DEALING.ephemeral
        assert not set(other.sealed) & set(DEALING.sealed)


def test_a_dealing_counts_in_its_own_ceremony_only() -> None:
    for other in (
        ceremony_of(range(4), 2, number=2),
        ceremony_of(range(4), 3),
        ceremony_of((3, 2, 1, 0), 2),
        ceremony_of(range(5), 2),
    ):
        assert judged(DEALING, other) is DealingVerdict.WRONG_CEREMONY


def test_a_dealing_of_nobody_is_refused() -> None:
    assert judged(replace(DEALING, dealer=5)) is DealingVerdict.NOT_A_DEALER


def test_a_polynomial_of_another_degree_is_refused() -> None:
    fewer = replace(DEALING, commitments=DEALING.commitments[:1])
    more = replace(DEALING, commitments=(*DEALING.commitments, G1_GENERATOR))

    assert judged(fewer) is DealingVerdict.WRONG_COUNT
    assert judged(more) is DealingVerdict.WRONG_COUNT


def test_a_dealing_that_forgets_a_holder_is_refused() -> None:
    assert judged(replace(DEALING, sealed=DEALING.sealed[:3])) is DealingVerdict.WRONG_COUNT


@pytest.mark.parametrize("point", [G1_INFINITY, bytes(48), b"\xff" * 48])
def test_commitments_and_the_ephemeral_key_are_points(point: bytes) -> None:
    first, second = DEALING.commitments

    for bad in (
        replace(DEALING, commitments=(point, second)),
        replace(DEALING, commitments=(first, point)),
        replace(DEALING, ephemeral=point),
    ):
        assert judged(bad) is DealingVerdict.NO_POINT


def test_nobody_takes_the_ephemeral_key_of_another_dealer() -> None:
    # Complaints about its nonsense would open the shares that the honest dealer sealed.
    own = deal(CURVE, CEREMONY, 2, entropy_of(1))
    copied = replace(own, ephemeral=DEALING.ephemeral)

    assert judged(copied) is DealingVerdict.NOT_POSSESSED
    assert judged(replace(copied, possession=DEALING.possession)) is DealingVerdict.NOT_POSSESSED
    assert judged(replace(DEALING, dealer=2)) is DealingVerdict.NOT_POSSESSED


def test_an_ephemeral_key_serves_in_one_ceremony() -> None:
    later = ceremony_of(range(4), 2, number=2)
    repeated = replace(DEALING, ceremony=later.digest)

    assert judged(repeated, later) is DealingVerdict.NOT_POSSESSED


def test_who_passes_a_key_on_cannot_pass_on_another_number() -> None:
    _, group, shares = dealt(range(4), 2)
    ceremony = ceremony_of(range(2, 7), 2, number=2, source=group)

    right = deal(CURVE, ceremony, 3, entropy_of(3), shares[3])
    wrong = deal(CURVE, ceremony, 3, entropy_of(3), shares[2])

    assert judged(right, ceremony) is DealingVerdict.ACCEPTED
    assert judged(wrong, ceremony) is DealingVerdict.WRONG_CONSTANT


def test_all_that_a_ceremony_is_about_is_in_its_digest() -> None:
    group = GroupKey(threshold=1, key=G1_GENERATOR, public_shares=(G1_GENERATOR,))
    digests = {
        CEREMONY.digest,
        replace(CEREMONY, number=2).digest,
        replace(CEREMONY, threshold=3).digest,
        replace(CEREMONY, holders=CEREMONY.holders[::-1]).digest,
        replace(CEREMONY, cluster_id=b"d" * 32).digest,
        replace(CEREMONY, source=group).digest,
    }

    assert len(digests) == 6


def test_one_peer_holds_one_share() -> None:
    with pytest.raises(AssertionError, match="one share"):
        replace(CEREMONY, holders=(registered(1), registered(1)))


def test_the_largest_dealing_comes_back_from_its_encoding() -> None:
    largest = replace(
        DEALING,
        commitments=(G1_GENERATOR,) * HOLDERS_MAX,
        sealed=((ORDER - 1).to_bytes(32, "big"),) * HOLDERS_MAX,
    )

    for dealing in (DEALING, largest):
        assert Dealing.from_bytes(dealing.to_bytes()) == dealing
        assert len(dealing.to_bytes()) <= DEALING_SIZE_MAX_BYTES


@pytest.mark.parametrize(
    "changes",
    [
        {"dealer": 0},
        {"dealer": HOLDERS_MAX + 1},
        {"ceremony": Digest(b"short")},
        {"commitments": ()},
        {"commitments": (G1_GENERATOR,) * 5},
        {"commitments": (b"short",)},
        {"ephemeral": G1_GENERATOR[:-1]},
        {"possession": G1_GENERATOR},
        {"sealed": (ORDER.to_bytes(32, "big"),) * 4},
        {"sealed": (bytes(31),) * 4},
        {"sealed": (bytes(32),) * (HOLDERS_MAX + 1)},
    ],
    ids=repr,
)
def test_a_dealing_of_another_shape_is_none(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedMessageError):
        replace(DEALING, **changes)
