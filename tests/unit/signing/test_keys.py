import pytest

from bftcluster.errors import UsageError
from bftcluster.signing.keys import (
    Ed25519Verifier,
    SigningKey,
    maintainer_text,
    parse_maintainer,
    parse_peer_id,
    peer_id_text,
)

# RFC 8032, section 7.1, test 3
SEED = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
IDENTITY = b"\x01" + bytes(31)
"""The encoding of the neutral point: a key and commitment of small order."""


def test_the_vector_of_the_rfc_is_reproduced() -> None:
    key = SigningKey(SEED)

    assert key.public_key == PUBLIC
    assert key.sign(b"\xaf\x82") == SIGNATURE
    assert Ed25519Verifier().verify(PUBLIC, b"\xaf\x82", SIGNATURE)


def test_any_other_message_key_or_signature_does_not_verify() -> None:
    verifier = Ed25519Verifier()

    assert not verifier.verify(PUBLIC, b"\xaf\x83", SIGNATURE)
    assert not verifier.verify(SigningKey(bytes(32)).public_key, b"\xaf\x82", SIGNATURE)
    assert not verifier.verify(PUBLIC, b"\xaf\x82", SIGNATURE[:-1] + b"\x0b")
    assert not verifier.verify(PUBLIC[1:], b"\xaf\x82", SIGNATURE)
    assert not verifier.verify(PUBLIC, b"\xaf\x82", SIGNATURE[1:])


def test_the_forgery_with_a_small_order_key_that_other_libraries_accept_is_refused() -> None:
    forged = IDENTITY + bytes(32)

    assert not Ed25519Verifier().verify(IDENTITY, b"any message", forged)


def test_a_scalar_that_is_not_reduced_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(SIGNATURE[32:], "little") + order
    malleated = SIGNATURE[:32] + scalar.to_bytes(32, "little")

    assert not Ed25519Verifier().verify(PUBLIC, b"\xaf\x82", malleated)


def test_a_signing_key_never_prints_its_secret() -> None:
    key = SigningKey(SEED)

    assert repr(key) == f"SigningKey({maintainer_text(key.public_key)})"


def test_peer_ids_survive_their_text_form() -> None:
    text = peer_id_text(PUBLIC)

    assert text.startswith("12D3KooW")
    assert parse_peer_id(text) == PUBLIC


def test_maintainer_keys_survive_their_text_form() -> None:
    text = maintainer_text(PUBLIC)

    assert text.startswith("z6Mk")
    assert parse_maintainer(text) == PUBLIC


@pytest.mark.parametrize(
    "text", ["", "12D3KooW", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdW", "0", "1" * 200]
)
def test_text_that_is_no_peer_id_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError, match="not a peer id") as caught:
        parse_peer_id(text)

    assert "12D3KooW" in caught.value.hint


@pytest.mark.parametrize("text", ["", "z", "z6Mk", "6Mk", "zzzz", peer_id_text(PUBLIC)])
def test_text_that_is_no_maintainer_key_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError, match="not a maintainer key") as caught:
        parse_maintainer(text)

    assert "z6Mk" in caught.value.hint
