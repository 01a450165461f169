"""What nobody wants any more goes when an operator asks for it."""

from bftcluster.api.views import GarbageView
from bftcluster.blocks.store import EmbeddedStore
from bftcluster.ids import PeerId
from bftcluster.node.ports import Clock
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads


class GarbageCollector:
    """Implements the API's port of garbage."""

    def __init__(
        self,
        *,
        me: PeerId,
        name: str,
        blocks: EmbeddedStore,
        reads: LedgerReads,
        temporary_roots: TemporaryRoots,
        clock: Clock,
        workers: Workers,
    ) -> None:
        self._me = me
        self._name = name
        self._blocks = blocks
        self._reads = reads
        self._temporary_roots = temporary_roots
        self._clock = clock
        self._workers = workers

    async def collect_garbage(self) -> GarbageView:
        """Delete blocks that neither a pin nor a recent upload keeps; return the roots given up."""
        given_up = []
        for root in await self._workers.run(self._blocks.roots):
            kept = self._temporary_roots.is_kept(root.cid, wall_ms=self._clock.wall_ms())
            if not kept and await self._reads.pin(root.cid) is None:
                await self._workers.run(self._blocks.unpin_root, root.cid)
                given_up.append(root.cid)
        await self._workers.run(self._blocks.collect_garbage)
        return GarbageView(peer=self._me, peername=self._name, roots=tuple(given_up))
