"""What storage asks of a disk: few enough calls that a simulated one can lie in each."""

from typing import Protocol


class LogFile(Protocol):
    """A file open for appending. Every call raises ``OSError`` when the disk does."""

    def append(self, data: bytes) -> None:
        """Write all of ``data`` at the end; after a crash any part of it may be there."""
        ...

    def sync(self) -> None:
        """Return when everything appended is durable, the file's size included."""
        ...

    def close(self) -> None:
        """Release the file. Does not sync."""
        ...


class Disk(Protocol):
    """One directory of files. Every call raises ``OSError`` when the disk does."""

    def exists(self, name: str) -> bool:
        """Return whether the directory has an entry ``name``."""
        ...

    def read(self, name: str) -> bytes:
        """Return the whole file."""
        ...

    def create(self, name: str) -> LogFile:
        """Return ``name``, emptied if it was there; its entry lasts after ``sync_directory``."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Put ``source`` in the place of ``target`` at once; durable after ``sync_directory``."""
        ...

    def sync_directory(self) -> None:
        """Return when creations, renames and removals are durable."""
        ...
