"""Roots that no pin keeps, but that must stay for a while.

What was added here waits for its maintainers; what was fetched for a reader may be read again.
After a recovery all that is here waits for the pins that are ordered again.
"""

import base64
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bftcluster import cid as cids
from bftcluster.cid import Cid
from bftcluster.errors import ClusterError, StorageError, StoreFullError
from bftcluster.shell_limits import ROOTS_KEPT_MAX

ADDED_KEEP_MS: Final = 8 * 86_400_000
"""A day more than a proposal lives by default."""
READ_KEEP_MS: Final = 3_600_000
_EVERYTHING: Final = "*"
"""In the file: all roots, whichever there are."""
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
        self._everything_until_ms = 0
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
                if is_full and root not in self._until_ms:
                    raise StoreFullError(f"{ROOTS_KEPT_MAX} roots wait here for a pin")
                before_ms = self._until_ms.get(root, 0)
                until_ms = self._until_ms[root] = max(until_ms, before_ms)
            try:
                self._note(_line(_text(root), until_ms))
            except StorageError:
                with self._entries:
                    self._until_ms[root] = before_ms
                raise

    def keep_everything(self, *, until_ms: int) -> None:
        """Let all roots stay, whichever there are, as ``keep`` does one.

        Raises:
            StorageError: The disk refuses.
        """
        with self._file:
            before_ms = self._everything_until_ms
            self._everything_until_ms = max(until_ms, before_ms)
            try:
                self._note(_line(_EVERYTHING, self._everything_until_ms))
            except StorageError:
                self._everything_until_ms = before_ms
                raise

    def give_up(self, root: Cid) -> None:
        """Let ``root`` go. After a crash it may be kept again, no longer than was said."""
        with self._entries:
            self._until_ms.pop(root, None)

    def is_kept(self, root: Cid, *, wall_ms: int) -> bool:
        """Return whether ``root`` must stay although no pin keeps it."""
        return max(self._until_ms.get(root, 0), self._everything_until_ms) > wall_ms

    def _forget_until(self, wall_ms: int) -> None:
        self._until_ms = {c: until for c, until in self._until_ms.items() if until > wall_ms}

    def _note(self, line: str) -> None:
        """Write one more line, or all lines anew; whoever calls this has the file.

        Raises:
            StorageError: The disk refuses.
        """
        lines_free, self._lines_free = self._lines_free, 0  # a line may be torn from now on
        try:
            if lines_free:
                self._write(self._path, "a", [line])
                self._lines_free = lines_free - 1
            else:
                self._rewrite()
        except OSError as exc:
            raise StorageError(
                f"what was added cannot be noted: {exc}", hint="free some disk space"
            ) from exc

    def _rewrite(self) -> None:
        with self._entries:
            lines = [_line(_text(root), until) for root, until in self._until_ms.items()]
        if self._everything_until_ms:
            lines.append(_line(_EVERYTHING, self._everything_until_ms))
        temporary = self._path.with_suffix(".new")
        self._write(temporary, "w", lines)
        temporary.replace(self._path)
        self._lines_free = max(_LINES_FREE_MIN, len(lines))

    def _write(self, path: Path, mode: str, lines: Sequence[str]) -> None:
        with path.open(mode, encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, line: str) -> None:
        """Take one line; one that a crash tore is left out: its blocks are dropped, not its pin."""
        number, _, encoded = line.partition(" ")
        try:
            if encoded == _EVERYTHING:
                self._everything_until_ms = int(number)
            else:
                root = cids.from_bytes(base64.b64decode(encoded, validate=True))
                self._until_ms[root] = int(number)
        except (ValueError, ClusterError):
            return


def _text(root: Cid) -> str:
    return base64.b64encode(root).decode()


def _line(name: str, until_ms: int) -> str:
    return f"{until_ms} {name}\n"
