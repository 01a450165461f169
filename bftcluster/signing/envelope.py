"""Signatures with domain separation.

Signed bytes are ``TAG | payload`` where the tag names protocol, version and kind, and the payload
binds the cluster and whatever makes it unique. Receivers verify bytes as received, then decode.
"""

from enum import Enum
from typing import Protocol


class Domain(Enum):
    """What a signature is for. A signature made for one domain verifies in no other."""

    PRE_PREPARE = b"bftcluster/pbft/pre-prepare/v1\x00"
    PREPARE = b"bftcluster/pbft/prepare/v1\x00"
    COMMIT = b"bftcluster/pbft/commit/v1\x00"
    CHECKPOINT = b"bftcluster/pbft/checkpoint/v1\x00"
    VIEW_CHANGE = b"bftcluster/pbft/view-change/v1\x00"
    NEW_VIEW = b"bftcluster/pbft/new-view/v1\x00"
    APPROVAL = b"bftcluster/approval/v2\x00"
    REJECTION = b"bftcluster/rejection/v2\x00"
    REPORT = b"bftcluster/report/v1\x00"
    JOIN = b"bftcluster/join/v1\x00"
    DEAL = b"bftcluster/deal/v1\x00"
    COMPLAIN = b"bftcluster/complain/v1\x00"
    CONTRIBUTE = b"bftcluster/contribute/v1\x00"
    PLEDGE = b"bftcluster/pledge/v1\x00"
    ANSWER = b"bftcluster/answer/v1\x00"
    ATTEST = b"bftcluster/attest/v1\x00"
    REDEEM = b"bftcluster/redeem/v1\x00"
    LEAVE = b"bftcluster/leave/v1\x00"


class Signer(Protocol):
    """Holds one secret key."""

    @property
    def public_key(self) -> bytes:
        """The key others verify with."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature over exactly ``message``."""
        ...


class Verifier(Protocol):
    """Checks signatures under any key."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` over ``message`` was made with the key's secret."""
        ...


def sign(signer: Signer, domain: Domain, payload: bytes) -> bytes:
    """Return the signature of ``payload`` for ``domain``."""
    return signer.sign(domain.value + payload)


def is_valid(
    verifier: Verifier, domain: Domain, public_key: bytes, payload: bytes, signature: bytes
) -> bool:
    """Return whether ``signature`` is ``public_key``'s over ``payload`` for ``domain``."""
    return verifier.verify(public_key, domain.value + payload, signature)
