"""Puts a DAG back into the file system. The content is a stranger's: no name may lead outside.

Everything is made new, relative to an open directory, without following links, in a sibling of
the destination that takes its name when all is there.
"""

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from bftcluster.blocks.dag_pb import decode_node
from bftcluster.blocks.directory import check_name
from bftcluster.blocks.directory_reader import kind_of, list_directory
from bftcluster.blocks.file_reader import file_size, read_file
from bftcluster.blocks.port import BlockSource
from bftcluster.blocks.unixfs import Kind, decode_message
from bftcluster.cid import Cid, text
from bftcluster.errors import MalformedContentError, StorageError, UsageError
from bftcluster.limits import DIRECTORY_DEPTH_MAX, SYMLINK_TARGET_SIZE_MAX_BYTES

_NAME = "content"
_ENTRY_BYTES = 4096
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
        MalformedContentError: A name or link that would lead outside, or a broken DAG.
        StorageError: The file system refuses; nothing is left behind.
        BlockNotFoundError: A block is not in ``source``.
    """
    if os.path.lexists(destination):
        raise UsageError(f"{destination} exists", hint="choose a path at which nothing is")
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(mode=0o700)
        directory = os.open(partial, _DIRECTORY)
        try:
            _Writer(source, size_max_bytes).write(root, directory, _NAME, 0)
        finally:
            os.close(directory)
        (partial / _NAME).rename(destination)
    except FileExistsError as exc:
        raise MalformedContentError(f"a name comes twice: {exc.filename!r}") from None
    except OSError as exc:
        raise StorageError(f"writing {destination} failed: {exc}") from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@dataclass(slots=True)
class _Writer:
    """One extraction."""

    source: BlockSource
    left_bytes: int
    """What may still be written."""

    def write(self, cid: Cid, directory: int, name: str, depth: int) -> None:
        """Write what ``cid`` is as ``name`` into an open directory."""
        self._spend(_ENTRY_BYTES)
        match kind_of(self.source, cid):
            case Kind.DIRECTORY | Kind.HAMT_SHARD:
                self._write_directory(cid, directory, name, depth)
            case Kind.FILE | Kind.RAW:
                self._spend(file_size(self.source, cid))
                with os.fdopen(os.open(name, _NEW_FILE, 0o644, dir_fd=directory), "wb") as file:
                    for piece in read_file(self.source, cid):
                        file.write(piece)
            case Kind.SYMLINK:
                os.symlink(_checked_target(self.source, cid, depth), name, dir_fd=directory)
            case kind:
                raise MalformedContentError(f"{text(cid)} is of the kind {kind.name.lower()}")

    def _write_directory(self, cid: Cid, parent: int, name: str, depth: int) -> None:
        if depth == DIRECTORY_DEPTH_MAX:
            raise MalformedContentError(f"directories deeper than {DIRECTORY_DEPTH_MAX}")
        os.mkdir(name, 0o755, dir_fd=parent)
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            for link in list_directory(self.source, cid):
                _check_link_name(link.name)
                self.write(link.cid, directory, link.name, depth + 1)
        finally:
            os.close(directory)

    def _spend(self, size_bytes: int) -> None:
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise UsageError("the content is larger than allowed", hint="allow more bytes")


def _check_link_name(name: str) -> None:
    try:
        check_name(name)
    except UsageError as exc:
        raise MalformedContentError(str(exc)) from None


def _checked_target(source: BlockSource, cid: Cid, depth: int) -> bytes:
    """Return where a symbolic link points, if that is inside what is being written.

    Dots may only lead: after a name that is a link itself they would mean another directory.
    """
    target = decode_message(decode_node(source.get(cid))).data
    steps = target.split(b"/")
    climbs = len(list(itertools.takewhile(lambda step: step == b"..", steps)))
    if not target or len(target) > SYMLINK_TARGET_SIZE_MAX_BYTES or b"\0" in target:
        raise MalformedContentError(f"{text(cid)} is a symbolic link to nothing possible")
    if target.startswith(b"/") or b".." in steps[climbs:] or climbs >= max(1, depth):
        raise MalformedContentError(f"{text(cid)} is a symbolic link to the outside: {target!r}")
    return target
