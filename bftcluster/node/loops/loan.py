"""Does what somebody who lends room has chosen: pauses, leaves, and keeps within the quota."""

import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import trio

from bftcluster.blocks.pin_store import StoreSpace
from bftcluster.errors import ConfigError, StoreFullError
from bftcluster.node.ports import Clock
from bftcluster.node.process.config import Config
from bftcluster.node.process.loan_file import TRAFFIC_FILE, LoanChoice
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.node.process.traffic import Traffic

LOOK_INTERVAL_S: Final = 2.0
_DISK_BLOCK_BYTES: Final = 512
"""What `stat` counts in."""

_log = log_for("node")


class Loan:
    """Looks at the choice now and then. Of a peer that is not lent it does nothing."""

    def __init__(
        self,
        *,
        directory: Path,
        blocks: Path,
        blocks_quota_bytes: int,
        leave: Callable[[LoanChoice], Awaitable[None]],
        clock: Clock,
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            directory: All that is lent lies in it.
            blocks: The store of blocks in it.
            blocks_quota_bytes: What the store keeps within itself.
            leave: Says what is to be said now by a peer that is to leave, if anything is.
            clock: Of the bounds on traffic.
            workers: Read the choice, and look how much of the disk is taken.
        """
        self._directory = directory
        self._blocks = blocks
        self._leave = leave
        self._workers = workers
        self._choice = LoanChoice.load(directory)
        quota_bytes = self._choice.quota_bytes if self._choice else blocks_quota_bytes
        self._room_bytes = quota_bytes - blocks_quota_bytes
        """What is lent for all but blocks: as of the start, as the quota of blocks is."""
        self.traffic = Traffic(clock)
        """What the exchange of blocks may send and receive."""
        if self._choice is not None:
            self.traffic.set_limits(self._choice.traffic)
            with suppress(FileNotFoundError):
                self.traffic.remember((self._directory / TRAFFIC_FILE).read_bytes())

    @classmethod
    def of(
        cls,
        config: Config,
        leave: Callable[[LoanChoice], Awaitable[None]],
        clock: Clock,
        workers: Workers,
    ) -> Self:
        """Return the loan of a full peer."""
        return cls(
            directory=config.directory,
            blocks=config.path(config.storage.blocks),
            blocks_quota_bytes=config.quota_bytes,
            leave=leave,
            clock=clock,
            workers=workers,
        )

    def space(
        self, found: Callable[[], Awaitable[StoreSpace]]
    ) -> Callable[[], Awaitable[StoreSpace]]:
        """Return ``found``, by which nothing is free while lending is paused."""

        async def lent() -> StoreSpace:
            space = await found()
            is_paused = self._choice is not None and self._choice.is_paused
            return replace(space, used_bytes=space.quota_bytes) if is_paused else space

        return lent

    async def run(self) -> None:
        """Look again and again; return at once if this peer is not lent.

        Raises:
            StoreFullError: The directory takes more than its quota.
        """
        while self._choice is not None:
            await self._workers.run(self._check_quota)
            if self._choice.leaves:
                await self._leave(self._choice)
            await trio.sleep(LOOK_INTERVAL_S)
            self._choice = await self._workers.run(self._read_again, self._choice)
            self.traffic.set_limits(self._choice.traffic)
            if self.traffic.buckets:
                await self._workers.run(self._keep_traffic, self.traffic.to_bytes())

    def _keep_traffic(self, data: bytes) -> None:
        new = self._directory / f"{TRAFFIC_FILE}.new"
        try:
            new.write_bytes(data)
            new.replace(self._directory / TRAFFIC_FILE)
        except OSError as exc:  # A full disk ends no peer that could go on.
            _log.warning("what was sent and received cannot be noted", reason=str(exc))

    def _read_again(self, before: LoanChoice) -> LoanChoice:
        try:
            choice = LoanChoice.load(self._directory) or before
        except ConfigError as exc:
            _log.warning("the choice of who lends cannot be read", detail=str(exc))
            return before
        if choice.is_paused != before.is_paused:
            _log.info("paused" if choice.is_paused else "resumed")
        return choice

    def _check_quota(self) -> None:
        """See that what is not in the store of blocks, which has its own quota, has its room."""
        taken = bytes_beside(self._directory, self._blocks)
        if taken > self._room_bytes:
            raise StoreFullError(
                f"what is no block in {self._directory} takes {taken:,} bytes; of what is lent "
                f"{self._room_bytes:,} are left for it",
                hint="lend more: `bftcluster lend limits --quota SIZE`, and start again",
            )


def bytes_beside(directory: Path, blocks: Path) -> int:
    """Return what the files in a directory take, without those in the store of blocks."""
    taken = 0
    waiting = [directory]
    while waiting:
        with suppress(FileNotFoundError):  # It was removed meanwhile; the next look counts again.
            for path in waiting.pop().iterdir():
                if path == blocks:
                    continue
                found = path.lstat()
                taken += found.st_blocks * _DISK_BLOCK_BYTES
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(path)
    return taken
