"""Roots that no pin keeps, but that must stay for a while.

What was added here waits for its maintainers; what was fetched for a reader may be read again.
"""

import base64
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bftcluster import cid as cids
from bftcluster.cid import Cid
from bftcluster.errors import ClusterError, StorageError

ADDED_KEEP_MS: Final = 8 * 86_400_000
"""A day more than a proposal lives by default."""
READ_KEEP_MS: Final = 3_600_000
_FILE_NAME: Final = "uploads"


class Uploads:
    """Roots by how long they stay, in a small file that is rewritten whole.

    Uploads end in worker threads, several at a time; the event loop only looks and never waits
    for the disk.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE_NAME
        self._until_ms: dict[Cid, int] = {}
        self._entries = threading.Lock()
        self._file = threading.Lock()
        if self._path.exists():
            for line in self._path.read_text(encoding="ascii").splitlines():
                self._read(line)

    def keep(self, root: Cid, *, until_ms: int, wall_ms: int) -> None:
        """Let ``root`` stay until a Unix time, or longer if that was said; durable on return.

        Raises:
            StorageError: The disk refuses.
        """
        with self._file:
            with self._entries:
                self._until_ms[root] = max(until_ms, self._until_ms.get(root, 0))
                kept = {c: until for c, until in self._until_ms.items() if until > wall_ms}
                self._until_ms = kept
                lines = [f"{until} {base64.b64encode(c).decode()}\n" for c, until in kept.items()]
            try:
                self._write(lines)
            except OSError as exc:
                raise StorageError(
                    f"what was added cannot be noted: {exc}", hint="free some disk space"
                ) from exc

    def give_up(self, root: Cid) -> None:
        """Let ``root`` go. After a crash it may be kept again, no longer than was said."""
        with self._entries:
            self._until_ms.pop(root, None)

    def is_kept(self, root: Cid, *, wall_ms: int) -> bool:
        """Return whether ``root`` must stay although no pin keeps it."""
        return self._until_ms.get(root, 0) > wall_ms

    def _write(self, lines: Sequence[str]) -> None:
        temporary = self._path.with_suffix(".new")
        with temporary.open("w", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def _read(self, line: str) -> None:
        """Take one line; one that a crash tore is left out: its blocks are dropped, not its pin."""
        number, _, encoded = line.partition(" ")
        try:
            root = cids.from_bytes(base64.b64decode(encoded, validate=True))
            self._until_ms[root] = int(number)
        except (ValueError, ClusterError):
            return
