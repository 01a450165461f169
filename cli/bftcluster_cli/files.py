"""Files that must not be half written, and files that nobody else may read."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from bftcluster.errors import ClusterError, ConfigError, KeyFileError, UsageError
from bftcluster.limits import CBOR_SIZE_MAX_BYTES

T = TypeVar("T")
SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def write_new(path: Path, data: bytes, *, mode: int = PUBLIC_MODE) -> None:
    """Write a file that did not exist, durably, and all of it or nothing.

    Raises:
        UsageError: It exists, or its directory does not.
    """
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent}", hint=f"mkdir -p {path.parent}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, this never replaces a file
    except FileExistsError:
        raise UsageError(
            f"{path} exists already", hint="name another file, or move that one away"
        ) from None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    _sync_directory(path.parent)


def replace_file(path: Path, data: bytes, *, mode: int = PUBLIC_MODE) -> None:
    """Write a file in place of what may be there, durably, and all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    _sync_directory(path.parent)


def read_bounded(path: Path, *, size_max_bytes: int, what: str) -> bytes:
    """Return a file's contents.

    Raises:
        UsageError: It cannot be read, or is too large to be what it should be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(size_max_bytes + 1)
    except OSError as exc:
        raise UsageError(f"cannot read the {what} {path}: {exc.strerror}") from None
    if len(data) > size_max_bytes:
        raise UsageError(f"{path} is too large for a {what}")
    return data


def read_secret(path: Path, *, size_max_bytes: int) -> bytes:
    """Return the contents of a file that only its owner can read.

    Raises:
        KeyFileError: Others can read it.
        UsageError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(size_max_bytes + 1)
    except OSError as exc:
        raise UsageError(
            f"cannot read the key file {path}: {exc.strerror}",
            hint="make a key with `bftcluster key new NAME`",
        ) from None
    if mode & _OTHERS:
        raise KeyFileError(
            f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})",
            hint=f"chmod 600 {path}",
        )
    return data


def make_private_directory(path: Path) -> None:
    """Make a directory that only its owner can enter; keep one that exists.

    Raises:
        ConfigError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"cannot make the directory {path}: {exc.strerror}") from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_as(parse: Callable[[bytes], T], path: Path, *, what: str, hint: str) -> T:
    """Return what ``parse`` makes of a file.

    Raises:
        UsageError: It is no ``what``; ``hint`` says where one comes from.
    """
    data = read_bounded(path, size_max_bytes=CBOR_SIZE_MAX_BYTES, what=what)
    try:
        return parse(data)
    except ClusterError as exc:
        raise UsageError(f"{path} is not a {what}: {exc}", hint=hint) from None
