"""Local files as one multipart body, read while it is sent: any size, little memory.

Parts are files, directories and symlinks as Kubo's clients send them. Names are relative to the
parent of each path given, so that ``add photos`` makes a directory ``photos``.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from bftcluster.api.views import ContentKind
from bftcluster.errors import UsageError

_PIECE_SIZE_BYTES: Final = 256 << 10
_BOUNDARY_SIZE_BYTES: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadEntry:
    """One thing to upload."""

    path: Path
    name: str
    """With ``/`` between names; never absolute."""
    kind: ContentKind
    size_bytes: int


def entries_of(paths: Sequence[Path], *, hidden: bool) -> list[UploadEntry]:
    """Return everything below ``paths``, directories before what is in them, names sorted.

    Args:
        paths: Files and directories. Two may not have the same last name.
        hidden: Also take what starts with a dot inside directories.

    Raises:
        UsageError: A path does not exist, cannot be read, or is a device or the like.
    """
    found: list[UploadEntry] = []
    tops: set[str] = set()
    for path in paths:
        top = path.resolve().name if path.name in ("", ".", "..") else path.name
        if not top or top in tops:
            raise UsageError(
                f"{path} has no name of its own" if not top else f"two paths are named {top!r}",
                hint="add the directory that holds them",
            )
        tops.add(top)
        try:
            found += _walk(path, top, hidden=hidden, is_top=True)
        except OSError as exc:
            raise UsageError(f"cannot read {exc.filename}: {exc.strerror}") from None
    return found


class Observer(Protocol):
    """Follows an upload."""

    def begin(self, entry: UploadEntry) -> None:
        """Take the next entry."""
        ...

    def write(self, data: bytes) -> None:
        """Take bytes of a file, or a symlink's target, as they are sent."""
        ...


def body_of(
    entries: Sequence[UploadEntry],
    boundary: str,
    observer: Observer,
    on_sent: Callable[[int], None],
) -> Iterator[bytes]:
    """Yield the multipart body.

    Args:
        entries: What to send.
        boundary: Stands between the parts.
        observer: Is told everything that is sent.
        on_sent: Is told how many more bytes of files were sent.

    Raises:
        UsageError: A file can no longer be read.
    """
    buffer = bytearray()
    for entry in entries:
        buffer += _head(entry, boundary)
        observer.begin(entry)
        if entry.kind is ContentKind.SYMLINK:
            target = os.fsencode(entry.path.readlink())
            observer.write(target)
            buffer += target
        elif entry.kind is ContentKind.FILE:
            for piece in _pieces(entry.path):
                observer.write(piece)
                on_sent(len(piece))
                buffer += piece
                if len(buffer) >= _PIECE_SIZE_BYTES:
                    yield bytes(buffer)
                    buffer.clear()
        buffer += b"\r\n"
    buffer += f"--{boundary}--\r\n".encode()
    yield bytes(buffer)


def new_boundary() -> str:
    """Return a boundary that no file contains, as it was not known before."""
    return os.urandom(_BOUNDARY_SIZE_BYTES).hex()


def _walk(path: Path, name: str, *, hidden: bool, is_top: bool = False) -> Iterator[UploadEntry]:
    # The path that was typed may be a symlink to what is meant; those inside stay symlinks.
    status = path.stat() if is_top else path.lstat()
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        yield UploadEntry(path=path, name=name, kind=ContentKind.SYMLINK, size_bytes=0)
    elif stat.S_ISREG(mode):
        yield UploadEntry(path=path, name=name, kind=ContentKind.FILE, size_bytes=status.st_size)
    elif stat.S_ISDIR(mode):
        yield UploadEntry(path=path, name=name, kind=ContentKind.DIRECTORY, size_bytes=0)
        for child in sorted(path.iterdir(), key=lambda each: os.fsencode(each.name)):
            if hidden or not child.name.startswith("."):
                yield from _walk(child, f"{name}/{child.name}", hidden=hidden)
    else:
        raise UsageError(f"{path} is neither a file, a directory nor a symlink")


def _head(entry: UploadEntry, boundary: str) -> bytes:
    name = quote(entry.name.encode("utf-8", "surrogateescape"), safe="/")
    return (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {entry.kind.value}\r\n\r\n"
    ).encode()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE_SIZE_BYTES):
                yield piece
    except OSError as exc:
        raise UsageError(f"cannot read {path}: {exc.strerror}") from None
