"""Adds what is in the file system."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.importer.adder import Adder, AddEvent
from bftcluster.blocks.port import BlockStore
from bftcluster.errors import UsageError

_READ_SIZE_BYTES = 1 << 20
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Symlinks(Enum):
    """What to do with a symbolic link inside a directory that is added."""

    KEEP = "keep"
    """Add the link itself, as Kubo does."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOptions:
    """How to add a path."""

    layout: Layout = field(default_factory=Layout)
    hidden: bool = False
    """Whether names that begin with a dot are added; the path itself always is."""
    symlinks: Symlinks = Symlinks.KEEP
    wrap: bool = False
    """Whether the root is a directory that holds the path under its name."""


def add_path(
    store: BlockStore,
    path: Path,
    options: AddOptions | None = None,
    *,
    progress: Callable[[AddEvent], None] | None = None,
) -> DagEntry:
    """Add a file or a directory with everything in it, keep its root, and return it. Blocking.

    A symbolic link is followed if it is ``path`` itself. When this raises, nothing was added.

    Raises:
        UsageError: Nothing is there, it cannot be read, or it is neither file, directory nor link.
        StoreFullError: It does not fit.
    """
    options = options or AddOptions()
    with Adder(store, layout=options.layout, progress=progress) as adder:
        try:
            name = path.resolve().name or "root"
            if path.is_dir():
                _add_directory(adder, path, name, options)
            else:
                _add_file(adder, path, name)
        except OSError as exc:
            raise UsageError(f"cannot read {exc.filename or path}: {exc.strerror}") from exc
        return adder.finish(wrap=options.wrap)


def add_parts(
    store: BlockStore,
    parts: Iterable[tuple[str, Iterable[bytes]]],
    options: AddOptions | None = None,
    *,
    progress: Callable[[AddEvent], None] | None = None,
) -> DagEntry:
    """Add files given as (path, content), keep the root, and return it. Blocking.

    Raises:
        UsageError: A path that cannot be, comes twice, or several roots without ``wrap``.
        StoreFullError: It does not fit; nothing was added.
    """
    options = options or AddOptions()
    with Adder(store, layout=options.layout, progress=progress) as adder:
        for path, content in parts:
            adder.add_file(path, content)
        return adder.finish(wrap=options.wrap)


def _add_directory(adder: Adder, top: Path, name: str, options: AddOptions) -> None:
    pending = [(top, name)]
    while pending:
        directory, path = pending.pop()
        adder.add_directory(path)
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.name.startswith(".") and not options.hidden:
                continue
            below = f"{path}/{entry.name}"
            if entry.is_symlink():
                _add_symlink(adder, Path(entry.path), below, options)
            elif entry.is_dir():
                pending.append((Path(entry.path), below))
            else:
                _add_file(adder, Path(entry.path), below, flags=_FLAGS | os.O_NOFOLLOW)


def _add_symlink(adder: Adder, path: Path, name: str, options: AddOptions) -> None:
    if options.symlinks is Symlinks.REFUSE:
        raise UsageError(f"{path} is a symbolic link", hint="remove it, or keep links as links")
    adder.add_symlink(name, os.fsencode(path.readlink()))


def _add_file(adder: Adder, path: Path, name: str, *, flags: int = _FLAGS) -> None:
    with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UsageError(f"{path} is neither a file nor a directory", hint="leave it out")
        adder.add_file(name, _pieces(file))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_READ_SIZE_BYTES):
        yield piece
