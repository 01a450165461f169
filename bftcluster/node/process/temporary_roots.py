"""Roots that no pin keeps, but that must stay for a while.

What was added here waits for its maintainers; what was fetched for a reader may be read again.
After a recovery all that is here waits for the pins that are ordered again.
"""

import base64
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bftcluster import cid as cids
from bftcluster.cid import Cid
from bftcluster.errors import ClusterError, StorageError, StoreFullError
from bftcluster.limits import ROOTS_KEPT_MAX

ADDED_KEEP_MS: Final = 8 * 86_400_000
"""A day more than a proposal lives by default."""
READ_KEEP_MS: Final = 3_600_000
EVERYTHING: Final = Cid(b"")
"""Stands for all roots, whichever there are."""
_EVERYTHING_TEXT: Final = "*"
_FILE_NAME: Final = "uploads"
_LINES_FREE_MIN: Final = 1000


class TemporaryRoots:
    """Roots by how long they stay, in a file that grows by a line for each and is then rewritten.

    Uploads end in worker threads, several at a time; the event loop only looks and never waits
    for the disk.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE_NAME
        self._until_ms: dict[Cid, int] = {}
        self._entries = threading.Lock()
        self._file = threading.Lock()
        self._lines_free = 0
        """How many more the file takes; none at first: its last line may be torn."""
        if self._path.exists():
            for line in self._path.read_text(encoding="ascii").splitlines():
                self._read(line)

    @contextmanager
    def keeping(self, root: Cid, *, until_ms: int, wall_ms: int) -> Iterator[None]:
        """Do as ``keep``, and take it back if what is done meanwhile fails.

        What is cancelled stays: somebody may go on with it.
        """
        before_ms = self._until_ms.get(root, 0)
        self.keep(root, until_ms=until_ms, wall_ms=wall_ms)
        try:
            yield
        except Exception:
            with self._entries:
                if self._until_ms.get(root) == until_ms:  # nobody has said more since
                    self._until_ms[root] = before_ms
            raise

    def keep(self, root: Cid, *, until_ms: int, wall_ms: int) -> None:
        """Let ``root`` stay until a Unix time, or longer if that was said; durable on return.

        Raises:
            StoreFullError: Too many do.
            StorageError: The disk refuses.
        """
        with self._file:
            with self._entries:
                if len(self._until_ms) >= ROOTS_KEPT_MAX or not self._lines_free:
                    self._forget_until(wall_ms)
                is_full = len(self._until_ms) >= ROOTS_KEPT_MAX
                if is_full and root not in self._until_ms and root != EVERYTHING:
                    raise StoreFullError(f"{ROOTS_KEPT_MAX} roots wait here for a pin")
                before_ms = self._until_ms.get(root, 0)
                until_ms = self._until_ms[root] = max(until_ms, before_ms)
                everything = None if self._lines_free else list(self._until_ms.items())
            lines_free, self._lines_free = self._lines_free, 0  # a line may be torn from now on
            try:
                if everything is None:
                    self._write(self._path, "a", [(root, until_ms)])
                    self._lines_free = lines_free - 1
                else:
                    self._rewrite(everything)
            except OSError as exc:
                with self._entries:
                    self._until_ms[root] = before_ms
                raise StorageError(
                    f"what was added cannot be noted: {exc}", hint="free some disk space"
                ) from exc

    def give_up(self, root: Cid) -> None:
        """Let ``root`` go. After a crash it may be kept again, no longer than was said."""
        with self._entries:
            self._until_ms.pop(root, None)

    def is_kept(self, root: Cid, *, wall_ms: int) -> bool:
        """Return whether ``root`` must stay although no pin keeps it."""
        until_ms = self._until_ms
        return max(until_ms.get(root, 0), until_ms.get(EVERYTHING, 0)) > wall_ms

    def _forget_until(self, wall_ms: int) -> None:
        self._until_ms = {c: until for c, until in self._until_ms.items() if until > wall_ms}

    def _rewrite(self, entries: Sequence[tuple[Cid, int]]) -> None:
        temporary = self._path.with_suffix(".new")
        self._write(temporary, "w", entries)
        temporary.replace(self._path)
        self._lines_free = max(_LINES_FREE_MIN, len(entries))

    def _write(self, path: Path, mode: str, entries: Iterable[tuple[Cid, int]]) -> None:
        lines = [f"{until} {_text(root)}\n" for root, until in entries]
        with path.open(mode, encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, line: str) -> None:
        """Take one line; one that a crash tore is left out: its blocks are dropped, not its pin."""
        number, _, encoded = line.partition(" ")
        try:
            if encoded == _EVERYTHING_TEXT:
                root = EVERYTHING
            else:
                root = cids.from_bytes(base64.b64decode(encoded, validate=True))
            self._until_ms[root] = int(number)
        except (ValueError, ClusterError):
            return


def _text(root: Cid) -> str:
    return _EVERYTHING_TEXT if root == EVERYTHING else base64.b64encode(root).decode()
