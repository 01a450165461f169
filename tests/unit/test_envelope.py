"""Domain separation: a signature made for one purpose serves no other."""

from itertools import permutations

import pytest

from bftcluster.errors import BadSignatureError
from bftcluster.signing import envelope
from bftcluster.signing.envelope import Domain, Verified
from bftcluster.signing.keys import Ed25519Verifier, SigningKey

KEY = SigningKey(bytes(32))
VERIFIER = Ed25519Verifier()
PAYLOAD = b"cluster, epoch, view, seq"


def test_a_signature_verifies_in_its_own_domain_only() -> None:
    for domain in Domain:
        signature = envelope.sign(KEY, domain, PAYLOAD)

        accepting = [
            other
            for other in Domain
            if envelope.is_valid(VERIFIER, other, KEY.public_key, PAYLOAD, signature)
        ]
        assert accepting == [domain]


def test_no_tag_is_the_beginning_of_another() -> None:
    for one, other in permutations([domain.value for domain in Domain], 2):
        assert not other.startswith(one)


def test_tags_name_the_project_the_kind_and_a_version_and_end_in_a_zero() -> None:
    for domain in Domain:
        name, zero, rest = domain.value.partition(b"\0")
        parts = name.decode("ascii").split("/")
        assert (zero, rest) == (b"\0", b"")
        assert parts[0] == "bftcluster"
        assert parts[-1].startswith("v")


def test_a_verified_value_carries_who_signed_what() -> None:
    signature = envelope.sign(KEY, Domain.COMMIT, PAYLOAD)

    verified = envelope.verify(
        VERIFIER, Domain.COMMIT, KEY.public_key, PAYLOAD, signature, "the decoded commit"
    )
    assert verified.value == "the decoded commit"
    assert (verified.signer, verified.payload) == (KEY.public_key, PAYLOAD)
    assert verified.signature == signature


def test_a_bad_signature_yields_no_verified_value() -> None:
    signature = envelope.sign(KEY, Domain.COMMIT, PAYLOAD)

    for payload, signed in ((PAYLOAD + b"!", signature), (PAYLOAD, signature[:-1] + b"\0")):
        with pytest.raises(BadSignatureError, match="bad view-change signature"):
            envelope.verify(VERIFIER, Domain.VIEW_CHANGE, KEY.public_key, payload, signed, None)


def test_verified_values_cannot_be_made_by_hand() -> None:
    with pytest.raises(AssertionError, match="only signing"):
        Verified("forged", KEY.public_key, PAYLOAD, bytes(64), object())
