"""The peer's own key on disk: a seed that no one else may read, and whether it was ever used.

A key is born together with an empty memory. Beside it lies a note that says so, until the log of
votes takes its place. Whoever has neither note nor log has lost what the key has signed.
"""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from bftcluster.errors import KeyFileError
from bftcluster.signing.keys import SEED_SIZE_BYTES, SigningKey
from bftcluster.storage.disk import sync_directory

_HEADER: Final = "bftcluster-peer-identity-1"
_FILE_SIZE_MAX_BYTES: Final = 1024
_UNUSED_SUFFIX: Final = ".unused"


def create_identity(path: Path) -> SigningKey:
    """Make a new key and write it, mode 0600, with a note that it has signed nothing yet.

    An existing key is never overwritten, and gets no note.

    Raises:
        KeyFileError: There is a file already.
    """
    key = SigningKey(secrets.token_bytes(SEED_SIZE_BYTES))
    text = f"{_HEADER} {base64.b64encode(key.seed).decode()}\n"
    try:
        _write(path, text, os.O_EXCL)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; a peer keeps its identity") from None
    _write(_note_of(path), f"{key.public_key.hex()}\n", os.O_TRUNC)
    sync_directory(path.parent)
    return key


def is_unused(path: Path, key: SigningKey) -> bool:
    """Return whether ``key``, which is in ``path``, has never signed anything."""
    try:
        return _note_of(path).read_text(encoding="ascii") == f"{key.public_key.hex()}\n"
    except (OSError, UnicodeDecodeError):
        return False


def note_use(path: Path) -> None:
    """Return when it is durable that the key in ``path`` is in use."""
    _note_of(path).unlink(missing_ok=True)
    sync_directory(path.parent)


def _note_of(path: Path) -> Path:
    return path.with_name(path.name + _UNUSED_SUFFIX)


def _write(path: Path, text: str, flag: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load_identity(path: Path) -> SigningKey:
    """Return the key in ``path``.

    Raises:
        KeyFileError: Missing, readable by others, or not an identity.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")[:_FILE_SIZE_MAX_BYTES]
    except FileNotFoundError:
        raise KeyFileError(
            f"no identity at {path}", hint="make one with `bftcluster peer init`"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise KeyFileError(f"cannot read {path}: {exc}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"{path} can be read by others", hint=f"run `chmod 600 {path}`")
    header, _, encoded = text.strip().partition(" ")
    try:
        seed = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        seed = b""
    if header != _HEADER or len(seed) != SEED_SIZE_BYTES:
        raise KeyFileError(f"{path} is not a peer identity")
    return SigningKey(seed)
