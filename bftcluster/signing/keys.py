"""Ed25519 keys and their text forms. libsodium is the only verifier: mixing libraries can fork.

Others accept signatures that libsodium rejects (small-order points), so a cluster that verified
with two libraries could disagree on validity.
"""

from dataclasses import dataclass, field
from typing import Final

import base58
import nacl.bindings
import nacl.exceptions

from bftcluster.errors import UsageError
from bftcluster.ids import MaintainerId, PeerId
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES, SIGNATURE_SIZE_BYTES

SEED_SIZE_BYTES: Final = 32
_PEER_ID_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of the protobuf of an Ed25519 public key (libp2p peer-ids specification)."""
_MULTIKEY_PREFIX: Final = bytes.fromhex("ed01")
"""Multicodec of an Ed25519 public key (did:key specification)."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair made from a 32-byte seed."""

    seed: bytes
    public_key: bytes = field(init=False)
    """32 bytes."""
    _secret: bytes = field(init=False)

    def __post_init__(self) -> None:
        assert len(self.seed) == SEED_SIZE_BYTES, "an Ed25519 seed has 32 bytes"
        public_key, secret = nacl.bindings.crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "public_key", public_key)
        object.__setattr__(self, "_secret", secret)

    def __repr__(self) -> str:
        """Show which key, never its secret."""
        return f"SigningKey({maintainer_text(MaintainerId(self.public_key))})"

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature; the same one each time."""
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_SIZE_BYTES]


class Ed25519Verifier:
    """The one verifier of the project."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Return whether the signature is valid; malformed keys and signatures are not."""
        if len(public_key) != PUBLIC_KEY_SIZE_BYTES or len(signature) != SIGNATURE_SIZE_BYTES:
            return False
        try:
            nacl.bindings.crypto_sign_open(signature + message, public_key)
        except nacl.exceptions.BadSignatureError:
            return False
        return True


def peer_id_text(peer: PeerId) -> str:
    """Return libp2p's text form, ``12D3KooW…``."""
    return base58.b58encode(_PEER_ID_PREFIX + peer).decode()


def parse_peer_id(text: str) -> PeerId:
    """Return the peer that ``text`` names.

    Raises:
        UsageError: Not the id of an Ed25519 peer.
    """
    peer = PeerId(_decode_base58(text)[len(_PEER_ID_PREFIX) :])
    # Comparing text refuses another prefix, and the spaces that base58 overlooks.
    if len(peer) != PUBLIC_KEY_SIZE_BYTES or peer_id_text(peer) != text:
        raise UsageError(
            f"not a peer id: {text!r}", hint="a peer id looks like 12D3KooW…; see `bftcluster id`"
        )
    return peer


def maintainer_text(maintainer: MaintainerId) -> str:
    """Return the key as a multibase multikey, ``z6Mk…`` (as in did:key)."""
    return "z" + base58.b58encode(_MULTIKEY_PREFIX + maintainer).decode()


def parse_maintainer(text: str) -> MaintainerId:
    """Return the maintainer that ``text`` names.

    Raises:
        UsageError: Not an Ed25519 multikey.
    """
    maintainer = MaintainerId(_decode_base58(text[1:])[len(_MULTIKEY_PREFIX) :])
    if len(maintainer) != PUBLIC_KEY_SIZE_BYTES or maintainer_text(maintainer) != text:
        raise UsageError(
            f"not a maintainer key: {text!r}",
            hint="a maintainer key looks like z6Mk…; see `bftcluster key show`",
        )
    return maintainer


def _decode_base58(text: str) -> bytes:
    if len(text) > 128:
        return b""
    try:
        return base58.b58decode(text)
    except ValueError:
        return b""
