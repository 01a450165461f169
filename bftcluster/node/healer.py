"""Brings damaged blocks back from other peers: for a reader who waits, or when a scrub found them.

The store knows what is damaged, also after a restart, so nothing here has to be remembered.
"""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import trio

from bftcluster.blocks.block import key_of, raw_cid
from bftcluster.blocks.exchange import Exchange
from bftcluster.blocks.store import EmbeddedStore
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError, ClusterError
from bftcluster.ids import PeerId
from bftcluster.node.logs import log_for
from bftcluster.node.threads import Workers

_LOOK_INTERVAL_S: Final = 10.0
_PER_LOOK_MAX: Final = 64

_log = log_for("blocks")


class Healer:
    """Asks the peers that are connected for blocks that the disk has lost."""

    def __init__(
        self,
        *,
        blocks: EmbeddedStore,
        exchange: Exchange,
        connected: Callable[[], Sequence[PeerId]],
        workers: Workers,
    ) -> None:
        self._blocks = blocks
        self._workers = workers
        self._exchange = exchange
        self._connected = connected
        self._under_way: dict[Cid, trio.Event] = {}

    async def run(self) -> NoReturn:
        """Heal what is found damaged, until cancelled."""
        while True:
            try:
                await self.heal_all()
            except ClusterError as exc:
                _log.warning("what is damaged cannot be looked up", reason=str(exc))
            await trio.sleep(_LOOK_INTERVAL_S)

    async def heal_all(self) -> None:
        """Try once to heal what is damaged now, so many blocks at most."""
        for cid in await self._workers.run(self._blocks.damaged, _PER_LOOK_MAX):
            try:
                await self.heal(cid)
            except ClusterError as exc:
                _log.warning("a damaged block cannot be healed", cid=text(cid), reason=str(exc))

    async def heal(self, cid: Cid) -> bytes:
        """Return a block that is damaged here, from a peer that has it; keep it, if the disk can.

        Raises:
            BlockNotFoundError: No peer that is connected has it.
        """
        raw = raw_cid(key_of(cid))
        under_way = self._under_way.get(raw)
        if under_way is not None:
            await under_way.wait()
            return await self._workers.run(self._get, raw)
        self._under_way[raw] = trio.Event()
        try:
            return await self._bring(raw)
        finally:
            self._under_way.pop(raw).set()

    async def _bring(self, cid: Cid) -> bytes:
        _log.warning("a block on the disk is damaged", cid=text(cid))
        data = await self._exchange.fetch_block(cid, self._connected())
        try:
            await self._workers.run(self._blocks.put, cid, data)
        except ClusterError as exc:
            _log.warning("a damaged block cannot be written", cid=text(cid), reason=str(exc))
        else:
            _log.warning("a damaged block was healed", cid=text(cid))
        return data

    def _get(self, cid: Cid) -> bytes:
        """Return the block that somebody else has just tried to heal; blocks."""
        try:
            return self._blocks.get(cid)
        except ClusterError as exc:
            raise BlockNotFoundError(f"{text(cid)} is damaged, and not to be had: {exc}") from None
