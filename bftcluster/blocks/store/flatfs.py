"""One file per block, laid out like Kubo's own datastore: ``next-to-last/2`` of the base32 key."""

import base64
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from bftcluster.errors import StorageError, StoreFullError
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES

_T = TypeVar("_T")

_WRITERS: Final = 8
"""Measured: 8 threads that each write and sync a file reach twice what 1 does, on any disk whose
queue is deeper than one; more gain nothing."""
_SUFFIX: Final = ".data"
_SHARD_NAME_SIZE: Final = 2
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_HELD: Final = (errno.EPERM, errno.EACCES, errno.EBUSY)
"""Somebody wants one file to stay; the disk is all right."""
_TAKEN: Final = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP)
"""Something else lies where a file of ours belongs."""

log = logging.getLogger(__name__)


class FlatFs:
    """Files named after multihashes. Knows nothing of what is in them."""

    def __init__(
        self,
        path: Path,
        *,
        open_file: Callable[[Path], int] | None = None,
        unlink: Callable[[Path], None] | None = None,
    ) -> None:
        """Use the directory ``path``, which exists.

        Args:
            path: Where the files are.
            open_file: Opens a new file for writing; a test's disk can refuse.
            unlink: Removes a file; likewise.
        """
        self._path = path
        self._open = open_file or _create
        self._unlink = unlink or Path.unlink
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="flatfs")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def write(self, blocks: Collection[tuple[bytes, bytes]]) -> None:
        """Write files (key, data) and sync each, then every directory once; durable on return.

        Raises:
            OSError: A file could not be written; any of them may be there, whole or torn.
        """
        paths = [self._file(key) for key, _ in blocks]
        shards = sorted({path.parent for path in paths})
        fresh = [shard for shard in shards if not shard.is_dir()]
        for shard in fresh:
            shard.mkdir(mode=0o700, exist_ok=True)
        if fresh:
            _sync_directory(self._path)
        self._each(self._write_file, list(zip(paths, (data for _, data in blocks), strict=True)))
        self._each(_sync_directory, shards)

    def read(self, key: bytes) -> bytes:
        """Return the contents of a file; one byte more than a block may have is all that is read.

        Raises:
            FileNotFoundError: No such file.
        """
        descriptor = os.open(self._file(key), os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = min(os.fstat(descriptor).st_size, BLOCK_SIZE_MAX_BYTES + 1)
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)

    def remove(self, keys: Collection[bytes]) -> dict[bytes, str]:
        """Remove files, those that are there, and sync their directories; durable on return.

        A directory in the place of a file is not ours, and stays; the file is gone.

        Returns:
            The keys whose files are still there, since somebody wants them to stay: and why.

        Raises:
            OSError: The disk fails.
        """
        kept: dict[bytes, str] = {}
        paths = {key: self._file(key) for key in keys}
        for key, path in paths.items():
            try:
                self._unlink(path)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as exc:
                if path.is_dir() and not path.is_symlink():
                    log.warning(
                        "%s is a directory where a block's file belongs: move it away", path
                    )
                elif exc.errno in _HELD:
                    kept[key] = f"{path} cannot be removed: {exc.strerror}"
                else:
                    raise
        shards = sorted({path.parent for path in paths.values()})
        self._each(_sync_directory, [shard for shard in shards if shard.is_dir()])
        return kept

    def all_files(self) -> Iterator[tuple[Path, bytes | None]]:
        """Yield every file, and its key if its name is one: slow, for repairs.

        What lies beside the directories that we make is not ours: ``lost+found``, a README.
        """
        for shard in _entries(self._path):
            if len(shard.name) == _SHARD_NAME_SIZE and shard.is_dir(follow_symlinks=False):
                for entry in _entries(Path(shard.path)):
                    if not entry.is_dir(follow_symlinks=False):
                        file = Path(entry.path)
                        yield file, self._key(file)

    def _file(self, key: bytes) -> Path:
        name = base64.b32encode(key).decode().rstrip("=")
        return self._path / name[-3:-1] / f"{name}{_SUFFIX}"

    def _key(self, file: Path) -> bytes | None:
        try:
            key = base64.b32decode(file.stem + "=" * (-len(file.stem) % 8))
        except ValueError:
            return None
        return key if self._file(key) == file else None

    def _write_file(self, item: tuple[Path, bytes]) -> None:
        path, data = item
        descriptor = self._open(path)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _each(self, work: Callable[[_T], None], items: Collection[_T]) -> None:
        """Do the work on all items, and only then raise the first error."""
        futures = [self._pool.submit(work, item) for item in items]
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise errors[0]


@contextlib.contextmanager
def disk_errors(action: str) -> Iterator[None]:
    """Let the disk's errors leave as ours; they name the file."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise StoreFullError("the disk is full", hint="free some disk space") from exc
        taken = exc.errno in _TAKEN and exc.filename
        hint = f"move {exc.filename} away: a block's file belongs there" if taken else ""
        raise StorageError(f"{action} failed: {exc}", hint=hint) from exc


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
