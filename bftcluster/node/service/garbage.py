"""What nobody wants any more goes when an operator asks for it."""

from bftcluster.api.views import GarbageView
from bftcluster.blocks.pin_store import PinStore
from bftcluster.ids import PeerId
from bftcluster.node.ports import Clock
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.reads import LedgerReads


class GarbageCollector:
    """Implements the API's port of garbage."""

    def __init__(
        self,
        *,
        me: PeerId,
        name: str,
        store: PinStore,
        reads: LedgerReads,
        temporary_roots: TemporaryRoots,
        clock: Clock,
    ) -> None:
        self._me = me
        self._name = name
        self._store = store
        self._reads = reads
        self._temporary_roots = temporary_roots
        self._clock = clock

    async def collect_garbage(self) -> GarbageView:
        """Delete what neither a pin nor a recent upload keeps; return the roots given up."""
        given_up = []
        for root in await self._store.roots():
            kept = self._temporary_roots.is_kept(root.cid, wall_ms=self._clock.wall_ms())
            if not kept and await self._reads.pin(root.cid) is None:
                await self._store.unpin(root.cid)
                given_up.append(root.cid)
        await self._store.collect_garbage()
        return GarbageView(peer=self._me, peername=self._name, roots=tuple(given_up))
