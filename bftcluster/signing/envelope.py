"""Signatures with domain separation, and the type that says "this was verified".

Signed bytes are ``TAG | payload`` where the tag names protocol, version and kind, and the payload
binds the cluster and whatever makes it unique. Receivers verify bytes as received, then decode.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from bftcluster.errors import BadSignatureError

T = TypeVar("T")


class Domain(Enum):
    """What a signature is for. A signature made for one domain verifies in no other."""

    PRE_PREPARE = b"bftcluster/pbft/pre-prepare/v1\x00"
    PREPARE = b"bftcluster/pbft/prepare/v1\x00"
    COMMIT = b"bftcluster/pbft/commit/v1\x00"
    CHECKPOINT = b"bftcluster/pbft/checkpoint/v1\x00"
    VIEW_CHANGE = b"bftcluster/pbft/view-change/v1\x00"
    NEW_VIEW = b"bftcluster/pbft/new-view/v1\x00"
    STATUS = b"bftcluster/pbft/status/v1\x00"
    APPROVAL = b"bftcluster/approval/v1\x00"
    REJECTION = b"bftcluster/rejection/v1\x00"
    REPORT = b"bftcluster/report/v1\x00"
    JOIN = b"bftcluster/join/v1\x00"


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


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A value whose signature was checked. Made by ``verify`` only."""

    value: T
    signer: bytes
    payload: bytes
    signature: bytes
    _made_by: object

    def __post_init__(self) -> None:
        assert self._made_by is _PROOF, "only signing makes a Verified"


_PROOF = object()


def sign(signer: Signer, domain: Domain, payload: bytes) -> bytes:
    """Return the signature of ``payload`` for ``domain``."""
    return signer.sign(domain.value + payload)


def is_valid(
    verifier: Verifier, domain: Domain, public_key: bytes, payload: bytes, signature: bytes
) -> bool:
    """Return whether ``signature`` is ``public_key``'s over ``payload`` for ``domain``."""
    return verifier.verify(public_key, domain.value + payload, signature)


def verify(
    verifier: Verifier,
    domain: Domain,
    public_key: bytes,
    payload: bytes,
    signature: bytes,
    value: T,
) -> Verified[T]:
    """Return ``value``, decoded from ``payload``, as verified.

    Raises:
        BadSignatureError: The signature is not ``public_key``'s over ``payload``.
    """
    if not is_valid(verifier, domain, public_key, payload, signature):
        raise BadSignatureError(f"bad {domain.name.lower().replace('_', '-')} signature")
    return Verified(value, public_key, payload, signature, _PROOF)
