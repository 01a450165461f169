"""Writes down what other replicas said, for whoever must prove or debug it: one JSON line a frame.

A line is ``{"wall_ms": Unix milliseconds, "from": the sender's peer id, "frame": hex}``. The sender
is authenticated by the connection, and most frames carry signatures of their own. Lines are neither
synced nor rotated: this is a tool for hours of debugging, off unless ``log.frames`` names a file.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from bftcluster.errors import ConfigError
from bftcluster.ids import PeerId
from bftcluster.node.process.logs import log_for
from bftcluster.signing.keys import peer_id_text

SIZE_MAX_BYTES: Final = 4 << 30
"""Where it stops, lest a forgotten setting fill the disk that votes need."""

_log = log_for("node")
_name_of = lru_cache(maxsize=64)(peer_id_text)


class WallClock(Protocol):
    """Says when a frame came."""

    def wall_ms(self) -> int:
        """Return Unix milliseconds."""
        ...


class FrameLog:
    """Appends to one file; a failure to write ends the log and not the peer."""

    def __init__(
        self, path: Path, clock: WallClock, *, size_max_bytes: int = SIZE_MAX_BYTES
    ) -> None:
        try:
            self._file = path.open("ab+", buffering=0)
        except OSError as exc:
            raise ConfigError(
                f"cannot open log.frames: {exc}", hint="name a file in a directory that exists"
            ) from None
        self._clock = clock
        self._size_max_bytes = size_max_bytes
        self._size_bytes = self._file.seek(0, os.SEEK_END)
        self._is_on = True
        self._end_torn_line()

    def note(self, sender: PeerId, frame: bytes) -> None:
        """Append one frame, unless the file is full."""
        if not self._is_on:
            return
        line = {"wall_ms": self._clock.wall_ms(), "from": _name_of(sender), "frame": frame.hex()}
        self._write(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """End the log."""
        self._is_on = False
        self._file.close()

    def _end_torn_line(self) -> None:
        """Start on a new line: a process killed while it wrote leaves half of one."""
        if self._size_bytes:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._write(b"\n")

    def _write(self, data: bytes) -> None:
        if self._size_bytes + len(data) > self._size_max_bytes:
            self._stop("it is full")
            return
        try:
            written = self._file.write(data)
        except OSError as exc:
            self._stop(str(exc))
            return
        self._size_bytes += written
        if written < len(data):
            self._stop("the disk is full")

    def _stop(self, why: str) -> None:
        self._is_on = False
        _log.warning("frames are no longer logged", file=self._file.name, why=why)
