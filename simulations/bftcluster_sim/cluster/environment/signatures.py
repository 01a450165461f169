"""Signatures that cost a microsecond: keyed hashes, checked by one who knows every key.

Nobody inside a simulation can forge them, as long as its actors sign only through their signers.
"""

import hashlib
from dataclasses import dataclass, replace

from bftcluster.ids import ClusterId
from bftcluster.limits import SIGNATURE_SIZE_BYTES
from bftcluster.pbft.votes import DOMAINS, Vote
from bftcluster.signing.envelope import Signer, sign


@dataclass(frozen=True, slots=True)
class SimSigner:
    """The signer of one simulated key."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        """Return a keyed hash, as long as an Ed25519 signature."""
        return hashlib.blake2b(
            message, key=b"sim" + self.public_key, digest_size=SIGNATURE_SIZE_BYTES
        ).digest()


class SimVerifier:
    """Checks the signatures of ``SimSigner``, and counts how many it was asked for."""

    def __init__(self) -> None:
        self.checks = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Return whether the signer of ``public_key`` made ``signature``."""
        self.checks += 1
        return SimSigner(public_key).sign(message) == signature


def sim_key(index: int) -> bytes:
    """Return the public key of the simulated peer number ``index``."""
    return hashlib.sha256(b"replica %d" % index).digest()


def signed_vote(vote: Vote, signer: Signer, cluster_id: ClusterId) -> Vote:
    """Return ``vote`` with a signature that is valid."""
    return replace(vote, signature=sign(signer, DOMAINS[vote.kind], vote.payload(cluster_id)))
