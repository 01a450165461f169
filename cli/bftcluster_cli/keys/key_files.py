"""A maintainer's key on disk: made, shown and opened."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bftcluster.errors import KeyFileError, UsageError
from bftcluster.limits import (
    KEY_FILE_SIZE_MAX_BYTES,
    MAINTAINER_NAME_MAX_CHARS,
    PUBLIC_KEY_FILE_SIZE_MAX_BYTES,
)
from bftcluster_cli.files import PUBLIC_MODE, SECRET_MODE, read_bounded, read_secret, write_new
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.keys.passphrases import ask_passphrase, given_passphrase

if TYPE_CHECKING:
    from bftcluster.signing.keyfile import KeyFile, KeyFileHeader, Strength
    from bftcluster.signing.keys import SigningKey

MAINTAINER_KIND: Final = "maintainer"
PEER_KIND: Final = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFileSummary:
    """What a key file or public key file says without a passphrase."""

    path: Path
    kind: str
    name: str
    key: str
    """``z6Mk…`` for a maintainer, ``12D3KooW…`` for a peer."""
    is_secret: bool


def public_path(key_path: Path) -> Path:
    """Return where the public half of a key file is."""
    return key_path.with_suffix(".pub")


def check_name(name: str) -> str:
    """Return ``name`` if it can name a maintainer or peer.

    Raises:
        UsageError: It cannot.
    """
    if (
        not 1 <= len(name) <= MAINTAINER_NAME_MAX_CHARS
        or not name.isprintable()
        or name != name.strip()
    ):
        raise UsageError(
            f"not a name: {name!r}", hint=f"1 to {MAINTAINER_NAME_MAX_CHARS} printable characters"
        )
    if set(name) & {"=", "/", "@", ","}:
        raise UsageError(f"not a name: {name!r}", hint="a name has none of = / @ ,")
    return name


def write_key_file(
    path: Path, *, kind: str, name: str, passphrase: bytes, strength: "Strength"
) -> "SigningKey":
    """Make a fresh key, write it sealed to ``path`` with mode 0600, and return it.

    Raises:
        UsageError: ``path`` exists already.
    """
    from bftcluster.signing import keyfile
    from bftcluster.signing.keys import SEED_SIZE_BYTES, SigningKey

    key = SigningKey(os.urandom(SEED_SIZE_BYTES))
    blob = keyfile.seal(
        key.seed,
        passphrase,
        kind=kind,
        public=key.public_key,
        note=name,
        salt=os.urandom(keyfile.SALT_SIZE_BYTES),
        nonce=os.urandom(keyfile.NONCE_SIZE_BYTES),
        strength=strength,
    )
    write_new(path, blob, mode=SECRET_MODE)
    return key


def write_public_file(path: Path, *, name: str, key: str) -> None:
    """Write the public half: one line, ``name=z6Mk…``, to be sent to whoever sets up a cluster."""
    write_new(path, f"{name}={key}\n".encode(), mode=PUBLIC_MODE)


def summarise(path: Path) -> KeyFileSummary:
    """Return what a key file, or its public half, says about itself.

    Raises:
        KeyFileError: It is neither.
        UsageError: It cannot be read.
    """
    from bftcluster.ids import MaintainerId, PeerId
    from bftcluster.signing import keyfile
    from bftcluster.signing.keys import maintainer_text, peer_id_text

    if path.suffix == ".pub":
        name, key = read_public_file(path)
        return KeyFileSummary(path=path, kind=MAINTAINER_KIND, name=name, key=key, is_secret=False)
    header = keyfile.read_header(
        read_bounded(path, size_max_bytes=KEY_FILE_SIZE_MAX_BYTES, what="key file")
    )
    if header.kind == PEER_KIND:
        key = peer_id_text(PeerId(header.public))
    else:
        key = maintainer_text(MaintainerId(header.public))
    return KeyFileSummary(path=path, kind=header.kind, name=header.note, key=key, is_secret=True)


def read_public_file(path: Path) -> tuple[str, str]:
    """Return the name and the key in a public key file.

    Raises:
        KeyFileError: It is none.
        UsageError: It cannot be read.
    """
    data = read_bounded(path, size_max_bytes=PUBLIC_KEY_FILE_SIZE_MAX_BYTES, what="public key file")
    name, separator, key = data.decode("utf-8", "replace").strip().rpartition("=")
    if not separator or "\n" in name:
        raise KeyFileError(f"{path} is not a public key file", hint="it has one line: name=z6Mk…")
    return check_name(name), key


def open_maintainer_key(settings: GlobalOptions) -> tuple[str, "SigningKey"]:
    """Return the name and the key of the maintainer who runs this command.

    Raises:
        UsageError: No key file was named.
        KeyFileError: It does not open.
    """
    from bftcluster.signing import keyfile
    from bftcluster.signing.keys import SigningKey

    if settings.key is None:
        raise UsageError(
            "this needs a maintainer's key",
            hint="pass --key FILE or set BFTCLUSTER_KEY; make one with `bftcluster key new NAME`",
        )
    blob = read_secret(settings.key, size_max_bytes=KEY_FILE_SIZE_MAX_BYTES)
    header = keyfile.read_header(blob)
    if header.kind != MAINTAINER_KIND:
        raise KeyFileError(f"{settings.key} is the key of a {header.kind}, not of a maintainer")
    opened = _unseal(settings, blob, header, f"passphrase of {header.note} ({settings.key}): ")
    key = SigningKey(opened.secret)
    if key.public_key != opened.public:
        raise KeyFileError(f"{settings.key} holds another secret than its public key says")
    return opened.note, key


def _unseal(
    settings: GlobalOptions, blob: bytes, header: "KeyFileHeader", question: str
) -> "KeyFile":
    """Open a key file; one of the cheapest strength may have no passphrase, so try that first."""
    from bftcluster.signing.keyfile import Strength, unseal

    given = given_passphrase(settings)
    if given is None and (header.passes, header.memory_bytes) == Strength.INTERACTIVE.value:
        with suppress(KeyFileError):
            return unseal(blob, b"")
    return unseal(blob, ask_passphrase(question) if given is None else given)
