"""Ed25519: the standard's vectors, what forgers try, and the text forms of keys."""

import nacl.bindings
import pytest

from bftcluster.errors import UsageError
from bftcluster.ids import MaintainerId, PeerId
from bftcluster.signing import keys
from bftcluster.signing.keys import Ed25519Verifier, SigningKey

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the subgroup that Ed25519 signs in (RFC 8032, section 5.1)."""

RFC_8032 = [  # section 7.1: seed, public key, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
SMALL_ORDER_POINTS = [
    "0100000000000000000000000000000000000000000000000000000000000000",  # the identity
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # order 2
    "0000000000000000000000000000000000000000000000000000000000000000",  # order 4
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # order 8
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",  # not canonical from here
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
KEY = SigningKey(bytes(range(32)))
MESSAGE = b"pin it"
SIGNATURE = KEY.sign(MESSAGE)
VERIFIER = Ed25519Verifier()
PEER = PeerId(bytes.fromhex(RFC_8032[0][1]))
PEER_TEXT = "12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV"


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032)
def test_keys_and_signatures_are_those_of_the_standard(
    seed: str, public_key: str, message: str, signature: str
) -> None:
    key = SigningKey(bytes.fromhex(seed))

    assert key.public_key.hex() == public_key
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert VERIFIER.verify(key.public_key, bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize("point", SMALL_ORDER_POINTS)
def test_a_key_of_small_order_signs_nothing(point: str) -> None:
    """With A and R of small order and S = 0 some libraries accept every message."""
    public_key = bytes.fromhex(point)

    for r in SMALL_ORDER_POINTS:
        for message in (b"", MESSAGE, b"another"):
            assert not VERIFIER.verify(public_key, message, bytes.fromhex(r) + bytes(32))


@pytest.mark.parametrize("point", SMALL_ORDER_POINTS)
def test_a_commitment_of_small_order_is_refused_under_an_honest_key(point: str) -> None:
    assert not VERIFIER.verify(KEY.public_key, MESSAGE, bytes.fromhex(point) + SIGNATURE[32:])


def test_a_signature_has_one_form_only() -> None:
    scalar = int.from_bytes(SIGNATURE[32:], "little")

    for other in (scalar + ORDER, scalar + 2 * ORDER, scalar | 1 << 255):
        forged = SIGNATURE[:32] + other.to_bytes(32, "little")
        assert not VERIFIER.verify(KEY.public_key, MESSAGE, forged)


def test_any_flipped_bit_of_a_signature_or_key_refuses_it() -> None:
    assert VERIFIER.verify(KEY.public_key, MESSAGE, SIGNATURE)
    for bit in range(512):
        assert not VERIFIER.verify(KEY.public_key, MESSAGE, _flip(SIGNATURE, bit))
    for bit in range(256):
        assert not VERIFIER.verify(_flip(KEY.public_key, bit), MESSAGE, SIGNATURE)


def test_wrong_sizes_and_messages_are_refused_not_raised() -> None:
    assert not VERIFIER.verify(KEY.public_key, MESSAGE + b"!", SIGNATURE)
    assert not VERIFIER.verify(KEY.public_key, MESSAGE, b"")
    assert not VERIFIER.verify(KEY.public_key, MESSAGE, SIGNATURE[:-1])
    assert not VERIFIER.verify(KEY.public_key, MESSAGE[1:], SIGNATURE + MESSAGE[:1])
    assert not VERIFIER.verify(KEY.public_key[:-1], MESSAGE, SIGNATURE)
    assert not VERIFIER.verify(b"", MESSAGE, SIGNATURE)


def test_a_point_off_the_curve_is_refused() -> None:
    off_curve = next(
        bytes([n]) + bytes(31)
        for n in range(2, 64)
        if not nacl.bindings.crypto_core_ed25519_is_valid_point(bytes([n]) + bytes(31))
    )

    assert not VERIFIER.verify(off_curve, MESSAGE, SIGNATURE)


def test_a_key_does_not_show_its_secret() -> None:
    shown = repr(KEY) + str(KEY) + f"{KEY}"

    assert keys.maintainer_text(MaintainerId(KEY.public_key)) in shown
    assert KEY.seed.hex() not in shown
    assert repr(KEY.seed) not in shown


def test_a_seed_of_another_size_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="32 bytes"):
        SigningKey(bytes(31))


def test_peer_ids_are_libp2ps() -> None:
    assert keys.peer_id_text(PEER) == PEER_TEXT
    assert keys.parse_peer_id(PEER_TEXT) == PEER


def test_maintainers_are_written_as_in_did_key() -> None:
    """The vector is the did:key specification's first Ed25519 example."""
    text = "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
    maintainer = keys.parse_maintainer(text)

    assert maintainer.hex() == "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    assert keys.maintainer_text(maintainer) == text
    assert maintainer == SigningKey(bytes(32)).public_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        PEER_TEXT + "\n",
        " " + PEER_TEXT,
        PEER_TEXT[:-1],
        PEER_TEXT + "1",
        "1" + PEER_TEXT,
        PEER_TEXT.lower(),
        "z" + PEER_TEXT,
        "0" * 52,
        "1" * 10_000,
        "\u00e9" * 52,
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
        keys.maintainer_text(MaintainerId(PEER)),
    ],
)
def test_text_that_is_no_peer_id_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        keys.parse_peer_id(text)

    assert "12D3KooW" in refusal.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "z", "z1", PEER_TEXT, keys.maintainer_text(MaintainerId(PEER)) + "\n", "6Mk" + "1" * 45],
)
def test_text_that_is_no_maintainer_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        keys.parse_maintainer(text)

    assert "z6Mk" in refusal.value.hint


def _flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)
