"""Brings here what a client wants to read and another peer holds."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bftcluster.blocks.exchange.fetch_report import FetchFailedError
from bftcluster.blocks.pin_store import PinStore
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError
from bftcluster.ids import PeerId
from bftcluster.node.ports import Clock
from bftcluster.node.process.temporary_roots import READ_KEEP_MS, TemporaryRoots
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.pins.provider_order import provider_order


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFetch:
    """Fetches for readers; what it brought stays for a while, and no longer."""

    store: PinStore
    reads: LedgerReads
    temporary_roots: TemporaryRoots
    clock: Clock
    connected: Callable[[], Sequence[PeerId]]
    workers: Workers

    async def fetch(self, cid: Cid) -> None:
        """Bring a whole DAG here.

        Raises:
            BlockNotFoundError: Nobody has it.
            NotReachedError: Nobody brought it.
        """
        record = await self.reads.pin(cid)
        holders = () if record is None else record.holders
        providers = provider_order(self.connected(), holders)
        wall_ms = self.clock.wall_ms()
        kept = self.temporary_roots.keeping(cid, until_ms=wall_ms + READ_KEEP_MS, wall_ms=wall_ms)
        with ExitStack() as stack:
            await self.workers.run(stack.enter_context, kept)
            try:
                await self.store.pin(cid, providers)
            except FetchFailedError as exc:
                if providers and all(provider.fault is None for provider in exc.providers):
                    lacking = f"nobody has all of {text(cid)}"
                    raise BlockNotFoundError(lacking, hint=exc.hint) from exc
                raise
