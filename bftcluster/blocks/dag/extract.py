"""Puts a DAG back into the file system. The content is a stranger's: no name may lead outside.

Everything is made new, relative to an open directory, without following links, in a sibling of
the destination that takes its name when all is there.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from bftcluster.blocks.dag.file_reader import read_file
from bftcluster.blocks.dag.tree import Tree, TreeEntry, tree_of
from bftcluster.blocks.formats.unixfs import UnixFsKind
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid
from bftcluster.errors import MalformedContentError, StorageError, UsageError

_NAME: Final = "content"
_ENTRY_BYTES: Final = 4096
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def extract(source: BlockSource, root: Cid, destination: Path, *, size_max_bytes: int) -> None:
    """Write the file, directory or symbolic link that ``root`` is to ``destination``.

    Args:
        source: Has every block.
        root: What to write.
        destination: A path at which nothing is yet, in a directory that is there.
        size_max_bytes: Bytes to write at most; each directory entry counts as a page. Small DAGs
            can describe enormous trees.

    Raises:
        UsageError: Something is at ``destination``, or the content is larger than allowed.
        MalformedContentError: A name or link that would lead outside, a broken DAG, or one made
            to be walked for ever.
        StorageError: The file system refuses; nothing is left behind.
        BlockNotFoundError: A block is not in ``source``.
    """
    if os.path.lexists(destination):
        raise UsageError(f"{destination} exists", hint="choose a path at which nothing is")
    tree = tree_of(source, root, reads_leaves=True)
    if tree.extent.content_bytes + tree.extent.entries * _ENTRY_BYTES > size_max_bytes:
        raise UsageError("the content is larger than allowed", hint="allow more bytes")
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(mode=0o700)
        _Writer(source, tree).write(partial)
        (partial / _NAME).rename(destination)
    except FileExistsError as exc:
        raise MalformedContentError(f"a name comes twice: {exc.filename!r}") from None
    except OSError as exc:
        raise StorageError(f"writing {destination} failed: {exc}") from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Writer:
    """One extraction."""

    def __init__(self, source: BlockSource, tree: Tree) -> None:
        self._source = source
        self._tree = tree
        self._open: list[int] = []
        """The directories from the top to the one that is being filled."""

    def write(self, partial: Path) -> None:
        try:
            self._open.append(os.open(partial, _DIRECTORY))
            for entry in self._tree:
                while len(self._open) > entry.depth + 1:
                    os.close(self._open.pop())
                self._write_entry(entry, entry.name or _NAME, self._open[-1])
        finally:
            for directory in self._open:
                os.close(directory)

    def _write_entry(self, entry: TreeEntry, name: str, directory: int) -> None:
        match entry.kind:
            case UnixFsKind.DIRECTORY | UnixFsKind.HAMT_SHARD:
                os.mkdir(name, 0o755, dir_fd=directory)
                self._open.append(os.open(name, _DIRECTORY, dir_fd=directory))
            case UnixFsKind.SYMLINK:
                os.symlink(entry.target, name, dir_fd=directory)
            case _:
                descriptor = os.open(name, _NEW_FILE, 0o644, dir_fd=directory)
                with os.fdopen(descriptor, "wb") as file:
                    for piece in read_file(self._source, entry.cid, budget=self._tree.budget):
                        file.write(piece)
