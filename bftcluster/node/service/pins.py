"""What peers have done about pins, and what this peer may propose in a maintainer's name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bftcluster.api.http.errors import PinNotFoundError
from bftcluster.api.views import Pages, PinOutcome, PinStatusView, RepairView
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.replication import status_of
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.node.ingress.delegated_proposals import DelegatedProposer
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.ports import Clock
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.pin_views import pin_status_view, unpinned_view


@dataclass(frozen=True, slots=True, kw_only=True)
class PinService:
    """Implements the API's port of pins."""

    reads: LedgerReads
    tracker: TrackerLoop
    proposer: DelegatedProposer
    clock: Clock
    own_record: Callable[[], PeerRecord]

    async def pin_statuses(self, *, local: bool) -> Pages[PinStatusView]:
        """Yield the status of the whole pinset."""
        async for page in self.reads.pins():
            yield await self._status_views(page, local=local)

    async def pin_status(self, cid: Cid, *, local: bool) -> PinStatusView:
        """Return the status of any CID."""
        record = await self.reads.pin(cid)
        if record is None:
            return unpinned_view(cid, await self._shown_peers(local=local))
        [view] = await self._status_views([record], local=local)
        return view

    async def repairs(self, limit: int) -> Sequence[RepairView]:
        """Return the first pins that wait for other holders."""
        peers = (await self.reads.peers()).values()
        return [
            RepairView(
                pin=pin,
                live=waiting.live,
                needed=status_of(pin, peers).needed,
                is_urgent=waiting.is_urgent,
            )
            for waiting, pin in await self.reads.repairs(limit)
        ]

    async def propose_pin(self, operation: PinOperation) -> PinOutcome:
        """Propose a pin in the name of this peer's maintainer key."""
        proposed = await self.proposer.propose(operation)
        record = await self.reads.pin(operation.cid) if proposed.committed else None
        return PinOutcome(
            pin=operation if record is None else record,
            proposed_ms=self.clock.wall_ms(),
            committed=proposed.committed,
            proposal=proposed.digest,
        )

    async def propose_unpin(self, cid: Cid) -> PinOutcome:
        """Propose an unpin likewise."""
        record = await self._pin(cid)
        proposed = await self.proposer.propose(UnpinOperation(cid=cid))
        return PinOutcome(
            pin=record,
            proposed_ms=self.clock.wall_ms(),
            committed=proposed.committed,
            proposal=proposed.digest,
        )

    async def recover(self, cid: Cid) -> PinStatusView:
        """Retry this peer's failed work on one CID now."""
        record = await self._pin(cid)
        self.tracker.recover(cid)
        [view] = await self._status_views([record], local=True)
        return view

    async def recover_all(self) -> Pages[PinStatusView]:
        """Retry all of this peer's failed work now."""
        for cid in self.tracker.recover_all():
            record = await self.reads.pin(cid)
            if record is not None:
                yield await self._status_views([record], local=True)

    async def _pin(self, cid: Cid) -> PinRecord:
        record = await self.reads.pin(cid)
        if record is None:
            raise PinNotFoundError
        return record

    async def _status_views(
        self, records: Sequence[PinRecord], *, local: bool
    ) -> list[PinStatusView]:
        peers, absent = await self._shown_peers(local=local), await self.reads.absent()
        infos = await self.tracker.infos(records)
        return [
            pin_status_view(record, peers, own=info, absent=absent)
            for record, info in zip(records, infos, strict=True)
        ]

    async def _shown_peers(self, *, local: bool) -> Mapping[PeerId, PeerRecord]:
        if not local:
            return await self.reads.peers()
        own = self.own_record()
        return {own.peer: own}
