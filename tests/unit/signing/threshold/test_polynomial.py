import itertools

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.signing.threshold.curve import ORDER
from bftcluster.signing.threshold.polynomial import (
    commitments_to,
    committed_value,
    is_committed_value,
    lagrange_at_zero,
    polynomial,
    value_at,
)
from bftcluster.signing.threshold.scalars import (
    bounded,
    decode_scalar,
    encode_scalar,
    hash_to_scalar,
)
from tests.unit.signing.threshold.ceremonies import CURVE

ENTROPY = b"e" * 32


def test_a_polynomial_is_drawn_from_entropy_and_context() -> None:
    drawn = polynomial(ENTROPY, b"one", threshold=3)

    assert drawn == polynomial(ENTROPY, b"one", threshold=3)
    others = polynomial(ENTROPY, b"two", threshold=3) + polynomial(b"f" * 32, b"one", threshold=3)
    assert len({*drawn, *others}) == 9
    assert all(0 < coefficient < ORDER for coefficient in drawn)


def test_a_given_constant_is_the_value_at_zero() -> None:
    drawn = polynomial(ENTROPY, b"one", threshold=3, constant=5)

    assert value_at(drawn, 0) == 5
    assert drawn[1:] == polynomial(ENTROPY, b"one", threshold=3)[1:]


def test_too_little_entropy_is_our_own_fault() -> None:
    with pytest.raises(AssertionError, match="entropy"):
        polynomial(b"e" * 31, b"one", threshold=3)


def test_any_three_values_of_a_polynomial_of_degree_two_give_its_secret_and_no_two_do() -> None:
    drawn = polynomial(ENTROPY, b"one", threshold=3)

    def interpolated(places: tuple[int, ...]) -> int:
        factors = lagrange_at_zero(places)
        terms = (value_at(drawn, at) * by for at, by in zip(places, factors, strict=True))
        return sum(terms) % ORDER

    assert {interpolated(each) for each in itertools.permutations(range(1, 6), 3)} == {drawn[0]}
    assert drawn[0] not in map(interpolated, itertools.permutations(range(1, 6), 2))


@pytest.mark.parametrize("places", [(1, 1), (0, 1), (1, ORDER)])
def test_a_place_that_is_none_or_counts_twice_is_our_own_fault(places: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        lagrange_at_zero(places)


def test_commitments_show_which_value_is_right() -> None:
    drawn = polynomial(ENTROPY, b"one", threshold=3)
    commitments = [CURVE.decode_g1(each) for each in commitments_to(CURVE, drawn)]

    for place in (1, 2, 5, 128):
        assert is_committed_value(CURVE, commitments, place, value_at(drawn, place))
        assert not is_committed_value(CURVE, commitments, place, value_at(drawn, place) + 1)
        assert not is_committed_value(CURVE, commitments, place + 1, value_at(drawn, place))
    assert (
        CURVE.encode_g1(committed_value(CURVE, commitments, 2))
        == commitments_to(CURVE, [value_at(drawn, 2)])[0]
    )


@pytest.mark.parametrize("scalar", [0, 1, ORDER - 1])
def test_a_scalar_has_one_encoding(scalar: int) -> None:
    assert decode_scalar(encode_scalar(scalar)) == scalar


@pytest.mark.parametrize(
    "data", [b"", bytes(31), bytes(33), ORDER.to_bytes(32, "big"), b"\xff" * 32]
)
def test_what_is_not_reduced_or_has_another_length_is_no_scalar(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_scalar(data)


def test_parts_of_a_hash_have_borders() -> None:
    assert bounded(b"ab", b"c") != bounded(b"a", b"bc")
    assert hash_to_scalar(b"tag", b"ab", b"c") != hash_to_scalar(b"tag", b"a", b"bc")
    assert hash_to_scalar(b"tag", b"ab") != hash_to_scalar(b"gat", b"ab")
