from dataclasses import replace

import pytest

from bftcluster.errors import BadSignatureError, ThresholdNotMetError, UnknownSignerError
from bftcluster.signing.approvals import ApprovalCertificate, approve, reject
from bftcluster.signing.policies import Policy
from bftcluster.signing.schemes import (
    ApprovedIntent,
    _Proof,
    certify,
    members,
    tally,
    verify_certificate,
)
from tests.unit.signing.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    MAINTAINERS,
    MALLORY,
    POLICY,
    VERIFIER,
    intent_of,
    key,
    policy_of,
)

INTENT = intent_of()
DATA = INTENT.to_bytes()
CERTIFICATE = certify(DATA, [approve(DATA, BOB), approve(DATA, ALICE)], POLICY, VERIFIER)


def test_enough_approvals_in_any_order_make_one_certificate() -> None:
    other = certify(DATA, [approve(DATA, ALICE), approve(DATA, BOB)], POLICY, VERIFIER)

    assert other == CERTIFICATE
    assert len(CERTIFICATE.signatures) == 128


def test_a_certificate_proves_who_approved_what() -> None:
    approved = verify_certificate(CERTIFICATE, POLICY, VERIFIER)

    assert approved.intent == INTENT
    assert approved.approvers == tuple(sorted((ALICE.public_key, BOB.public_key)))


def test_more_approvals_than_needed_are_all_kept() -> None:
    approvals = [approve(DATA, signer) for signer in MAINTAINERS]
    certificate = certify(DATA, approvals, POLICY, VERIFIER)

    assert len(verify_certificate(certificate, POLICY, VERIFIER).approvers) == 3


def test_one_approval_short_of_the_threshold_makes_no_certificate() -> None:
    with pytest.raises(ThresholdNotMetError, match="1 of 2 required") as caught:
        certify(DATA, [approve(DATA, ALICE)], POLICY, VERIFIER)

    assert caught.value.required == 2
    assert caught.value.signers == {ALICE.public_key}


def test_one_maintainer_who_approves_twice_counts_once() -> None:
    with pytest.raises(ThresholdNotMetError):
        certify(DATA, [approve(DATA, ALICE), approve(DATA, ALICE)], POLICY, VERIFIER)


def test_an_approval_by_a_stranger_is_refused_by_name() -> None:
    with pytest.raises(UnknownSignerError, match=r"z6Mk.* is not a maintainer"):
        certify(DATA, [approve(DATA, MALLORY), approve(DATA, ALICE)], POLICY, VERIFIER)


def test_a_rejection_does_not_count_as_an_approval() -> None:
    with pytest.raises(BadSignatureError, match="the approval of bob does not verify"):
        certify(DATA, [approve(DATA, ALICE), reject(DATA, BOB)], POLICY, VERIFIER)


def test_a_tally_tells_how_far_an_intent_has_come() -> None:
    one = tally(DATA, [approve(DATA, CAROL)], POLICY, VERIFIER)
    two = tally(DATA, [approve(DATA, CAROL), approve(DATA, BOB)], POLICY, VERIFIER)

    assert (one.required, one.signed, one.is_complete) == (2, (CAROL.public_key,), False)
    assert one.missing == tuple(sorted((ALICE.public_key, BOB.public_key)))
    assert two.is_complete


@pytest.mark.parametrize("signers", [b"", b"\x03\x00", b"\x08", b"\x83"])
def test_a_bitmap_that_does_not_fit_the_policy_is_refused(signers: bytes) -> None:
    with pytest.raises(UnknownSignerError, match="bitmap does not fit 3 maintainers"):
        members(signers, POLICY)


def test_nine_maintainers_take_two_bytes_of_bitmap() -> None:
    keys = [key(f"maintainer {number}") for number in range(9)]
    policy = policy_of(*keys, threshold=1)

    assert members(b"\x01\x01", policy) == (
        policy.maintainers[0].key,
        policy.maintainers[8].key,
    )


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17])
def test_any_number_of_maintainers_can_all_sign(count: int) -> None:
    keys = [key(f"maintainer {number}") for number in range(count)]
    policy = policy_of(*keys, threshold=count)
    data = intent_of(policy=policy).to_bytes()

    certificate = certify(data, [approve(data, each) for each in keys], policy, VERIFIER)

    assert len(certificate.signers) == (1 if count <= 8 else 2 if count <= 16 else 3)
    approvers = verify_certificate(certificate, policy, VERIFIER).approvers
    assert approvers == tuple(sorted(each.public_key for each in keys))


def test_a_bit_less_is_a_signer_too_few() -> None:
    with pytest.raises(ThresholdNotMetError):
        verify_certificate(replace(CERTIFICATE, signers=b"\x01"), POLICY, VERIFIER)


@pytest.mark.parametrize("signatures", [CERTIFICATE.signatures[:-1], CERTIFICATE.signatures * 2])
def test_one_signature_per_bit_and_nothing_more(signatures: bytes) -> None:
    with pytest.raises(BadSignatureError, match="bytes of signatures for 2 signers"):
        verify_certificate(replace(CERTIFICATE, signatures=signatures), POLICY, VERIFIER)


def test_signatures_in_another_order_than_the_bits_do_not_verify() -> None:
    swapped = CERTIFICATE.signatures[64:] + CERTIFICATE.signatures[:64]

    with pytest.raises(BadSignatureError, match="does not verify"):
        verify_certificate(replace(CERTIFICATE, signatures=swapped), POLICY, VERIFIER)


def test_a_single_flipped_bit_is_noticed() -> None:
    flipped = bytes((CERTIFICATE.signatures[0] ^ 1,)) + CERTIFICATE.signatures[1:]

    with pytest.raises(BadSignatureError):
        verify_certificate(replace(CERTIFICATE, signatures=flipped), POLICY, VERIFIER)


@pytest.mark.parametrize(
    "policy", [policy_of(*MAINTAINERS, version=2), policy_of(ALICE, BOB, DAVE)]
)
def test_a_certificate_counts_under_the_policy_it_was_made_for(policy: Policy) -> None:
    with pytest.raises(UnknownSignerError, match="another policy"):
        verify_certificate(CERTIFICATE, policy, VERIFIER)


def test_a_certificate_of_another_scheme_than_the_policys_is_refused() -> None:
    certificate = replace(CERTIFICATE, scheme="none-at-all")

    with pytest.raises(UnknownSignerError, match="takes ed25519-multisig, not none-at-all"):
        verify_certificate(certificate, POLICY, VERIFIER)


def test_a_policy_with_a_scheme_that_this_version_lacks_accepts_nothing() -> None:
    policy = policy_of(*MAINTAINERS, scheme="bls-from-the-future")
    data = intent_of(policy=policy).to_bytes()
    certificate = ApprovalCertificate(
        intent=data, scheme=policy.scheme, signers=b"\x03", signatures=bytes(96)
    )

    with pytest.raises(UnknownSignerError, match="unknown approval scheme"):
        verify_certificate(certificate, policy, VERIFIER)


def test_an_approved_intent_cannot_be_made_up() -> None:
    with pytest.raises(AssertionError, match="only verify_certificate"):
        ApprovedIntent(INTENT, (), _Proof())
