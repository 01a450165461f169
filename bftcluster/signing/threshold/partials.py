"""Parts of a group's signature: made, checked, and put together.

Any ``threshold`` valid parts give the same signature. It costs one verification to see that it is
right; only if it is not are the parts looked at, to name whose is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import G2_SIZE_BYTES, HOLDERS_MAX, PARTIAL_SIZE_MAX_BYTES
from bftcluster.signing.threshold.ciphersuite import (
    SIGNATURE_TAG,
    blinding,
    culprits,
    is_signature,
    is_signature_point,
    sign_message,
)
from bftcluster.signing.threshold.curve import Curve, G1Point, G2Point, sum_of_products
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.polynomial import lagrange_at_zero
from bftcluster.signing.wire import WireFormat, check_size

_FORMAT: Final = WireFormat("partial", 1, [int, bytes], PARTIAL_SIZE_MAX_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What one holder contributes to the signature of a message that is known otherwise."""

    holder: int
    """From 1."""
    signature: bytes
    """96 bytes."""

    def __post_init__(self) -> None:
        if not 0 < self.holder <= HOLDERS_MAX:
            raise MalformedMessageError(f"there is no holder {self.holder}")
        check_size(self.signature, G2_SIZE_BYTES, "partial signature")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Partial":
        """Return the partial that ``data`` encodes.

        Raises:
            MalformedMessageError: Not canonical, or of another shape or size.
        """
        holder, signature = _FORMAT.read(data)
        return cls(holder=holder, signature=signature)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _FORMAT.encoded(self.holder, self.signature)


@dataclass(frozen=True, slots=True)
class Combination:
    """What became of parts."""

    signature: bytes | None
    """The group's, 96 bytes; None if too few parts are valid."""
    wrong: tuple[int, ...]
    """The holders whose part was seen to be none; not all of them, if the rest was enough."""


def make_partial(curve: Curve, share: int, holder: int, message: bytes) -> Partial:
    """Return the part of the holder of ``share``."""
    return Partial(holder=holder, signature=sign_message(curve, share, message))


def is_point(curve: Curve, partial: Partial) -> bool:
    """Return whether ``partial`` is anybody's part of anything."""
    try:
        curve.decode_g2(partial.signature)
    except MalformedMessageError:
        return False
    return True


def is_partial(curve: Curve, group: GroupKey, message: bytes, partial: Partial) -> bool:
    """Return whether ``partial`` is its holder's part of the signature of ``message``."""
    if partial.holder > len(group.public_shares):
        return False
    key = group.public_shares[partial.holder - 1]
    return is_signature(curve, key, message, partial.signature)


def invalid_partials(
    curve: Curve, group: GroupKey, message: bytes, partials: Mapping[int, Partial]
) -> tuple[int, ...]:
    """Return, sorted, the holders whose part, by holder, is none; two pairings if all are right."""
    holders = sorted(partials)
    points: dict[int, tuple[G1Point, G2Point]] = {}
    for holder in holders:
        assert partials[holder].holder == holder, "parts are kept by their holder"
        if holder > len(group.public_shares):
            continue
        try:
            key = curve.decode_g1(group.public_shares[holder - 1])
            points[holder] = key, curve.decode_g2(partials[holder].signature)
        except MalformedMessageError:
            continue
    factors = blinding(
        message, group.to_bytes(), *(partials[holder].to_bytes() for holder in holders)
    )[2:]
    blinders = dict(zip(holders, factors, strict=True))
    hashed = curve.hash_to_g2(message, SIGNATURE_TAG)

    def hold(suspects: Sequence[int]) -> bool:
        chosen = [blinders[holder] for holder in suspects]
        key = sum_of_products(curve, [points[holder][0] for holder in suspects], chosen)
        signature = sum_of_products(curve, [points[holder][1] for holder in suspects], chosen)
        return is_signature_point(curve, key, hashed, signature)

    wrong = set(culprits(list(points), hold))
    return tuple(holder for holder in holders if holder not in points or holder in wrong)


def combine(
    curve: Curve, group: GroupKey, message: bytes, partials: Mapping[int, Partial]
) -> Combination:
    """Return the group's signature of ``message`` out of the parts, which are given by holder."""
    if len(partials) >= group.threshold:
        signature = _interpolated(curve, partials, sorted(partials)[: group.threshold])
        if signature and is_signature(curve, group.key, message, signature):
            return Combination(signature, ())
    wrong = invalid_partials(curve, group, message, partials)
    right = sorted(set(partials) - set(wrong))
    if len(right) < group.threshold:
        return Combination(None, wrong)
    signature = _interpolated(curve, partials, right[: group.threshold])
    assert signature, "valid parts are points"
    assert is_signature(curve, group.key, message, signature), "valid parts give what is valid"
    return Combination(signature, wrong)


def _interpolated(
    curve: Curve, partials: Mapping[int, Partial], holders: Sequence[int]
) -> bytes | None:
    """Return the value at 0 of the signatures of ``holders``, or None if one is no point."""
    try:
        points = [curve.decode_g2(partials[holder].signature) for holder in holders]
    except MalformedMessageError:
        return None
    return curve.encode_g2(sum_of_products(curve, points, lagrange_at_zero(holders)))
