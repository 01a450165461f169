"""What nobody wants any more goes when an operator asks for it."""

from dataclasses import dataclass

from bftcluster.api.views import GarbageView
from bftcluster.blocks.pin_store import PinStore
from bftcluster.ids import PeerId
from bftcluster.node.ports import Clock
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.reads import LedgerReads


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageCollector:
    """Implements the API's port of garbage."""

    me: PeerId
    name: str
    store: PinStore
    reads: LedgerReads
    temporary_roots: TemporaryRoots
    clock: Clock

    async def collect_garbage(self) -> GarbageView:
        """Delete what neither a pin nor a recent upload keeps; return the roots given up."""
        given_up = []
        for root in await self.store.roots():
            kept = self.temporary_roots.is_kept(root.cid, wall_ms=self.clock.wall_ms())
            if not kept and await self.reads.pin(root.cid) is None:
                await self.store.unpin(root.cid)
                given_up.append(root.cid)
        await self.store.collect_garbage()
        return GarbageView(peer=self.me, peername=self.name, roots=tuple(given_up))
