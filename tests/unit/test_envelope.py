"""Domain separation: a signature made for one purpose serves no other."""

from itertools import permutations

from bftcluster.signing import envelope
from bftcluster.signing.envelope import Domain
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


def test_a_signature_is_bound_to_its_signer_and_every_byte() -> None:
    other = SigningKey(bytes(31) + b"\1")
    signature = envelope.sign(KEY, Domain.COMMIT, PAYLOAD)

    def is_valid(public_key: bytes, payload: bytes, signed: bytes) -> bool:
        return envelope.is_valid(VERIFIER, Domain.COMMIT, public_key, payload, signed)

    assert is_valid(KEY.public_key, PAYLOAD, signature)
    assert not is_valid(other.public_key, PAYLOAD, signature)
    assert not is_valid(KEY.public_key, PAYLOAD + b"!", signature)
    assert not is_valid(KEY.public_key, PAYLOAD, signature[:-1] + b"\0")
