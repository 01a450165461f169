import itertools

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import GROUP_KEY_SIZE_MAX_BYTES, HOLDERS_MAX, PARTIAL_SIZE_MAX_BYTES
from bftcluster.signing.threshold.ciphersuite import is_signature
from bftcluster.signing.threshold.curve import G1_GENERATOR, G2_GENERATOR, G2_INFINITY
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.partials import (
    Combination,
    Partial,
    combine,
    invalid_partials,
    is_partial,
    make_partial,
)
from tests.unit.signing.threshold.ceremonies import CURVE, MESSAGE, dealt, partials_of

TRANSCRIPT, GROUP, SHARES = dealt(range(5), 3)
SIGNATURE = combine(CURVE, GROUP, MESSAGE, partials_of(SHARES, (1, 2, 3))).signature


def test_any_three_of_five_make_the_same_signature() -> None:
    assert SIGNATURE is not None
    assert is_signature(CURVE, GROUP.key, MESSAGE, SIGNATURE)
    for holders in itertools.combinations(SHARES, 3):
        made = combine(CURVE, GROUP, MESSAGE, partials_of(SHARES, holders))
        assert made == Combination(SIGNATURE, ())
    assert combine(CURVE, GROUP, MESSAGE, partials_of(SHARES, SHARES)).signature == SIGNATURE


def test_no_two_of_five_make_one() -> None:
    for holders in itertools.combinations(SHARES, 2):
        assert combine(CURVE, GROUP, MESSAGE, partials_of(SHARES, holders)) == Combination(None, ())


def test_a_partial_is_one_holders_and_of_one_message() -> None:
    partial = make_partial(CURVE, SHARES[2], 2, MESSAGE)

    assert is_partial(CURVE, GROUP, MESSAGE, partial)
    assert not is_partial(CURVE, GROUP, b"period 8", partial)
    for holder in (1, 3, 6, HOLDERS_MAX):
        another = Partial(holder=holder, signature=partial.signature)
        assert not is_partial(CURVE, GROUP, MESSAGE, another)


def test_a_wrong_partial_is_named_and_the_others_sign() -> None:
    partials = partials_of(SHARES, (1, 2, 4, 5))
    partials[2] = make_partial(CURVE, SHARES[2], 2, b"another message")

    assert combine(CURVE, GROUP, MESSAGE, partials) == Combination(SIGNATURE, (2,))


@pytest.mark.parametrize("signature", [G2_INFINITY, bytes(96), b"\xff" * 96, G2_GENERATOR])
def test_a_partial_that_is_no_point_or_another_one_is_named(signature: bytes) -> None:
    partials = partials_of(SHARES, (1, 2, 3, 4))
    partials[1] = Partial(holder=1, signature=signature)

    assert combine(CURVE, GROUP, MESSAGE, partials) == Combination(SIGNATURE, (1,))


def test_a_partial_of_nobody_is_named() -> None:
    partials = partials_of(SHARES, (3, 4, 5))
    partials[6] = Partial(holder=6, signature=G2_GENERATOR)

    assert invalid_partials(CURVE, GROUP, MESSAGE, partials) == (6,)


def test_too_few_right_partials_among_wrong_ones_sign_nothing() -> None:
    partials = partials_of(SHARES, (1, 2, 3))
    partials[3] = Partial(holder=3, signature=partials[1].signature)

    assert combine(CURVE, GROUP, MESSAGE, partials) == Combination(None, (3,))


def test_partials_that_two_holders_swapped_are_both_wrong() -> None:
    partials = partials_of(SHARES, SHARES)
    first, second = partials[1].signature, partials[4].signature
    partials[1], partials[4] = (
        Partial(holder=1, signature=second),
        Partial(holder=4, signature=first),
    )

    assert invalid_partials(CURVE, GROUP, MESSAGE, partials) == (1, 4)


def test_partials_and_group_keys_come_back_from_their_encodings() -> None:
    partial = make_partial(CURVE, SHARES[2], 2, MESSAGE)
    largest = GroupKey(
        threshold=HOLDERS_MAX, key=GROUP.key, public_shares=(G1_GENERATOR,) * HOLDERS_MAX
    )

    assert Partial.from_bytes(partial.to_bytes()) == partial
    assert len(partial.to_bytes()) <= PARTIAL_SIZE_MAX_BYTES
    assert GroupKey.from_bytes(GROUP.to_bytes()) == GROUP
    assert GroupKey.from_bytes(largest.to_bytes()) == largest
    assert len(largest.to_bytes()) <= GROUP_KEY_SIZE_MAX_BYTES


@pytest.mark.parametrize(("holder", "size"), [(0, 96), (-1, 96), (HOLDERS_MAX + 1, 96), (1, 95)])
def test_a_partial_of_another_size_or_place_is_none(holder: int, size: int) -> None:
    with pytest.raises(MalformedMessageError):
        Partial(holder=holder, signature=bytes(size))


@pytest.mark.parametrize(("threshold", "count"), [(0, 1), (2, 1), (1, 0), (1, HOLDERS_MAX + 1)])
def test_a_group_of_too_few_or_too_many_is_none(threshold: int, count: int) -> None:
    with pytest.raises(MalformedMessageError):
        GroupKey(threshold=threshold, key=G1_GENERATOR, public_shares=(G1_GENERATOR,) * count)
