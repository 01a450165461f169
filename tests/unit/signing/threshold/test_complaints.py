from dataclasses import replace

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import COMPLAINT_SIZE_MAX_BYTES, HOLDERS_MAX
from bftcluster.signing.threshold.complaints import Complaint, judge_complaint, open_share
from bftcluster.signing.threshold.curve import G1_INFINITY, ORDER
from bftcluster.signing.threshold.dealings import deal, judge_dealing
from bftcluster.signing.threshold.scalars import decode_scalar, encode_scalar
from bftcluster.signing.threshold.verdicts import ComplaintVerdict, DealingVerdict
from tests.unit.signing.threshold.ceremonies import (
    CEREMONY,
    CURVE,
    DEALINGS,
    ceremony_of,
    complaint_of,
    entropy_of,
    key_of,
)

GOOD = DEALINGS[0]
WRONG = encode_scalar((decode_scalar(GOOD.sealed[2]) + 1) % ORDER)
BAD = replace(GOOD, sealed=(*GOOD.sealed[:2], WRONG, GOOD.sealed[3]))
"""Accepted, since what is wrong is sealed for holder 3 (peer 2)."""


def judged(complaint: Complaint) -> ComplaintVerdict:
    return judge_complaint(CURVE, CEREMONY, BAD, complaint)


def test_every_holder_opens_its_share_of_a_good_dealing() -> None:
    assert all(isinstance(open_share(CURVE, GOOD, n + 1, key_of(n)), int) for n in range(4))


def test_a_bad_share_is_found_by_its_holder_and_proven_to_all() -> None:
    assert judge_dealing(CURVE, CEREMONY, BAD) is DealingVerdict.ACCEPTED
    assert isinstance(open_share(CURVE, BAD, 2, key_of(1)), int)

    complaint = open_share(CURVE, BAD, 3, key_of(2))

    assert isinstance(complaint, Complaint)
    assert judged(complaint) is ComplaintVerdict.UPHELD


def test_who_complains_about_a_right_share_is_seen_to_lie() -> None:
    assert judged(complaint_of(BAD, 2, 1)) is ComplaintVerdict.SHARE_IS_RIGHT


def test_who_reveals_another_point_is_seen_to_lie() -> None:
    honest = complaint_of(BAD, 2, 1)

    for point in (BAD.ephemeral, complaint_of(BAD, 3, 2).point, BAD.commitments[0]):
        assert judged(replace(honest, point=point)) is ComplaintVerdict.WRONG_POINT


def test_nobody_complains_in_the_name_of_another_holder_with_its_own_point() -> None:
    stolen = replace(complaint_of(BAD, 3, 2), holder=2)

    assert judged(stolen) is ComplaintVerdict.WRONG_POINT


@pytest.mark.parametrize("point", [G1_INFINITY, bytes(48), b"\xff" * 48])
def test_what_is_revealed_is_a_point(point: bytes) -> None:
    assert judged(replace(complaint_of(BAD, 3, 2), point=point)) is ComplaintVerdict.NO_POINT


def test_a_complaint_is_about_one_ceremony_and_by_one_of_its_holders() -> None:
    complaint = complaint_of(BAD, 3, 2)
    other = ceremony_of(range(4), 2, number=2)

    assert judge_complaint(CURVE, other, BAD, complaint) is ComplaintVerdict.WRONG_CEREMONY
    moved = replace(complaint, ceremony=other.digest)
    assert judged(moved) is ComplaintVerdict.WRONG_CEREMONY
    assert judged(replace(complaint, holder=5)) is ComplaintVerdict.NOT_A_HOLDER


def test_a_complaint_opens_no_share_but_the_one_that_it_is_about() -> None:
    complaint = complaint_of(BAD, 3, 2)
    second = deal(CURVE, CEREMONY, 2, entropy_of(1))

    others = [replace(complaint, dealer=2)]

    for other in others:
        verdict = judge_complaint(CURVE, CEREMONY, second, other)
        assert verdict is ComplaintVerdict.WRONG_POINT


def test_a_complaint_comes_back_from_its_encoding() -> None:
    complaint = complaint_of(BAD, 3, 2)

    assert Complaint.from_bytes(complaint.to_bytes()) == complaint
    assert len(complaint.to_bytes()) <= COMPLAINT_SIZE_MAX_BYTES


@pytest.mark.parametrize(
    "changes",
    [{"dealer": 0}, {"holder": 0}, {"holder": HOLDERS_MAX + 1}, {"point": b""}, {"ceremony": b""}],
    ids=repr,
)
def test_a_complaint_of_another_shape_is_none(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedMessageError):
        replace(complaint_of(BAD, 3, 2), **changes)
