"""Shows a tracker the duties of a light peer as it would see a ledger's pins."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state.duties import Duty
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.light.light_peer import LightPeer
from bftcluster.limits import DIGEST_SIZE_BYTES

_UNKNOWN: Final = Digest(bytes(DIGEST_SIZE_BYTES))


class DutyReads:
    """Pins of which only that they are ours is known."""

    def __init__(self, peer: LightPeer, *, counter_min: int) -> None:
        """Prepare.

        Args:
            peer: Knows what was proven.
            counter_min: Of the first announcement of this life, where no memory of an earlier one
                is left: what is proven before the cluster heard that one may be older than what is
                here.
        """
        self._peer = peer
        self._counter_min = counter_min

    async def pin(self, cid: Cid) -> PinRecord | None:
        """Return one pin, if it is ours."""
        return self._record(cid)

    async def pins_of(self, cids: Sequence[Cid]) -> dict[Cid, PinRecord]:
        """Return those of ``cids`` that are ours."""
        records = [self._record(cid) for cid in cids]
        return {record.cid: record for record in records if record is not None}

    async def page(self, after: Cid, limit: int, *, of: Collection[PeerId] = ()) -> list[PinRecord]:
        """Return up to ``limit`` of ours behind ``after``, in the order of binary CIDs."""
        cids = self._peer.book.cids
        start = bisect_right(cids, after)
        return list((await self.pins_of(cids[start : start + limit])).values())

    def knows_all(self) -> bool:
        """Return whether what is not proven to be a duty is none: old proofs show no removal."""
        record = self._peer.record
        counter = 0 if record is None else record.counter
        return self._peer.book.seq > 0 and counter >= self._counter_min

    async def peers(self) -> Mapping[PeerId, PeerRecord]:
        """Return nobody: a light peer knows of no other."""
        return {}

    async def absent(self) -> frozenset[PeerId]:
        """Return nobody, for the same reason."""
        return frozenset()

    def _record(self, cid: Cid) -> PinRecord | None:
        book, me = self._peer.book, self._peer.me
        duty = book.proven.get(cid)
        if duty is None and cid not in book.hinted:
            return None
        known = duty or Duty(number=0, cid=cid)
        report = known.report_of(me)
        return PinRecord(
            number=known.number,
            options=PinOperation(cid=cid),
            replication_min=1,
            replication_max=1,
            allocations=(me,),
            slots=(0,),
            timestamp_ms=known.reported_ms,
            seq=Seq(0),
            intent_digest=_UNKNOWN,
            approvers=(),
            reports=() if report is None else (report,),
        )
