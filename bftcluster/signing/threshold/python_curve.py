"""BLS12-381 by py-ecc, in Python: 300 times slower than blst, and the oracle of its tests.

Its time depends on secrets. It is what remains on a platform for which blst has no wheel.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

from bftcluster.signing.threshold.curve import (
    G1_GENERATOR,
    G1_INFINITY,
    G2_GENERATOR,
    G2_INFINITY,
    ORDER,
    AnyPoint,
    G1Point,
    G2Point,
    decoded,
)


class PythonCurve:
    """A ``Curve`` that needs no native library. Importing its library takes 0.3 s."""

    def __init__(self) -> None:
        from py_ecc import optimized_bls12_381
        from py_ecc.bls import g2_primitives, hash_to_curve

        self._group: Any = optimized_bls12_381
        self._encodings: Any = g2_primitives
        self._hashes: Any = hash_to_curve
        self.name: Final = "py-ecc"
        self.generator_g1: Final = self.decode_g1(G1_GENERATOR)
        self.generator_g2: Final = self.decode_g2(G2_GENERATOR)

    def decode_g1(self, data: bytes) -> G1Point:
        """See ``Curve``."""
        return G1Point(decoded(self._in_g1, data, G1_INFINITY))

    def decode_g2(self, data: bytes) -> G2Point:
        """See ``Curve``."""
        return G2Point(decoded(self._in_g2, data, G2_INFINITY))

    def encode_g1(self, point: G1Point) -> bytes:
        """See ``Curve``."""
        return bytes(self._encodings.G1_to_pubkey(point))

    def encode_g2(self, point: G2Point) -> bytes:
        """See ``Curve``."""
        return bytes(self._encodings.G2_to_signature(point))

    def add(self, left: AnyPoint, right: AnyPoint) -> AnyPoint:
        """See ``Curve``."""
        return cast("AnyPoint", self._group.add(left, right))

    def negate(self, point: AnyPoint) -> AnyPoint:
        """See ``Curve``."""
        return cast("AnyPoint", self._group.neg(point))

    def multiply(self, point: AnyPoint, scalar: int) -> AnyPoint:
        """See ``Curve``."""
        return cast("AnyPoint", self._group.multiply(point, scalar % ORDER))

    def hash_to_g2(self, message: bytes, tag: bytes) -> G2Point:
        """See ``Curve``."""
        assert 0 < len(tag) < 256, "longer tags would be hashed, which no ciphersuite here needs"
        return G2Point(self._hashes.hash_to_G2(message, tag, hashlib.sha256))

    def is_one(self, pairs: Sequence[tuple[G1Point, G2Point]]) -> bool:
        """See ``Curve``."""
        one = self._group.FQ12.one()
        product = one
        for left, right in pairs:
            product *= self._group.pairing(right, left, final_exponentiate=False)
        return bool(self._group.final_exponentiate(product) == one)

    def _in_g1(self, data: bytes) -> object:
        return self._of_subgroup(self._encodings.pubkey_to_G1(data))

    def _in_g2(self, data: bytes) -> object:
        return self._of_subgroup(self._encodings.signature_to_G2(data))

    def _of_subgroup(self, point: object) -> object:
        """Return ``point``: the library leaves it to its callers whether it lies there."""
        if not self._encodings.subgroup_check(point):
            raise ValueError("not in the subgroup")
        return point
