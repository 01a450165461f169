"""An intent, and the approvals under it: to do one operation, once, in one cluster, within a time.

An intent can be approved on several machines, in any order and days apart; ``threshold`` approvals
make a certificate (``signing.schemes``). An approval says yes, a rejection no; both sign the
scheme's name and the intent's digest, in different domains, so that neither can be passed off as
the other. Whoever has a vote can therefore check it, knowing neither the intent nor the policy.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest, MaintainerId
from bftcluster.limits import (
    DIGEST_SIZE_BYTES,
    INTENT_LIFETIME_MAX_MS,
    INTENT_NONCE_SIZE_BYTES,
    INTENT_SIZE_MAX_BYTES,
    MAINTAINERS_MAX,
    OPERATION_SIZE_MAX_BYTES,
    PUBLIC_KEY_SIZE_BYTES,
    SCHEME_NAME_MAX_CHARS,
    SIGNATURE_SIZE_BYTES,
    TIME_MAX_MS,
)
from bftcluster.signing.envelope import Domain, Signer, Verifier, is_valid, sign
from bftcluster.signing.policies import ED25519_MULTISIG
from bftcluster.signing.wire import check_array, check_size, read_array

_INTENT_VERSION: Final = 1
_INTENT_SHAPE: Final[list[type]] = [int, bytes, int, bytes, bytes, bytes, int, int]


@dataclass(slots=True, init=False, unsafe_hash=True)
class Intent:
    """One operation that maintainers agree to, bound to a cluster, a policy and a time.

    Times are unix milliseconds and are judged by the batch's timestamp. The nonce makes two intents
    differ that are otherwise equal; a used intent cannot be used again.
    """

    cluster_id: Final[ClusterId]
    policy_version: Final[int]
    policy_hash: Final[Digest]
    operation: Final[bytes]
    """The operation's canonical encoding; opaque here."""
    nonce: Final[bytes]
    """16 random bytes."""
    not_before_ms: Final[int]
    expires_ms: Final[int]
    """First millisecond at which it no longer counts."""
    encoded: bytes = field(compare=False, repr=False)
    """The canonical encoding: what is signed."""
    digest: Digest = field(init=False, compare=False)
    """SHA-256 of ``encoded``: the intent's name."""

    def __init__(
        self,
        *,
        cluster_id: ClusterId,
        policy_version: int,
        policy_hash: Digest,
        operation: bytes,
        nonce: bytes,
        not_before_ms: int,
        expires_ms: int,
        encoded: bytes = b"",
    ) -> None:
        self.cluster_id = cluster_id
        self.policy_version = policy_version
        self.policy_hash = policy_hash
        self.operation = operation
        self.nonce = nonce
        self.not_before_ms = not_before_ms
        self.expires_ms = expires_ms
        self._check()
        self.encoded = encoded or codec.encode(self._wire())
        self.digest = intent_digest(self.encoded)

    def _check(self) -> None:
        check_size(self.cluster_id, DIGEST_SIZE_BYTES, "cluster id")
        check_size(self.policy_hash, DIGEST_SIZE_BYTES, "policy hash")
        check_size(self.nonce, INTENT_NONCE_SIZE_BYTES, "nonce")
        if len(self.operation) > OPERATION_SIZE_MAX_BYTES:
            raise MalformedMessageError(f"an operation of {len(self.operation)} bytes")
        if not 0 <= self.not_before_ms < self.expires_ms <= TIME_MAX_MS:
            raise MalformedMessageError("an intent must expire after it becomes valid")
        if self.expires_ms - self.not_before_ms > INTENT_LIFETIME_MAX_MS:
            days = INTENT_LIFETIME_MAX_MS // 86_400_000
            raise MalformedMessageError(f"an intent is valid for at most {days} days")

    def _wire(self) -> list[Any]:
        return [
            _INTENT_VERSION,
            self.cluster_id,
            self.policy_version,
            self.policy_hash,
            self.operation,
            self.nonce,
            self.not_before_ms,
            self.expires_ms,
        ]

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return self.encoded

    @classmethod
    def from_bytes(cls, data: bytes) -> "Intent":
        """Return the intent that ``data`` encodes.

        Raises:
            MalformedMessageError: It encodes none.
        """
        items = read_array(data, _INTENT_SHAPE, "intent", size_max_bytes=INTENT_SIZE_MAX_BYTES)
        version, cluster_id, policy_version, policy_hash, operation, nonce, begin, end = items
        if version != _INTENT_VERSION:
            raise MalformedMessageError(f"intent version {version}")
        return Intent(
            cluster_id=ClusterId(cluster_id),
            policy_version=policy_version,
            policy_hash=Digest(policy_hash),
            operation=operation,
            nonce=nonce,
            not_before_ms=begin,
            expires_ms=end,
            encoded=data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One maintainer's signature over an intent: a yes or, in the other domain, a no."""

    maintainer: MaintainerId
    signature: bytes

    def __post_init__(self) -> None:
        check_size(self.maintainer, PUBLIC_KEY_SIZE_BYTES, "a maintainer's key")
        check_size(self.signature, SIGNATURE_SIZE_BYTES, "a signature")


@dataclass(slots=True, init=False, unsafe_hash=True)
class ApprovalCertificate:
    """Enough approvals of one intent, in the compact form of its scheme.

    Only its shape is checked here; ``schemes.verify_certificate`` judges it.
    """

    intent: Final[bytes]
    scheme: Final[str]
    signers: Final[bytes]
    """Bit ``i % 8`` of byte ``i // 8`` is the policy's maintainer ``i``; no byte too many."""
    signatures: Final[bytes]
    """In the order of the bits; how long is the scheme's business."""

    def __init__(self, *, intent: bytes, scheme: str, signers: bytes, signatures: bytes) -> None:
        if len(intent) > INTENT_SIZE_MAX_BYTES:
            raise MalformedMessageError(f"an intent of {len(intent)} bytes")
        check_scheme(scheme)
        if not 1 <= len(signers) <= MAINTAINERS_MAX // 8:
            raise MalformedMessageError(f"a bitmap of {len(signers)} bytes")
        if len(signatures) > MAINTAINERS_MAX * SIGNATURE_SIZE_BYTES:
            raise MalformedMessageError(f"signatures of {len(signatures)} bytes")
        self.intent = intent
        self.scheme = scheme
        self.signers = signers
        self.signatures = signatures

    def to_wire(self) -> list[Any]:
        """Return the array ``[intent, scheme, signers, signatures]``."""
        return [self.intent, self.scheme, self.signers, self.signatures]

    @classmethod
    def from_wire(cls, value: object) -> "ApprovalCertificate":
        """Return the certificate in a decoded array.

        Raises:
            MalformedMessageError: It is none.
        """
        shape: list[type] = [bytes, str, bytes, bytes]
        intent, scheme, signers, signatures = check_array(value, shape, "certificate")
        return ApprovalCertificate(
            intent=intent, scheme=scheme, signers=signers, signatures=signatures
        )


def approve(intent: bytes, signer: Signer, *, scheme: str = ED25519_MULTISIG) -> Approval:
    """Return the signer's yes to an encoded intent, for certificates of ``scheme``."""
    signature = sign(signer, Domain.APPROVAL, signed_payload(intent_digest(intent), scheme))
    return Approval(maintainer=MaintainerId(signer.public_key), signature=signature)


def reject(intent: bytes, signer: Signer, *, scheme: str = ED25519_MULTISIG) -> Approval:
    """Return the signer's no to an encoded intent."""
    signature = sign(signer, Domain.REJECTION, signed_payload(intent_digest(intent), scheme))
    return Approval(maintainer=MaintainerId(signer.public_key), signature=signature)


def is_valid_vote(
    approval: Approval, domain: Domain, digest: Digest, scheme: str, verifier: Verifier
) -> bool:
    """Return whether the signature is its maintainer's yes (APPROVAL) or no (REJECTION).

    Args:
        approval: Who is said to have signed, and the signature.
        domain: Yes or no.
        digest: The intent's.
        scheme: The name that was signed with it.
        verifier: Checks signatures.
    """
    payload = signed_payload(digest, scheme)
    return is_valid(verifier, domain, approval.maintainer, payload, approval.signature)


def intent_digest(intent: bytes) -> Digest:
    """Return the name of an encoded intent: SHA-256."""
    return Digest(hashlib.sha256(intent).digest())


def signed_payload(digest: Digest, scheme: str) -> bytes:
    """Return what follows the domain's tag under a signature: ``[scheme, digest]``."""
    return codec.encode([scheme, digest])


def check_scheme(scheme: str) -> None:
    """Return if ``scheme`` may be a scheme's name.

    Raises:
        MalformedMessageError: It is empty or too long.
    """
    if not 1 <= len(scheme) <= SCHEME_NAME_MAX_CHARS:
        raise MalformedMessageError(f"a scheme's name has 1 to {SCHEME_NAME_MAX_CHARS} characters")
