"""BLS12-381 as this project asks for it: one interface, and what follows from it.

Two libraries stand behind it (``blst_curve``, ``python_curve``). They give the same bytes and
refuse the same bytes, so that peers with one and peers with the other agree. Points never leave the
process: what is kept, sent or compared is their encoding.
"""

from collections.abc import Callable, Sequence
from typing import Final, NewType, Protocol, TypeVar

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import G1_SIZE_BYTES, G2_SIZE_BYTES

G1Point = NewType("G1Point", object)
"""A point of the subgroup of prime order in G1, in the form of its library; keys lie there."""
G2Point = NewType("G2Point", object)
"""The same in G2; signatures lie there."""
AnyPoint = TypeVar("AnyPoint", G1Point, G2Point)

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Of both groups; scalars are integers modulo this prime."""
G1_GENERATOR: Final = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
    "6c55e83ff97a1aeffb3af00adb22c6bb"
)
G2_GENERATOR: Final = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049"
    "334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051"
    "c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
G1_INFINITY: Final = b"\xc0" + bytes(G1_SIZE_BYTES - 1)
G2_INFINITY: Final = b"\xc0" + bytes(G2_SIZE_BYTES - 1)
_BUCKETS_FROM: Final = 8
"""Points from which the bucket method takes less time than one product after the other."""


class Curve(Protocol):
    """The groups and their pairing."""

    @property
    def name(self) -> str:
        """The library's, for people."""
        ...

    @property
    def generator_g1(self) -> G1Point:
        """The standard's generator of G1."""
        ...

    @property
    def generator_g2(self) -> G2Point:
        """The standard's generator of G2."""
        ...

    def decode_g1(self, data: bytes) -> G1Point:
        """Return the point that ``data`` encodes in 48 bytes, compressed.

        Infinity is refused: no key, commitment or shared point of any protocol here may be it.

        Raises:
            MalformedMessageError: Another length, a coordinate or flag that is not canonical, not
                on the curve, not in the subgroup, or infinity.
        """
        ...

    def decode_g2(self, data: bytes) -> G2Point:
        """Return the point that ``data`` encodes in 96 bytes, as ``decode_g1`` does."""
        ...

    def encode_g1(self, point: G1Point) -> bytes:
        """Return the compressed encoding, 48 bytes; infinity has one, too."""
        ...

    def encode_g2(self, point: G2Point) -> bytes:
        """Return the compressed encoding, 96 bytes; infinity has one, too."""
        ...

    def add(self, left: AnyPoint, right: AnyPoint) -> AnyPoint:
        """Return the sum of two points of one group, equal or not."""
        ...

    def negate(self, point: AnyPoint) -> AnyPoint:
        """Return what added to ``point`` gives infinity."""
        ...

    def multiply(self, point: AnyPoint, scalar: int) -> AnyPoint:
        """Return ``scalar`` times ``point``, for any integer; 0 gives infinity.

        With ``blst_curve`` the time does not depend on the scalar, which may be secret.
        """
        ...

    def hash_to_g2(self, message: bytes, tag: bytes) -> G2Point:
        """Return the point that ``message`` stands for (RFC 9380, BLS12381G2_XMD:SHA-256_SSWU_RO_).

        Args:
            message: Any bytes.
            tag: The domain separation tag, 1 to 255 bytes.
        """
        ...

    def is_one(self, pairs: Sequence[tuple[G1Point, G2Point]]) -> bool:
        """Return whether the product of the pairings of all ``pairs`` is one."""
        ...


def decoded(decode: Callable[[bytes], object], data: bytes, infinity: bytes) -> object:
    """Return the point that a library's ``decode`` finds in ``data``, as ``Curve`` has it refused.

    Args:
        decode: Raises a ValueError if ``data``, of the right length, is no point.
        data: Untrusted bytes.
        infinity: Its encoding in that group.

    Raises:
        MalformedMessageError: Not a point, or infinity.
    """
    if len(data) == len(infinity) and data != infinity:
        try:
            return decode(data)
        except ValueError:
            pass
    raise MalformedMessageError("not a point of the group, or infinity")


def scaled(curve: Curve, point: AnyPoint, number: int) -> AnyPoint:
    """Return ``number`` times ``point``, for a small public number from 1."""
    assert number > 0, "zero times a point is not a small product"
    total = point
    for bit in bin(number)[3:]:
        total = curve.add(total, total)
        if bit == "1":
            total = curve.add(total, point)
    return total


def sum_of_products(curve: Curve, points: Sequence[AnyPoint], scalars: Sequence[int]) -> AnyPoint:
    """Return the sum of ``scalars[i]`` times ``points[i]``.

    Many points are sorted into buckets by each digit of their scalars (Pippenger), which takes a
    time that depends on the scalars: they must be public.
    """
    assert points, "a sum has a first term"
    assert len(points) == len(scalars), "each point has its scalar"
    if len(points) < _BUCKETS_FROM:
        total = curve.multiply(points[0], scalars[0])
        for point, scalar in zip(points[1:], scalars[1:], strict=True):
            total = curve.add(total, curve.multiply(point, scalar))
        return total
    reduced = [scalar % ORDER for scalar in scalars]
    width = 4 if len(points) < 32 else 6
    digits = -(-max(scalar.bit_length() for scalar in reduced) // width)
    mask = (1 << width) - 1
    zero = curve.multiply(points[0], 0)
    result = zero
    for place in range(digits - 1, -1, -1):
        for _ in range(width):
            result = curve.add(result, result)
        chosen = [scalar >> place * width & mask for scalar in reduced]
        result = curve.add(result, _sum_of_digits(curve, points, chosen, mask, zero))
    return result


def _sum_of_digits(
    curve: Curve,
    points: Sequence[AnyPoint],
    digits: Sequence[int],
    digit_max: int,
    zero: AnyPoint,
) -> AnyPoint:
    """Return the sum of ``digits[i]`` times ``points[i]``."""
    buckets = [zero] * (digit_max + 1)
    for point, digit in zip(points, digits, strict=True):
        if digit:
            buckets[digit] = curve.add(buckets[digit], point)
    # From the top, each bucket is counted once for every digit up to its own.
    running = zero
    total = zero
    for digit in range(digit_max, 0, -1):
        running = curve.add(running, buckets[digit])
        total = curve.add(total, running)
    return total
