"""Reads every block once in a while, slowly, to find damage before a reader does."""

from collections.abc import Awaitable, Callable
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


class Scrubber:
    """Goes round the block store. Where it is survives a restart, give or take a step."""

    def __init__(
        self,
        *,
        blocks: EmbeddedStore,
        directory: Path,
        rate_bytes_per_s: int,
        clock: Clock,
        workers: Workers,
        sleep: Callable[[float], Awaitable[None]] = trio.sleep,
    ) -> None:
        """Read ``blocks``.

        Args:
            blocks: The store.
            directory: Where the position is kept, in a small file.
            rate_bytes_per_s: How much is read, at most.
            clock: Tells how long a step took.
            workers: The threads that read.
            sleep: How it rests.
        """
        self._blocks = blocks
        self._path = directory / _POSITION_FILE
        self._rate_bytes_per_s = rate_bytes_per_s
        self._clock = clock
        self._workers = workers
        self._sleep = sleep

    async def run(self) -> NoReturn:
        """Scrub until cancelled."""
        after = await self._workers.run(self._load)
        round_begun_ms = self._clock.now_ms()
        while True:
            begun_ms = self._clock.now_ms()
            try:
                step = await self._workers.run(self._step, after)
            except ClusterError as exc:
                _log.warning("the scrub of the blocks had to stop for a while", reason=str(exc))
                await self._sleep(_RETRY_S)
                continue
            after = step.after
            took_s = (self._clock.now_ms() - begun_ms) / 1000
            await self._sleep(max(step.cost_bytes / self._rate_bytes_per_s, _REST_FACTOR * took_s))
            if not after:
                spent_s = (self._clock.now_ms() - round_begun_ms) / 1000
                await self._sleep(max(0.0, _ROUND_MIN_S - spent_s))
                round_begun_ms = self._clock.now_ms()

    def _step(self, after: bytes) -> Scrubbed:
        """Read some blocks and note how far that is; blocks."""
        step = self._blocks.scrub(after, _STEP_COST_BYTES)
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
            self._blocks.remove_strays()
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
