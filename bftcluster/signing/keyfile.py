"""Secret keys at rest: argon2id turns a passphrase into a key, XChaCha20-Poly1305 seals with it.

The header (kind, public key, note, parameters) is readable without the passphrase and cannot be
changed without breaking the seal. Where files are and who may read them is the caller's business.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import nacl.bindings
import nacl.exceptions
from nacl.pwhash import argon2id

from bftcluster import codec
from bftcluster.errors import KeyFileError, MalformedMessageError
from bftcluster.limits import (
    KDF_MEMORY_MAX_BYTES,
    KDF_MEMORY_MIN_BYTES,
    KDF_PASSES_MAX,
    KEY_FILE_NOTE_MAX_CHARS,
    KEY_FILE_SIZE_MAX_BYTES,
)
from bftcluster.signing.wire import read_array

SALT_SIZE_BYTES: Final = argon2id.SALTBYTES
NONCE_SIZE_BYTES: Final = 24

_MAGIC: Final = "bftcluster-key-file"
_VERSION: Final = 1
_KDF: Final = "argon2id13"
_CIPHER: Final = "xchacha20poly1305-ietf"
_OUTER_SHAPE: Final[list[type]] = [bytes, bytes, bytes]
_HEADER_SHAPE: Final[list[type]] = [str, int, str, bytes, str, str, int, int, bytes, str]
_KEY_SIZE_BYTES: Final = 32
_TAG_SIZE_BYTES: Final = 16


class Strength(Enum):
    """What guessing one passphrase costs: (passes, memory in bytes)."""

    INTERACTIVE = (argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE)
    """64 MiB, 0.1 s: for tests and demonstrations."""
    MODERATE = (argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE)
    """256 MiB, 0.5 s."""
    SENSITIVE = (argon2id.OPSLIMIT_SENSITIVE, argon2id.MEMLIMIT_SENSITIVE)
    """1 GiB, 3 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """An opened key file."""

    kind: str
    """What the key is for: ``maintainer`` or ``peer``."""
    public: bytes
    note: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFileHeader:
    """What a key file says without its passphrase: believe it only once it is unsealed."""

    kind: str
    public: bytes
    note: str
    passes: int
    memory_bytes: int
    salt: bytes


def seal(
    secret: bytes,
    passphrase: bytes,
    *,
    kind: str,
    public: bytes,
    note: str,
    salt: bytes,
    nonce: bytes,
    strength: Strength = Strength.MODERATE,
) -> bytes:
    """Return the contents of a key file.

    Args:
        secret: The 32-byte seed, or any secret.
        passphrase: May be empty, for a key that only the file mode protects.
        kind: ``maintainer`` or ``peer``.
        public: The public key.
        note: For people to read; at most 200 characters.
        salt: 16 fresh random bytes.
        nonce: 24 fresh random bytes.
        strength: What a guess costs.

    Raises:
        KeyFileError: The note is too long, or memory for the key derivation is short.
    """
    assert len(salt) == SALT_SIZE_BYTES, "a salt has 16 bytes"
    assert len(nonce) == NONCE_SIZE_BYTES, "a nonce has 24 bytes"
    if len(note) > KEY_FILE_NOTE_MAX_CHARS:
        raise KeyFileError(f"a note has at most {KEY_FILE_NOTE_MAX_CHARS} characters")
    passes, memory = strength.value
    header = codec.encode(
        [_MAGIC, _VERSION, kind, public, note, _KDF, passes, memory, salt, _CIPHER]
    )
    key = _derive(passphrase, salt, passes, memory)
    sealed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(secret, header, nonce, key)
    return codec.encode([header, nonce, sealed])


def unseal(blob: bytes, passphrase: bytes) -> KeyFile:
    """Return the key in a key file's contents.

    Raises:
        KeyFileError: Not a key file, the wrong passphrase, changed contents, or parameters that no
            sane file has.
    """
    header_bytes, nonce, sealed = _read(blob, _OUTER_SHAPE)
    if len(nonce) != NONCE_SIZE_BYTES or len(sealed) < _TAG_SIZE_BYTES:
        raise KeyFileError("not a key file: truncated")
    header = read_header(blob)
    key = _derive(passphrase, header.salt, header.passes, header.memory_bytes)
    try:
        secret = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed, header_bytes, nonce, key
        )
    except nacl.exceptions.CryptoError:
        raise KeyFileError(
            "wrong passphrase, or the key file was changed",
            hint="check the passphrase; if it is right, restore the file from a backup",
        ) from None
    return KeyFile(kind=header.kind, public=header.public, note=header.note, secret=secret)


def read_header(blob: bytes) -> KeyFileHeader:
    """Return what a key file's contents say without the passphrase.

    Raises:
        KeyFileError: Not a key file, or parameters that no sane file has.
    """
    header, _, _ = _read(blob, _OUTER_SHAPE)
    magic, version, kind, public, note, kdf, passes, memory, salt, cipher = _read(
        header, _HEADER_SHAPE
    )
    if magic != _MAGIC:
        raise KeyFileError("not a key file")
    if (version, kdf, cipher) != (_VERSION, _KDF, _CIPHER):
        raise KeyFileError(f"a key file of another version: {version}, {kdf}, {cipher}")
    if not 1 <= passes <= KDF_PASSES_MAX:
        raise KeyFileError(f"a key derivation of {passes} passes")
    if not KDF_MEMORY_MIN_BYTES <= memory <= KDF_MEMORY_MAX_BYTES:
        raise KeyFileError(f"a key derivation in {memory} bytes")
    if len(salt) != SALT_SIZE_BYTES:
        raise KeyFileError(f"a salt of {len(salt)} bytes")
    return KeyFileHeader(
        kind=kind, public=public, note=note, passes=passes, memory_bytes=memory, salt=salt
    )


def _read(data: bytes, shape: list[type]) -> list[Any]:
    try:
        return read_array(data, shape, "key file", size_max_bytes=KEY_FILE_SIZE_MAX_BYTES)
    except MalformedMessageError as exc:
        raise KeyFileError(f"not a key file: {exc}") from None


def _derive(passphrase: bytes, salt: bytes, passes: int, memory_bytes: int) -> bytes:
    try:
        return argon2id.kdf(_KEY_SIZE_BYTES, passphrase, salt, passes, memory_bytes)
    except nacl.exceptions.RuntimeError:
        raise KeyFileError(f"no {memory_bytes >> 20} MiB of memory to derive the key") from None
