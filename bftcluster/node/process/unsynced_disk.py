"""A disk that does not wait for itself: for measuring what fsync costs, never for real votes."""

from bftcluster.storage.ports import Disk, LogFile


class UnsyncedDisk:
    """Another disk without its syncs."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def exists(self, name: str) -> bool:
        """Return whether the directory has an entry ``name``."""
        return self._disk.exists(name)

    def read(self, name: str) -> bytes:
        """Return the whole file."""
        return self._disk.read(name)

    def create(self, name: str) -> LogFile:
        """Return ``name``, emptied if it was there."""
        return _UnsyncedFile(self._disk.create(name))

    def rename(self, source: str, target: str) -> None:
        """Put ``source`` in the place of ``target`` at once."""
        self._disk.rename(source, target)

    def sync_directory(self) -> None:
        """Do nothing."""


class _UnsyncedFile:
    def __init__(self, file: LogFile) -> None:
        self._file = file

    def append(self, data: bytes) -> None:
        self._file.append(data)

    def sync(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        self._file.close()
