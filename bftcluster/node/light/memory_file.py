"""Keeps what a light peer knows in one file that a crash leaves whole: the old one, or the new."""

import hashlib
import os
from pathlib import Path
from typing import Final

from bftcluster.errors import MalformedMessageError, StorageError
from bftcluster.light.light_memory import LightMemory
from bftcluster.limits import DIGEST_SIZE_BYTES, LIGHT_MEMORY_SIZE_MAX_BYTES
from bftcluster.node.process.logs import log_for

_FILE_NAME: Final = "light.cbor"

_log = log_for("light")


class MemoryFile:
    """The file, in a peer's directory. Everything here blocks."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE_NAME

    def load(self) -> LightMemory | None:
        """Return what was kept last; None if there is nothing, or nothing that is whole.

        Raises:
            StorageError: The disk refuses.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(LIGHT_MEMORY_SIZE_MAX_BYTES + DIGEST_SIZE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StorageError(f"cannot read {self._path}: {exc.strerror}") from exc
        digest, encoded = data[:DIGEST_SIZE_BYTES], data[DIGEST_SIZE_BYTES:]
        try:
            if hashlib.sha256(encoded).digest() == digest:
                return LightMemory.from_bytes(encoded)
        except MalformedMessageError as exc:
            _log.warning("what was known is of another version", reason=str(exc))
            return None
        _log.warning("what was known is damaged: learning it again", file=str(self._path))
        return None

    def save(self, memory: LightMemory) -> None:
        """Keep ``memory``; durable on return.

        Raises:
            StorageError: The disk refuses.
        """
        encoded = memory.to_bytes()
        temporary = self._path.with_suffix(".new")
        try:
            with temporary.open("wb") as file:
                file.write(hashlib.sha256(encoded).digest() + encoded)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as exc:
            raise StorageError(
                f"cannot keep {self._path}: {exc.strerror}", hint="free some disk space"
            ) from exc
