"""One process per data directory: two that share a key would contradict each other's votes."""

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from bftcluster.errors import ConfigError

LOCK_NAME: Final = "lock"
_PID_SIZE_MAX_BYTES: Final = 32


class DirectoryLock:
    """An exclusive lock on a directory, which the kernel drops when the process ends.

    The file stays behind: removing it would let two processes lock two files of one name.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, directory: Path) -> Self:
        """Return the lock, with our process id in its file.

        Raises:
            ConfigError: Another process holds it, or the directory cannot be written.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(directory / LOCK_NAME, flags, 0o600)
        except OSError as exc:
            raise ConfigError(
                f"cannot lock {directory}: {exc.strerror}",
                hint="the data directory must exist and belong to the user who runs the peer",
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            owner = os.read(descriptor, _PID_SIZE_MAX_BYTES).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise ConfigError(
                f"{directory} is in use by process {owner or 'unknown'}",
                hint="one directory is one peer: stop that process, or give this one its own",
            ) from exc
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return cls(descriptor)

    def close(self) -> None:
        """Let the next process in."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_locked(directory: Path) -> bool:
    """Return whether a process runs in a directory: whether it holds its lock now."""
    try:
        with (directory / LOCK_NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
