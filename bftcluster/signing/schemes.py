"""Turns approvals into a certificate, and judges certificates: one registry, many schemes.

``ed25519-multisig`` is a bitmap and a plain list of signatures: stateless, offline, in any order,
and it shows for ever who approved. TUF and Sigstore's root signing chose the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bftcluster.errors import BadSignatureError, ThresholdNotMetError, UnknownSignerError
from bftcluster.ids import Digest, MaintainerId
from bftcluster.limits import SIGNATURE_SIZE_BYTES
from bftcluster.signing.approvals import (
    Approval,
    ApprovalCertificate,
    Intent,
    intent_digest,
    is_valid_vote,
    signed_payload,
)
from bftcluster.signing.envelope import Domain, Verifier, is_valid
from bftcluster.signing.keys import maintainer_text
from bftcluster.signing.policies import ED25519_MULTISIG, Policy


class _Proof:
    """Held by this module only."""


@dataclass(frozen=True, slots=True)
class ApprovedIntent:
    """An intent that enough maintainers of its policy approved. Made by ``verify_certificate``."""

    intent: Intent
    approvers: tuple[MaintainerId, ...]
    """Whose signatures verified, sorted by key."""
    _made_by: _Proof

    def __post_init__(self) -> None:
        assert self._made_by is _PROOF, "only verify_certificate makes an ApprovedIntent"


_PROOF: Final = _Proof()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationResult:
    """How far a collection of approvals has come. Maintainers are sorted by key."""

    required: int
    signed: tuple[MaintainerId, ...]
    """Whose approval verified."""
    missing: tuple[MaintainerId, ...]
    """Who could still approve."""

    @property
    def is_complete(self) -> bool:
        """Whether these are enough for a certificate."""
        return len(self.signed) >= self.required


class ApprovalScheme(Protocol):
    """One way to prove that t of n maintainers approved."""

    def combine(
        self, intent: bytes, approvals: Mapping[MaintainerId, bytes], policy: Policy
    ) -> ApprovalCertificate:
        """Return the certificate of these verified approvals, given as key to signature."""
        ...

    def approvers(
        self, certificate: ApprovalCertificate, intent: Digest, policy: Policy, verifier: Verifier
    ) -> tuple[MaintainerId, ...]:
        """Return who approved the certificate's ``intent``, after checking every signature.

        Raises:
            SigningError: Anything but at least ``threshold`` valid signatures in exact form.
        """
        ...


class Ed25519Multisig:
    """A bitmap over the policy's maintainers, then one signature per bit, in order."""

    def combine(
        self, intent: bytes, approvals: Mapping[MaintainerId, bytes], policy: Policy
    ) -> ApprovalCertificate:
        """See ``ApprovalScheme``."""
        signers = bytearray((len(policy.maintainers) + 7) // 8)
        ordered = sorted(approvals)
        for key in ordered:
            index = policy.positions[key]
            signers[index // 8] |= 1 << index % 8
        return ApprovalCertificate(
            intent=intent,
            scheme=ED25519_MULTISIG,
            signers=bytes(signers),
            signatures=b"".join(approvals[key] for key in ordered),
        )

    def approvers(
        self, certificate: ApprovalCertificate, intent: Digest, policy: Policy, verifier: Verifier
    ) -> tuple[MaintainerId, ...]:
        """See ``ApprovalScheme``."""
        keys = members(certificate.signers, policy)
        if len(keys) < policy.threshold:
            raise ThresholdNotMetError(required=policy.threshold, signers=keys)
        signatures = certificate.signatures
        if len(signatures) != SIGNATURE_SIZE_BYTES * len(keys):
            raise BadSignatureError(
                f"{len(signatures)} bytes of signatures for {len(keys)} signers"
            )
        payload = signed_payload(intent, ED25519_MULTISIG)
        for index, key in enumerate(keys):
            start = index * SIGNATURE_SIZE_BYTES
            signature = signatures[start : start + SIGNATURE_SIZE_BYTES]
            if not is_valid(verifier, Domain.APPROVAL, key, payload, signature):
                raise BadSignatureError(f"the signature of {policy.name_of(key)} does not verify")
        return keys


SCHEMES: Final[Mapping[str, ApprovalScheme]] = {ED25519_MULTISIG: Ed25519Multisig()}
"""By the name that policies, certificates and signed bytes carry."""


def verify_certificate(
    certificate: ApprovalCertificate, policy: Policy, verifier: Verifier
) -> ApprovedIntent:
    """Return the approved intent, if the certificate proves it under ``policy``.

    Time, replay and the cluster are for the ledger to judge.

    Raises:
        MalformedMessageError: The intent's bytes are none.
        UnknownSignerError: Another policy's or scheme's certificate, or a stray signer bit.
        ThresholdNotMetError: Too few distinct signers.
        BadSignatureError: A signature is wrong, missing or superfluous.
    """
    intent = Intent.from_bytes(certificate.intent)
    approvers = verify_signatures(certificate, intent, policy, verifier)
    return ApprovedIntent(intent, approvers, _PROOF)


def verify_signatures(
    certificate: ApprovalCertificate, intent: Intent, policy: Policy, verifier: Verifier
) -> tuple[MaintainerId, ...]:
    """Return who approved ``intent``, the decoded form of the certificate's.

    Raises:
        SigningError: As ``verify_certificate``.
    """
    assert intent.encoded is certificate.intent, "the intent was decoded from this certificate"
    if (intent.policy_version, intent.policy_hash) != (policy.version, policy.hash):
        raise UnknownSignerError(f"approved under another policy than version {policy.version}")
    if certificate.scheme != policy.scheme:
        raise UnknownSignerError(f"the policy takes {policy.scheme}, not {certificate.scheme}")
    return scheme_of(policy).approvers(certificate, intent.digest, policy, verifier)


def scheme_of(policy: Policy) -> ApprovalScheme:
    """Return the policy's scheme.

    Raises:
        UnknownSignerError: This version does not have it.
    """
    scheme = SCHEMES.get(policy.scheme)
    if scheme is None:
        raise UnknownSignerError(f"unknown approval scheme {policy.scheme!r}")
    return scheme


def tally(
    intent: bytes, approvals: Iterable[Approval], policy: Policy, verifier: Verifier
) -> VerificationResult:
    """Return how far ``approvals`` have come; the same maintainer counts once.

    Raises:
        UnknownSignerError: One is not a maintainer of ``policy``.
        BadSignatureError: One does not verify.
    """
    signed = _checked(intent, approvals, policy, verifier)
    return VerificationResult(
        required=policy.threshold,
        signed=tuple(sorted(signed)),
        missing=tuple(key for key in policy.positions if key not in signed),
    )


def certify(
    intent: bytes, approvals: Iterable[Approval], policy: Policy, verifier: Verifier
) -> ApprovalCertificate:
    """Return the certificate that ``approvals`` of one intent make.

    Raises:
        UnknownSignerError: One is not a maintainer of ``policy``.
        BadSignatureError: One does not verify.
        ThresholdNotMetError: Too few distinct ones.
    """
    signed = _checked(intent, approvals, policy, verifier)
    if len(signed) < policy.threshold:
        raise ThresholdNotMetError(required=policy.threshold, signers=signed)
    return scheme_of(policy).combine(intent, signed, policy)


def members(signers: bytes, policy: Policy) -> tuple[MaintainerId, ...]:
    """Return the maintainers whose bit is set, sorted by key.

    Raises:
        UnknownSignerError: Not exactly one bit per maintainer.
    """
    n = len(policy.maintainers)
    bits = int.from_bytes(signers, "little")
    if len(signers) != (n + 7) // 8 or bits >> n:
        raise UnknownSignerError(f"the signer bitmap does not fit {n} maintainers")
    return tuple(maintainer.key for i, maintainer in enumerate(policy.maintainers) if bits >> i & 1)


def _checked(
    intent: bytes, approvals: Iterable[Approval], policy: Policy, verifier: Verifier
) -> dict[MaintainerId, bytes]:
    signed: dict[MaintainerId, bytes] = {}
    digest = intent_digest(intent)
    for approval in approvals:
        key = approval.maintainer
        if key not in policy.positions:
            raise UnknownSignerError(f"{maintainer_text(key)} is not a maintainer of this cluster")
        if not is_valid_vote(approval, Domain.APPROVAL, digest, policy.scheme, verifier):
            raise BadSignatureError(f"the approval of {policy.name_of(key)} does not verify")
        signed[key] = approval.signature
    return signed
