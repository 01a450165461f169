"""BLS signatures and proofs of possession, BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_.

Source: the CFRG draft "BLS Signatures", sections 2 and 3.3, with the smaller keys. A message has
one valid signature under a key, which is what makes it fit to draw lots with.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.signing.threshold.curve import (
    ORDER,
    Curve,
    G1Point,
    G2Point,
    sum_of_products,
)
from bftcluster.signing.threshold.scalars import bounded

SIGNATURE_TAG: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG: Final = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
_BLINDER_SIZE_BYTES: Final = 16


def public_key(curve: Curve, secret: int) -> bytes:
    """Return the key, 48 bytes, of a secret from 1 to the order."""
    assert 0 < secret < ORDER, "a secret key is a scalar other than 0"
    return curve.encode_g1(curve.multiply(curve.generator_g1, secret))


def sign_message(curve: Curve, secret: int, message: bytes, tag: bytes = SIGNATURE_TAG) -> bytes:
    """Return the one signature, 96 bytes, of ``message`` under the key of ``secret``."""
    assert 0 < secret < ORDER, "a secret key is a scalar other than 0"
    return curve.encode_g2(curve.multiply(curve.hash_to_g2(message, tag), secret))


def is_signature(
    curve: Curve, key: bytes, message: bytes, signature: bytes, tag: bytes = SIGNATURE_TAG
) -> bool:
    """Return whether ``signature`` is ``key``'s of ``message``; malformed ones are not."""
    try:
        key_point, point = curve.decode_g1(key), curve.decode_g2(signature)
    except MalformedMessageError:
        return False
    return is_signature_point(curve, key_point, curve.hash_to_g2(message, tag), point)


def is_signature_point(curve: Curve, key: G1Point, hashed: G2Point, signature: G2Point) -> bool:
    """Return whether ``e(key, hashed) = e(generator, signature)``."""
    return curve.is_one([(key, hashed), (curve.negate(curve.generator_g1), signature)])


def prove_possession(curve: Curve, secret: int, context: bytes = b"") -> bytes:
    """Return the proof, 96 bytes, that we have the secret of our key.

    Without ``context`` it is the ciphersuite's. With one the proof serves in that context only, and
    nobody can show it, and the key, as its own in another.
    """
    return sign_message(curve, secret, public_key(curve, secret) + context, POSSESSION_TAG)


def has_possession(curve: Curve, key: bytes, proof: bytes, context: bytes = b"") -> bool:
    """Return whether ``proof`` shows that somebody has the secret of ``key``."""
    return is_signature(curve, key, key + context, proof, POSSESSION_TAG)


def invalid_signatures(
    curve: Curve, key: bytes, signed: Sequence[tuple[bytes, bytes]]
) -> tuple[int, ...]:
    """Return the positions of the pairs of message and signature that are not ``key``'s.

    All together cost two pairings; the wrong ones are found by halving.
    """
    blinders = blinding(key, *(part for pair in signed for part in pair))
    points: dict[int, G2Point] = {}
    for position, (_, signature) in enumerate(signed):
        try:
            points[position] = curve.decode_g2(signature)
        except MalformedMessageError:
            continue
    try:
        key_point = curve.decode_g1(key)
    except MalformedMessageError:
        return tuple(range(len(signed)))
    hashed = {place: curve.hash_to_g2(signed[place][0], SIGNATURE_TAG) for place in points}

    def hold(places: Sequence[int]) -> bool:
        chosen = [blinders[place] for place in places]
        return is_signature_point(
            curve,
            key_point,
            sum_of_products(curve, [hashed[place] for place in places], chosen),
            sum_of_products(curve, [points[place] for place in places], chosen),
        )

    wrong = set(culprits(list(points), hold))
    return tuple(place for place in range(len(signed)) if place not in points or place in wrong)


def culprits(suspects: Sequence[int], hold: Callable[[Sequence[int]], bool]) -> list[int]:
    """Return, in their order, those of ``suspects`` for which ``hold`` is false.

    ``hold`` says whether all whom it is given are right: it is asked about once for all, and twice
    for each halving behind a wrong one.
    """
    if not suspects or hold(suspects):
        return []
    if len(suspects) == 1:
        return list(suspects)
    middle = len(suspects) // 2
    return culprits(suspects[:middle], hold) + culprits(suspects[middle:], hold)


def blinding(*parts: bytes) -> list[int]:
    """Return a factor of 128 bits for each part, which depends on all of them.

    Sums of signatures hide wrong ones that cancel out, unless each is multiplied by what whoever
    made it could not know. A hash of everything that is judged is that, and the same on all
    replicas: who tries k batches passes one that is wrong with a chance of k in 2**128.
    """
    seed = hashlib.sha256(b"bftcluster/blinding/v1\x00" + bounded(*parts)).digest()
    return [
        1
        + int.from_bytes(
            hashlib.sha256(seed + number.to_bytes(4, "big")).digest()[:_BLINDER_SIZE_BYTES], "big"
        )
        for number in range(len(parts))
    ]
