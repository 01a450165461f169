import hashlib

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.signing.approvals import (
    Approval,
    ApprovalCertificate,
    Intent,
    approve,
    is_valid_vote,
    reject,
)
from bftcluster.signing.envelope import Domain
from tests.unit.signing.people import ALICE, BOB, DAY_MS, START_MS, VERIFIER, intent_of

SCHEME = "ed25519-multisig"


def test_an_intent_survives_its_encoding() -> None:
    intent = intent_of(b"\x81\x01")
    again = Intent.from_bytes(intent.to_bytes())

    assert again == intent
    assert again.digest == intent.digest


def test_intents_that_differ_in_the_nonce_only_have_different_names() -> None:
    assert intent_of(nonce=1).digest != intent_of(nonce=2).digest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cluster_id": b"c"}, "cluster id"),
        ({"policy_hash": b"h" * 33}, "policy hash"),
        ({"nonce": 0, "operation": bytes(65537)}, "operation of 65537 bytes"),
        ({"expires_ms": START_MS}, "expire after"),
        ({"not_before_ms": -1}, "expire after"),
        ({"expires_ms": 1 << 54}, "expire after"),
        ({"expires_ms": START_MS + 401 * DAY_MS}, "at most 400 days"),
    ],
)
def test_an_intent_outside_the_limits_is_refused(changes: dict, reason: str) -> None:
    with pytest.raises(MalformedMessageError, match=reason):
        intent_of(**changes)


def test_a_nonce_of_another_size_is_refused() -> None:
    items = codec.decode(intent_of().to_bytes())
    items[5] = b"short"

    with pytest.raises(MalformedMessageError, match="nonce of 5 bytes"):
        Intent.from_bytes(codec.encode(items))


def test_an_intent_of_another_version_is_refused() -> None:
    items = codec.decode(intent_of().to_bytes())

    with pytest.raises(MalformedMessageError, match="version 2"):
        Intent.from_bytes(codec.encode([2, *items[1:]]))


def test_an_approval_is_valid_for_exactly_what_was_signed() -> None:
    intent, other = intent_of(nonce=1), intent_of(nonce=2)
    yes = approve(intent.to_bytes(), ALICE)

    assert is_valid_vote(yes, Domain.APPROVAL, intent.digest, SCHEME, VERIFIER)
    assert not is_valid_vote(yes, Domain.APPROVAL, other.digest, SCHEME, VERIFIER)
    assert not is_valid_vote(yes, Domain.APPROVAL, intent.digest, "another-scheme", VERIFIER)


def test_what_is_signed_is_the_scheme_and_the_digest_of_the_intent() -> None:
    intent = intent_of()
    payload = codec.encode([SCHEME, hashlib.sha256(intent.to_bytes()).digest()])

    by_hand = ALICE.sign(b"bftcluster/approval/v2\x00" + payload)

    assert by_hand == approve(intent.to_bytes(), ALICE).signature


def test_a_yes_is_not_a_no() -> None:
    intent, digest = intent_of().to_bytes(), intent_of().digest
    yes, no = approve(intent, ALICE), reject(intent, ALICE)

    assert not is_valid_vote(yes, Domain.REJECTION, digest, SCHEME, VERIFIER)
    assert not is_valid_vote(no, Domain.APPROVAL, digest, SCHEME, VERIFIER)
    assert is_valid_vote(no, Domain.REJECTION, digest, SCHEME, VERIFIER)


def test_nobody_approves_for_somebody_else() -> None:
    intent = intent_of().to_bytes()
    forged = Approval(maintainer=BOB.public_key, signature=approve(intent, ALICE).signature)

    assert not is_valid_vote(forged, Domain.APPROVAL, intent_of().digest, SCHEME, VERIFIER)


@pytest.mark.parametrize(("key", "signature"), [(31, 64), (32, 63)])
def test_an_approval_has_a_key_and_a_signature_of_the_right_size(key: int, signature: int) -> None:
    with pytest.raises(MalformedMessageError):
        Approval(maintainer=bytes(key), signature=bytes(signature))


def test_a_certificate_survives_its_encoding() -> None:
    certificate = ApprovalCertificate(
        intent=b"i", scheme=SCHEME, signers=b"\x03", signatures=bytes(128)
    )

    assert ApprovalCertificate.from_wire(certificate.to_wire()) == certificate


@pytest.mark.parametrize(
    "changes",
    [
        {"intent": bytes(1 << 17)},
        {"scheme": ""},
        {"scheme": "x" * 65},
        {"signers": b""},
        {"signers": bytes(33)},
        {"signatures": bytes(64 * 256 + 1)},
    ],
)
def test_a_certificate_outside_the_limits_is_refused(changes: dict) -> None:
    fields = {"intent": b"", "scheme": SCHEME, "signers": b"\x01", "signatures": b""}

    with pytest.raises(MalformedMessageError):
        ApprovalCertificate(**(fields | changes))


@pytest.mark.parametrize("value", [None, [], [b"", "", b"\x01", 4], {}, (b"", "", b"\x01", b"")])
def test_a_value_of_another_shape_is_no_certificate(value: object) -> None:
    with pytest.raises(MalformedMessageError, match="shape"):
        ApprovalCertificate.from_wire(value)


def test_the_limits_themselves_are_allowed() -> None:
    longest = intent_of(bytes(65536), not_before_ms=0, expires_ms=400 * DAY_MS)
    certificate = ApprovalCertificate(
        intent=longest.to_bytes(), scheme=SCHEME, signers=bytes(32), signatures=bytes(64 * 256)
    )

    assert Intent.from_bytes(certificate.intent) == longest
