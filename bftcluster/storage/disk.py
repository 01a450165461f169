"""The real disk: POSIX files in one directory."""

import os
from pathlib import Path
from typing import Final

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


class PosixDisk:
    """Files below one directory, which is made if it is missing."""

    def __init__(self, directory: Path) -> None:
        """Make the directory, and its own entry durable."""
        self._directory = directory
        if not directory.is_dir():
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            sync_directory(directory.parent)

    def exists(self, name: str) -> bool:
        """Return whether the directory has an entry ``name``."""
        return (self._directory / name).exists()

    def read(self, name: str) -> bytes:
        """Return the whole file."""
        return (self._directory / name).read_bytes()

    def create(self, name: str) -> "PosixFile":
        """Return ``name``, emptied if it was there."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_CREAT | os.O_TRUNC
        return PosixFile(os.open(self._directory / name, flags, _FILE_MODE))

    def rename(self, source: str, target: str) -> None:
        """Put ``source`` in the place of ``target`` at once."""
        (self._directory / source).replace(self._directory / target)

    def sync_directory(self) -> None:
        """Return when creations, renames and removals are durable."""
        sync_directory(self._directory)


class PosixFile:
    """A file descriptor open for appending."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def append(self, data: bytes) -> None:
        """Write all of ``data`` at the end: one ``write`` unless the kernel takes less."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Return when everything appended is durable, the file's size included."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._descriptor)


def sync_directory(directory: Path) -> None:
    """Return when the entries of ``directory`` are durable; ext4 and xfs lose new files without."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
