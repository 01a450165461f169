"""The peer's own key on disk: a seed that no one else may read."""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from bftcluster.errors import KeyFileError
from bftcluster.signing.keys import SEED_SIZE_BYTES, SigningKey

_HEADER: Final = "bftcluster-peer-identity-1"
_FILE_SIZE_MAX_BYTES: Final = 1024


def create_identity(path: Path) -> SigningKey:
    """Make a new key and write it, mode 0600; an existing file is never overwritten.

    Raises:
        KeyFileError: There is a file already.
    """
    key = SigningKey(secrets.token_bytes(SEED_SIZE_BYTES))
    text = f"{_HEADER} {base64.b64encode(key.seed).decode()}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; a peer keeps its identity") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return key


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
