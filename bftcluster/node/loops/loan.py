"""Does what somebody who lends room has chosen: pauses, leaves, and keeps within the quota.

Leaving takes two words. After the first the others are given what is here; when enough of them
hold each of it, this peer says the second, and is let go.
"""

import stat
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from bftcluster.blocks.pin_store import StoreSpace
from bftcluster.errors import ConfigError, StoreFullError
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.store import ManyRowsPort
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.replication import reachable
from bftcluster.ledger.wire.loan_requests import leave
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.loan_file import TRAFFIC_FILE, LoanChoice
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.node.process.traffic import Traffic

LOOK_INTERVAL_S: Final = 2.0
_ORDER_TIMEOUT_S: Final = 15.0
_PAGE_PINS: Final = 500
_DISK_BLOCK_BYTES: Final = 512
"""What `stat` counts in."""

_log = log_for("node")


class Loan:
    """Looks at the choice now and then. Of a peer that is not lent it does nothing."""

    def __init__(
        self, parts: Parts, gateway: Gateway, clock: Clock, stop: trio.Event, workers: Workers
    ) -> None:
        """Prepare.

        Args:
            parts: Of the peer.
            gateway: Where its words go.
            clock: Unix time is what they are dated with.
            stop: Set when the peer has left.
            workers: Read the ledger, and look how much of the disk is taken.
        """
        self._parts = parts
        self._directory = parts.config.directory
        self._gateway = gateway
        self._clock = clock
        self._stop = stop
        self._workers = workers
        self._choice = LoanChoice.load(self._directory)
        self.traffic = Traffic(clock)
        """What the exchange of blocks may send and receive."""
        if self._choice is not None:
            self.traffic.set_limits(self._choice.traffic)
            with suppress(FileNotFoundError):
                self.traffic.remember((self._directory / TRAFFIC_FILE).read_bytes())

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
            await self._workers.run(self._check_quota, self._choice)
            if self._choice.leaves:
                await self._leave(self._choice)
            await trio.sleep(LOOK_INTERVAL_S)
            self._choice = await self._workers.run(self._read_again, self._choice)
            self.traffic.set_limits(self._choice.traffic)
            if self.traffic.buckets:
                await self._workers.run(self._keep_traffic, self.traffic.to_bytes())

    def _keep_traffic(self, data: bytes) -> None:
        new = self._directory / f"{TRAFFIC_FILE}.new"
        new.write_bytes(data)
        new.replace(self._directory / TRAFFIC_FILE)

    def _read_again(self, before: LoanChoice) -> LoanChoice:
        try:
            choice = LoanChoice.load(self._directory) or before
        except ConfigError as exc:
            _log.warning("the choice of who lends cannot be read", detail=str(exc))
            return before
        if choice.is_paused != before.is_paused:
            _log.info("paused" if choice.is_paused else "resumed")
        return choice

    def _check_quota(self, choice: LoanChoice) -> None:
        """See that what is not in the store of blocks, which has its own quota, has its room."""
        room = choice.quota_bytes - self._parts.config.quota_bytes
        blocks = self._parts.config.path(self._parts.config.storage.blocks)
        taken = bytes_beside(self._directory, blocks)
        if taken > room:
            raise StoreFullError(
                f"the ledger in {self._directory} takes {taken:,} bytes; of what is lent "
                f"{room:,} are left for it",
                hint="lend more: `bftcluster lend limits --quota SIZE`, and start again",
            )

    async def _leave(self, choice: LoanChoice) -> None:
        """Say what is to be said now, if anything is."""
        step = await self._workers.run(self._next_word, choice)
        if step is None:
            return
        if step == "left":
            _log.info("this peer has left the cluster")
            self._stop.set()
            return
        word = leave(
            self._parts.key,
            cluster_id=self._parts.genesis.cluster_id,
            now_ms=self._clock.wall_ms(),
            is_final=step == "final",
        )
        [ordered] = await self._gateway.order([word.to_bytes()], timeout_s=_ORDER_TIMEOUT_S)
        if ordered is not None and not ordered.outcome.is_accepted:
            _log.warning("the cluster does not let this peer go", detail=ordered.outcome.detail)
        elif ordered is not None:
            _log.info("leaving", detail=ordered.outcome.detail)

    def _next_word(self, choice: LoanChoice) -> str | None:
        with self._parts.store.reader.snapshot() as rows:
            record = queries.peer_of(rows, self._parts.me)
            if record is None:
                # A peer that has not caught up yet does not know that it was let in.
                was_in = queries.reputation_of(rows, self._parts.me) is not None
                return "left" if was_in else None
            if choice.leaves_now:
                return "final"
            if not record.goes_ms:
                return "first"
            return "final" if is_held_by_others(rows, self._parts.me) else None


def is_held_by_others(rows: ManyRowsPort, me: PeerId) -> bool:
    """Return whether so many others reported each pin of a peer as are to hold it at least.

    Who leaves, too, or was evicted does not count. Where fewer others stay than are to hold a pin,
    all have to. What absent peers hold does not count now, but they may come back.
    """
    standings = queries.reputations(rows)
    stay = {
        each.peer
        for each in queries.peers(rows).values()
        if not each.goes_ms and each.peer != me and not standings[each.peer].is_evicted
    }
    here = stay - queries.absent_peers(rows)
    cids = [duty.cid for duty in queries.duties_of(rows, me)]
    for start in range(0, len(cids), _PAGE_PINS):
        pins = queries.pins_of(rows, cids[start : start + _PAGE_PINS])
        if not all(_is_held(pin, here, stay=len(stay)) for pin in pins.values()):
            return False
    return True


def _is_held(pin: PinRecord, here: Collection[PeerId], *, stay: int) -> bool:
    least, _ = reachable(pin.options, pin.replication_min, pin.replication_max, stay)
    held = [holder for holder in pin.holders if holder in here]
    return len(held) >= min(least, stay)


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
