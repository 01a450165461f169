"""What peers have done about pins, and what this peer may propose in a maintainer's name."""

from collections.abc import Callable, Sequence

from bftcluster.api.http.errors import PinNotFoundError
from bftcluster.api.views import Pages, PinOutcome, PinStatusView
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.records import PeerRecord, PinRecord
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.node.ingress.delegated_proposals import DelegatedProposer
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.ports import Clock
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.pin_views import pin_status_view, unpinned_view


class PinService:
    """Implements the API's port of pins."""

    def __init__(
        self,
        *,
        reads: LedgerReads,
        tracker: TrackerLoop,
        proposer: DelegatedProposer,
        clock: Clock,
        own_record: Callable[[], PeerRecord],
    ) -> None:
        self._reads = reads
        self._tracker = tracker
        self._proposer = proposer
        self._clock = clock
        self._own_record = own_record

    async def pin_statuses(self, *, local: bool) -> Pages[PinStatusView]:
        """Yield the status of the whole pinset."""
        async for page in self._reads.pins():
            yield await self._status_views(page, local=local)

    async def pin_status(self, cid: Cid, *, local: bool) -> PinStatusView:
        """Return the status of any CID."""
        record = await self._reads.pin(cid)
        if record is None:
            return unpinned_view(cid, self._shown_peers(local=local))
        [view] = await self._status_views([record], local=local)
        return view

    async def propose_pin(self, operation: PinOperation) -> PinOutcome:
        """Propose a pin in the name of this peer's maintainer key."""
        proposed = await self._proposer.propose(operation)
        record = await self._reads.pin(operation.cid) if proposed.committed else None
        return PinOutcome(
            pin=operation if record is None else record,
            proposed_ms=self._clock.wall_ms(),
            committed=proposed.committed,
            proposal=proposed.digest,
        )

    async def propose_unpin(self, cid: Cid) -> PinOutcome:
        """Propose an unpin likewise."""
        record = await self._pin(cid)
        proposed = await self._proposer.propose(UnpinOperation(cid=cid))
        return PinOutcome(
            pin=record,
            proposed_ms=self._clock.wall_ms(),
            committed=proposed.committed,
            proposal=proposed.digest,
        )

    async def recover(self, cid: Cid) -> PinStatusView:
        """Retry this peer's failed work on one CID now."""
        record = await self._pin(cid)
        self._tracker.recover(cid)
        [view] = await self._status_views([record], local=True)
        return view

    async def recover_all(self) -> Pages[PinStatusView]:
        """Retry all of this peer's failed work now."""
        for cid in self._tracker.recover_all():
            record = await self._reads.pin(cid)
            if record is not None:
                yield await self._status_views([record], local=True)

    async def _pin(self, cid: Cid) -> PinRecord:
        record = await self._reads.pin(cid)
        if record is None:
            raise PinNotFoundError
        return record

    async def _status_views(
        self, records: Sequence[PinRecord], *, local: bool
    ) -> list[PinStatusView]:
        peers = self._shown_peers(local=local)
        infos = await self._tracker.infos(records)
        return [
            pin_status_view(record, peers, own=info)
            for record, info in zip(records, infos, strict=True)
        ]

    def _shown_peers(self, *, local: bool) -> dict[PeerId, PeerRecord]:
        if not local:
            return self._reads.peers()
        own = self._own_record()
        return {own.peer: own}
