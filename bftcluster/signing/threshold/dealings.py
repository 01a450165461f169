"""A dealing: one member's part of a key, shared among all members of an epoch in one message.

The dealer commits to a polynomial (Feldman) and seals its value at i for holder i, under
``H(r * key_i)`` with one r for all: hashed ElGamal. The dealer proves that it has r, bound to this
ceremony and this dealer. Without that proof a dealer could take r * G of an honest one for its own,
seal nonsense, and have the complaints that follow open the honest dealer's shares.

When a key is dealt anew, each member shares a number that it drew. When it is passed on, each old
holder shares its share, whose key everybody knows.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest
from bftcluster.limits import (
    DEALING_SIZE_MAX_BYTES,
    DIGEST_SIZE_BYTES,
    G1_SIZE_BYTES,
    G2_SIZE_BYTES,
    HOLDERS_MAX,
    SCALAR_SIZE_BYTES,
)
from bftcluster.signing.threshold.ciphersuite import has_possession, prove_possession, public_key
from bftcluster.signing.threshold.curve import ORDER, Curve
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.polynomial import commitments_to, polynomial, value_at
from bftcluster.signing.threshold.scalars import decode_scalar, encode_scalar, hash_to_scalar
from bftcluster.signing.threshold.share_key import Registration
from bftcluster.signing.threshold.verdicts import DealingVerdict
from bftcluster.signing.wire import WireFormat, check_items, check_size

_FORMAT: Final = WireFormat(
    "dealing", 1, [bytes, int, list, bytes, bytes, list], DEALING_SIZE_MAX_BYTES
)
_CEREMONY_TAG: Final = b"bftcluster/ceremony/v1\x00"
_EPHEMERAL_TAG: Final = b"bftcluster/dealing-ephemeral/v1"
_PAD_TAG: Final = b"bftcluster/dealing-pad/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What all dealings of one key have in common. Made from replicated state: its own bounds."""

    cluster_id: ClusterId
    number: int
    """Never used twice in a cluster, so that nothing of one ceremony counts in another."""
    threshold: int
    """How many holders will sign for the group: f + 1 of those who vote."""
    holders: tuple[Registration, ...]
    """Who gets shares, holder 1 first. Their registrations were checked."""
    source: GroupKey | None = None
    """The group whose holders pass on its key; None if each holder deals a part of a new one."""
    digest: Digest = field(init=False)
    """SHA-256 that binds all of the above."""

    def __post_init__(self) -> None:
        assert 0 < self.threshold <= len(self.holders) <= HOLDERS_MAX, "holders make a threshold"
        owners = {holder.owner for holder in self.holders}
        assert len(owners) == len(self.holders), "a peer holds one share"
        what = [
            self.cluster_id,
            self.number,
            self.threshold,
            [holder.to_bytes() for holder in self.holders],
            self.source.to_bytes() if self.source else None,
        ]
        digest = hashlib.sha256(_CEREMONY_TAG + codec.encode(what)).digest()
        object.__setattr__(self, "digest", Digest(digest))

    @property
    def dealers(self) -> int:
        """How many may deal: the holders, or those of the source."""
        return len(self.source.public_shares) if self.source else len(self.holders)

    @property
    def dealings_min(self) -> int:
        """How many dealings make the key: at least one is of a correct dealer."""
        return self.source.threshold if self.source else self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing:
    """Commitments to a polynomial, and its values, each sealed for its holder."""

    dealer: int
    """From 1: which holder of a new key, or of the source, deals."""
    ceremony: Digest
    commitments: tuple[bytes, ...]
    """To each coefficient, that of degree 0 first, 48 bytes each."""
    ephemeral: bytes
    """r times the generator, 48 bytes."""
    possession: bytes
    """That the dealer of this ceremony has r, 96 bytes."""
    sealed: tuple[bytes, ...]
    """For holder 1, 2, …: its value plus its pad, 32 bytes each."""

    def __post_init__(self) -> None:
        check_size(self.ceremony, DIGEST_SIZE_BYTES, "ceremony")
        if not 0 < self.dealer <= HOLDERS_MAX:
            raise MalformedMessageError(f"there is no dealer {self.dealer}")
        if not 0 < len(self.commitments) <= len(self.sealed) <= HOLDERS_MAX:
            raise MalformedMessageError("too many or too few shares, or commitments to them")
        for commitment in self.commitments:
            check_size(commitment, G1_SIZE_BYTES, "commitment")
        check_size(self.ephemeral, G1_SIZE_BYTES, "ephemeral key")
        check_size(self.possession, G2_SIZE_BYTES, "proof of possession")
        for each in self.sealed:
            check_size(each, SCALAR_SIZE_BYTES, "sealed share")
            decode_scalar(each)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Dealing":
        """Return the dealing that ``data`` encodes, its points unchecked.

        Raises:
            MalformedMessageError: Not canonical, or of another shape or size.
        """
        ceremony, dealer, commitments, ephemeral, possession, sealed = _FORMAT.read(data)
        return cls(
            ceremony=Digest(ceremony),
            dealer=dealer,
            commitments=check_items(commitments, bytes, "commitment"),
            ephemeral=ephemeral,
            possession=possession,
            sealed=check_items(sealed, bytes, "sealed share"),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _FORMAT.encoded(
            self.ceremony,
            self.dealer,
            list(self.commitments),
            self.ephemeral,
            self.possession,
            list(self.sealed),
        )


def deal(
    curve: Curve, ceremony: Ceremony, dealer: int, entropy: bytes, old_share: int | None = None
) -> Dealing:
    """Return the dealing of ``dealer``: the same each time, so that a restart contradicts nothing.

    Args:
        curve: Whose multiplication hides what it multiplies by.
        ceremony: What is dealt, and for whom.
        dealer: From 1.
        entropy: At least 32 bytes that nobody else knows, for all ceremonies of this dealer.
        old_share: What is passed on, where a key is.
    """
    assert 0 < dealer <= ceremony.dealers, "who deals is one of the dealers"
    assert (old_share is None) == (ceremony.source is None), "a new key has no old shares"
    context = _context_of(ceremony.digest, dealer)
    coefficients = polynomial(entropy, context, threshold=ceremony.threshold, constant=old_share)
    secret = hash_to_scalar(_EPHEMERAL_TAG, entropy, context)
    ephemeral = public_key(curve, secret)
    sealed = []
    for place, holder in enumerate(ceremony.holders, start=1):
        point = curve.encode_g1(curve.multiply(curve.decode_g1(holder.key), secret))
        pad = pad_of(ceremony.digest, dealer, place, ephemeral, point)
        sealed.append(encode_scalar((value_at(coefficients, place) + pad) % ORDER))
    return Dealing(
        ceremony=ceremony.digest,
        dealer=dealer,
        commitments=commitments_to(curve, coefficients),
        ephemeral=ephemeral,
        possession=prove_possession(curve, secret, context),
        sealed=tuple(sealed),
    )


def judge_dealing(curve: Curve, ceremony: Ceremony, dealing: Dealing) -> DealingVerdict:
    """Return whether the public part of ``dealing`` is right; what is sealed only holders see."""
    verdict = judge_form(ceremony, dealing)
    return judge_points(curve, dealing) if verdict is DealingVerdict.ACCEPTED else verdict


def judge_form(ceremony: Ceremony, dealing: Dealing) -> DealingVerdict:
    """Return what is wrong with ``dealing`` as far as comparing tells: it costs next to nothing."""
    if dealing.ceremony != ceremony.digest:
        return DealingVerdict.WRONG_CEREMONY
    if dealing.dealer > ceremony.dealers:
        return DealingVerdict.NOT_A_DEALER
    counts = len(dealing.commitments), len(dealing.sealed)
    if counts != (ceremony.threshold, len(ceremony.holders)):
        return DealingVerdict.WRONG_COUNT
    source = ceremony.source
    if source and dealing.commitments[0] != source.public_shares[dealing.dealer - 1]:
        return DealingVerdict.WRONG_CONSTANT
    return DealingVerdict.ACCEPTED


def judge_points(curve: Curve, dealing: Dealing) -> DealingVerdict:
    """Return what is wrong with the points of ``dealing``, which says itself what it is for."""
    try:
        for commitment in dealing.commitments:
            curve.decode_g1(commitment)
        curve.decode_g1(dealing.ephemeral)
    except MalformedMessageError:
        return DealingVerdict.NO_POINT
    context = _context_of(dealing.ceremony, dealing.dealer)
    if not has_possession(curve, dealing.ephemeral, dealing.possession, context):
        return DealingVerdict.NOT_POSSESSED
    return DealingVerdict.ACCEPTED


def unsealed(dealing: Dealing, holder: int, point: bytes) -> int:
    """Return the value that is sealed for ``holder``, who shares ``point`` with the dealer."""
    pad = pad_of(dealing.ceremony, dealing.dealer, holder, dealing.ephemeral, point)
    return (decode_scalar(dealing.sealed[holder - 1]) - pad) % ORDER


def pad_of(ceremony: Digest, dealer: int, holder: int, ephemeral: bytes, point: bytes) -> int:
    """Return what is added to the value for ``holder``; uniform for who does not know ``point``."""
    places = dealer.to_bytes(4, "big") + holder.to_bytes(4, "big")
    return hash_to_scalar(_PAD_TAG, ceremony, places, ephemeral, point)


def _context_of(ceremony: Digest, dealer: int) -> bytes:
    """Return what drawn secrets and proofs of possession are bound to, 36 bytes.

    A registration's proof is bound to the 32 bytes of its owner: neither passes for the other.
    """
    return ceremony + dealer.to_bytes(4, "big")
