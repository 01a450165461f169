import pytest

from bftcluster.errors import BadSignatureError
from bftcluster.signing.envelope import Domain, Verified, is_valid, sign, verify
from tests.unit.signing.people import ALICE, BOB, VERIFIER


def test_what_was_verified_carries_its_signer_and_bytes() -> None:
    signature = sign(ALICE, Domain.COMMIT, b"payload")

    verified = verify(VERIFIER, Domain.COMMIT, ALICE.public_key, b"payload", signature, 7)

    assert (verified.value, verified.signer, verified.payload) == (7, ALICE.public_key, b"payload")
    assert verified.signature == signature


def test_a_signature_for_one_domain_verifies_in_no_other() -> None:
    signature = sign(ALICE, Domain.PREPARE, b"payload")

    valid_in = [d for d in Domain if is_valid(VERIFIER, d, ALICE.public_key, b"payload", signature)]

    assert valid_in == [Domain.PREPARE]


def test_no_domain_is_a_prefix_of_another() -> None:
    tags = [domain.value for domain in Domain]

    assert not [(a, b) for a in tags for b in tags if a != b and a.startswith(b)]


def test_somebody_elses_signature_is_refused_by_name_of_the_domain() -> None:
    signature = sign(ALICE, Domain.NEW_VIEW, b"payload")

    with pytest.raises(BadSignatureError, match="bad new-view signature"):
        verify(VERIFIER, Domain.NEW_VIEW, BOB.public_key, b"payload", signature, None)


def test_a_verified_value_cannot_be_made_up() -> None:
    with pytest.raises(AssertionError, match="only signing makes"):
        Verified(1, ALICE.public_key, b"", b"", object())
