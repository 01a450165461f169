"""Pins over our own blocks: a block store, and the exchange that brings what is missing."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

from bftcluster.blocks.exchange.block_server import Offload
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.blocks.pin_store import ROOTS_MAX, Root, StoreSpace
from bftcluster.blocks.port import BlockStore
from bftcluster.cid import Cid
from bftcluster.ids import PeerId


class BlockPinStore:
    """Implements ``PinStore``."""

    def __init__(self, blocks: BlockStore, exchange: Exchange, offload: Offload) -> None:
        """Keep pins in ``blocks``.

        Args:
            blocks: Where they are kept.
            exchange: Fetches into the same store.
            offload: Runs what blocks.
        """
        self._blocks = blocks
        self._exchange = exchange
        self._offload: Final = offload

    async def present(self, cids: Sequence[Cid]) -> list[bool]:
        """Return for each CID whether it is kept as a root, and all of it is here."""
        return await self._offload(partial(self._present, cids))

    async def pin_present(self, cids: Collection[Cid]) -> Collection[Cid]:
        """Keep, in one transaction, those that are small and all here; return which."""
        return await self._offload(partial(self._blocks.pin_present, cids))

    async def pin(self, cid: Cid, providers: Sequence[PeerId]) -> int:
        """Bring everything below ``cid`` here, and keep it; see ``Exchange.fetch_dag``."""
        report = await self._exchange.fetch_dag(cid, providers)
        return report.content_bytes

    async def unpin(self, cid: Cid) -> None:
        """Keep ``cid`` no longer; its room is free on return."""
        await self._offload(partial(self._blocks.unpin_root, cid))

    async def roots(self, after: bytes = b"", limit: int = ROOTS_MAX) -> list[Root]:
        """Return up to ``limit`` roots that are kept, behind ``after``, sorted by binary CID."""
        return await self._offload(partial(self._blocks.roots, after, limit))

    async def collect_garbage(self) -> None:
        """Delete the blocks that no root keeps."""
        await self._offload(self._blocks.collect_garbage)

    async def stat(self) -> StoreSpace:
        """Return how full the store is."""
        stat = await self._offload(self._blocks.stat)
        return StoreSpace(used_bytes=stat.used_bytes, quota_bytes=stat.quota_bytes)

    def _present(self, cids: Sequence[Cid]) -> list[bool]:
        roots = [self._blocks.find_root(cid) for cid in cids]
        return [root is not None and root.complete for root in roots]
