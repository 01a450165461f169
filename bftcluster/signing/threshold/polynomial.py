"""Shamir's sharing over the scalars, and Feldman's commitments to it.

A polynomial of degree t - 1 hides its value at 0 from whoever knows fewer than t others. Holder i,
from 1, has the value at i. Sources: Shamir, CACM 1979; Feldman, FOCS 1987.
"""

from collections.abc import Sequence
from typing import Final

from bftcluster.limits import ENTROPY_MIN_BYTES
from bftcluster.signing.threshold.curve import (
    ORDER,
    Curve,
    G1Point,
    scaled,
)
from bftcluster.signing.threshold.scalars import hash_to_scalar

_TAG: Final = b"bftcluster/polynomial/v1"


def polynomial(
    entropy: bytes, context: bytes, *, threshold: int, constant: int | None = None
) -> list[int]:
    """Return ``threshold`` coefficients other than 0, that of degree 0 first.

    Args:
        entropy: At least 32 bytes that nobody else knows.
        context: What the polynomial is for: in two contexts, one entropy gives two of them.
        threshold: How many values determine it.
        constant: Its value at 0; None draws that, too.
    """
    assert len(entropy) >= ENTROPY_MIN_BYTES, "a secret is drawn from enough entropy"
    assert threshold > 0, "at least one value determines a polynomial"
    drawn = [
        hash_to_scalar(_TAG, entropy, context, degree.to_bytes(4, "big"))
        for degree in range(threshold)
    ]
    return drawn if constant is None else [constant, *drawn[1:]]


def value_at(coefficients: Sequence[int], place: int) -> int:
    """Return the polynomial's value (Horner)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % ORDER
    return value


def commitments_to(curve: Curve, coefficients: Sequence[int]) -> tuple[bytes, ...]:
    """Return each coefficient times the generator, 48 bytes each."""
    return tuple(curve.encode_g1(curve.multiply(curve.generator_g1, each)) for each in coefficients)


def committed_value(curve: Curve, commitments: Sequence[G1Point], place: int) -> G1Point:
    """Return the generator times the value at ``place``, from 1, of what is committed to."""
    assert place > 0, "the value at 0 is the first commitment"
    total = commitments[-1]
    for commitment in reversed(commitments[:-1]):
        total = curve.add(scaled(curve, total, place), commitment)
    return total


def is_committed_value(
    curve: Curve, commitments: Sequence[G1Point], place: int, value: int
) -> bool:
    """Return whether ``value`` is the one at ``place`` of what is committed to."""
    ours = curve.multiply(curve.generator_g1, value)
    theirs = committed_value(curve, commitments, place)
    return curve.encode_g1(ours) == curve.encode_g1(theirs)


def lagrange_at_zero(places: Sequence[int]) -> list[int]:
    """Return the factors by which the values at ``places`` add up to that at 0."""
    assert len(set(places)) == len(places), "a place counts once"
    assert all(0 < place < ORDER for place in places), "0 is the place of the secret"
    factors = []
    for place in places:
        numerator = denominator = 1
        for other in places:
            if other != place:
                numerator = numerator * other % ORDER
                denominator = denominator * (other - place) % ORDER
        factors.append(numerator * pow(denominator, -1, ORDER) % ORDER)
    return factors
