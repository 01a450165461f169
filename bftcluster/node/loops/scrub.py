"""Reads every block once in a while, slowly, to find damage before a reader does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import trio

from bftcluster.blocks.port import Scrubbed
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.errors import ClusterError
from bftcluster.node.ports import Clock
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers

_POSITION_FILE: Final = "scrub"
_STEP_COST_BYTES: Final = 1 << 20
_REST_FACTOR: Final = 4
"""A step is followed by so many times as long a rest: a disk that is busy is left alone longer."""
_ROUND_MIN_S: Final = 86_400
_RETRY_S: Final = 60.0

_log = log_for("blocks")


@dataclass(slots=True, kw_only=True)
class Scrubber:
    """Goes round the block store. Where it is survives a restart, give or take a step."""

    blocks: EmbeddedStore
    directory: Path
    """Where the position is kept, in a small file."""
    rate_bytes_per_s: int
    """How much is read, at most."""
    clock: Clock
    """Tells how long a step took."""
    workers: Workers
    """The threads that read."""
    sleep: Callable[[float], Awaitable[None]] = trio.sleep
    """How it rests."""

    @property
    def _path(self) -> Path:
        return self.directory / _POSITION_FILE

    async def run(self) -> NoReturn:
        """Scrub until cancelled."""
        after = await self.workers.run(self._load)
        round_begun_ms = self.clock.now_ms()
        while True:
            begun_ms = self.clock.now_ms()
            try:
                step = await self.workers.run(self._step, after)
            except ClusterError as exc:
                _log.warning("the scrub of the blocks had to stop for a while", reason=str(exc))
                await self.sleep(_RETRY_S)
                continue
            after = step.after
            took_s = (self.clock.now_ms() - begun_ms) / 1000
            await self.sleep(max(step.cost_bytes / self.rate_bytes_per_s, _REST_FACTOR * took_s))
            if not after:
                spent_s = (self.clock.now_ms() - round_begun_ms) / 1000
                await self.sleep(max(0.0, _ROUND_MIN_S - spent_s))
                round_begun_ms = self.clock.now_ms()

    def _step(self, after: bytes) -> Scrubbed:
        """Read some blocks and note how far that is; blocks."""
        step = self.blocks.scrub(after, _STEP_COST_BYTES)
        try:
            self._save(step.after)
        except OSError as exc:
            _log.warning("where the scrub is cannot be noted", reason=str(exc))
        if not step.after:
            self._remove_strays()
        return step

    def _remove_strays(self) -> None:
        """Remove what is left behind, as far as the disk lets us; the next round tries again."""
        try:
            self.blocks.remove_strays()
        except ClusterError as exc:
            _log.warning("files that are no blocks cannot be removed", reason=str(exc))

    def _load(self) -> bytes:
        """Return the position; the start if there is none, or a crash has torn it."""
        try:
            return bytes.fromhex(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return b""

    def _save(self, after: bytes) -> None:
        """Note the position. It is not synced: it may be lost, and costs the disk nothing."""
        self._path.write_text(after.hex(), encoding="ascii")
