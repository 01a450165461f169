"""The keys that shares are sealed for: one for each peer, made of its identity's seed.

A registration has the key in both groups, so that anybody can check with a pairing what a member
reveals in a complaint.
"""

from dataclasses import dataclass, field
from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.limits import (
    G1_SIZE_BYTES,
    G2_SIZE_BYTES,
    PUBLIC_KEY_SIZE_BYTES,
    REGISTRATION_SIZE_MAX_BYTES,
)
from bftcluster.signing.threshold.ciphersuite import has_possession, prove_possession, public_key
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.scalars import hash_to_scalar
from bftcluster.signing.wire import WireFormat, check_size

_FORMAT: Final = WireFormat(
    "registration", 1, [bytes, bytes, bytes, bytes], REGISTRATION_SIZE_MAX_BYTES
)
_TAG: Final = b"bftcluster/share-key/v1"


@dataclass(frozen=True, slots=True)
class ShareKey:
    """The secret of one peer's registration; it opens what dealers sealed for that peer."""

    seed: bytes = field(repr=False)
    """Of the peer's identity."""
    secret: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secret", hash_to_scalar(_TAG, self.seed))

    def registration(self, curve: Curve, owner: PeerId) -> "Registration":
        """Return what ``owner`` registers, the same each time."""
        return Registration(
            owner=owner,
            key=public_key(curve, self.secret),
            key_g2=curve.encode_g2(curve.multiply(curve.generator_g2, self.secret)),
            possession=prove_possession(curve, self.secret, owner),
        )

    def shared_point(self, curve: Curve, ephemeral: bytes) -> bytes:
        """Return what only we and the dealer with this ephemeral key can compute, 48 bytes.

        Raises:
            MalformedMessageError: ``ephemeral`` is no point.
        """
        return curve.encode_g1(curve.multiply(curve.decode_g1(ephemeral), self.secret))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A peer's key in both groups, with the proof that this peer has its secret."""

    owner: PeerId
    key: bytes
    """In G1, 48 bytes."""
    key_g2: bytes
    """The same multiple of the generator of G2, 96 bytes."""
    possession: bytes
    """Binds the key to its owner: nobody can register another's."""

    def __post_init__(self) -> None:
        check_size(self.owner, PUBLIC_KEY_SIZE_BYTES, "owner")
        check_size(self.key, G1_SIZE_BYTES, "share key")
        check_size(self.key_g2, G2_SIZE_BYTES, "share key in G2")
        check_size(self.possession, G2_SIZE_BYTES, "proof of possession")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Registration":
        """Return the registration that ``data`` encodes, its proof unchecked.

        Raises:
            MalformedMessageError: Not canonical, or of another shape or size.
        """
        owner, key, key_g2, possession = _FORMAT.read(data)
        return cls(owner=PeerId(owner), key=key, key_g2=key_g2, possession=possession)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _FORMAT.encoded(self.owner, self.key, self.key_g2, self.possession)


def is_registration(curve: Curve, registration: Registration) -> bool:
    """Return whether both keys have one secret, and the owner has it."""
    try:
        key = curve.decode_g1(registration.key)
        key_g2 = curve.decode_g2(registration.key_g2)
    except MalformedMessageError:
        return False
    generator = curve.negate(curve.generator_g1)
    if not curve.is_one([(key, curve.generator_g2), (generator, key_g2)]):
        return False
    return has_possession(curve, registration.key, registration.possession, registration.owner)
