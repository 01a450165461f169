"""An invitation as one word that is sent to somebody: which cluster, where, and the secret.

``bftc1`` and Base32 of a canonical array and its checksum, in small letters or in capitals, which
make a smaller QR code. Whoever has the word has the invitation.
"""

import hashlib
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from dataclasses import dataclass
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.ids import ClusterId, PeerId
from bftcluster.ledger.wire.peer_fields import check_peer_texts
from bftcluster.limits import (
    DIGEST_SIZE_BYTES,
    INVITATION_RELAYS_MAX,
    INVITATION_TEXT_MAX_CHARS,
    PUBLIC_KEY_SIZE_BYTES,
    TIME_MAX_MS,
)
from bftcluster.signing.keys import SEED_SIZE_BYTES
from bftcluster.signing.wire import check_array, check_size

PREFIX: Final = "bftc1"
_CHECKSUM_SIZE_BYTES: Final = 5
_GROUP_CHARS: Final = 8
_SHAPE: Final[list[type]] = [bytes, str, int, bytes, list, bool]
_RELAY_SHAPE: Final[list[type]] = [bytes, list]
_MISTYPED: Final = "copy all of it, from bftc1 on, or scan its QR code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What is in the word.

    Raises:
        MalformedMessageError: On construction, if a field is over a limit.
    """

    cluster_id: ClusterId
    """The hash of the genesis, which is fetched from a relay and compared."""
    name: str
    """What people call the cluster; nothing depends on it."""
    expires_ms: int
    """Unix milliseconds, as approved."""
    seed: bytes
    """Of the invitation's key: the secret."""
    relays: tuple[tuple[PeerId, tuple[str, ...]], ...]
    """Peers that may be asked, and their multiaddrs."""
    is_light: bool = False
    """Whether who comes by it keeps no ledger, and dials these peers, which are relays."""

    def __post_init__(self) -> None:
        check_size(self.cluster_id, DIGEST_SIZE_BYTES, "a cluster id")
        check_size(self.seed, SEED_SIZE_BYTES, "an invitation's secret")
        if not 0 < self.expires_ms <= TIME_MAX_MS:
            raise MalformedMessageError(f"an invitation cannot expire at {self.expires_ms} ms")
        if not 1 <= len(self.relays) <= INVITATION_RELAYS_MAX:
            raise MalformedMessageError(
                f"an invitation names 1 to {INVITATION_RELAYS_MAX} peers to ask"
            )
        for peer, addresses in self.relays:
            check_size(peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
            check_peer_texts(self.name, addresses)

    def to_text(self) -> str:
        """Return the word."""
        relays = [[peer, addresses] for peer, addresses in self.relays]
        items = [self.cluster_id, self.name, self.expires_ms, self.seed, relays, self.is_light]
        data = codec.encode(items)
        return PREFIX + _base32(data + _checksum(data))


def invitation_from_text(text: str) -> Invitation:
    """Return the invitation that somebody typed, pasted or scanned.

    Raises:
        UsageError: It is none, or a character is wrong.
    """
    word = text.strip()
    if len(word) > INVITATION_TEXT_MAX_CHARS:
        raise UsageError("this is too long for an invitation", hint=_MISTYPED)
    small = word.lower()
    if not word.isascii() or word not in (small, small.upper()) or not small.startswith(PREFIX):
        raise UsageError("this is no invitation: one begins with bftc1", hint=_MISTYPED)
    data = _decoded(small[len(PREFIX) :])
    if data is None:
        raise UsageError("this invitation is mistyped: a character is wrong", hint=_MISTYPED)
    try:
        return _parse(codec.decode(data, size_max_bytes=INVITATION_TEXT_MAX_CHARS))
    except MalformedMessageError as exc:
        raise UsageError(
            f"this invitation makes no sense: {exc}",
            hint="it may be of a newer version: update this program, or ask for another",
        ) from None


def _parse(items: object) -> Invitation:
    cluster_id, name, expires_ms, seed, relays, is_light = check_array(items, _SHAPE, "invitation")
    pairs: list[list[Any]] = [check_array(each, _RELAY_SHAPE, "relay") for each in relays]
    return Invitation(
        cluster_id=ClusterId(cluster_id),
        name=name,
        expires_ms=expires_ms,
        seed=seed,
        relays=tuple([(PeerId(peer), tuple(addresses)) for peer, addresses in pairs]),
        is_light=is_light,
    )


def _decoded(text: str) -> bytes | None:
    """Return the bytes in front of the checksum if this is their one spelling."""
    padding = "=" * (-len(text) % _GROUP_CHARS)
    try:
        checked = b32decode((text + padding).upper())
    except (Base32Error, ValueError):
        return None
    data, checksum = checked[:-_CHECKSUM_SIZE_BYTES], checked[-_CHECKSUM_SIZE_BYTES:]
    is_whole = _base32(checked) == text and checksum == _checksum(data)
    return data if is_whole else None


def _base32(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(PREFIX.encode() + data).digest()[:_CHECKSUM_SIZE_BYTES]
