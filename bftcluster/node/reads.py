"""Reads of the committed ledger for everything that is not the executor."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.beacon_state import BeaconState
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import ClosedProposal, Head, PinRecord, ProposalRecord
from bftcluster.ledger.state.repairs import WaitingPin
from bftcluster.node.process.threads import Workers
from bftcluster.signing.policies import Policy
from bftcluster.storage.ledger_reader import LedgerReader

T = TypeVar("T")

PAGE_ROWS: Final = 500
_PROPOSALS_PAGE_ROWS: Final = 100
"""Each has up to 64 KiB."""
_PEERS_AGE_MAX_S: Final = 1.0


class LedgerReads:
    """The pinset, its proposals, its peers and its policy, as of the last flush."""

    def __init__(self, reader: LedgerReader, *, workers: Workers, lists: Workers) -> None:
        """Prepare.

        Args:
            reader: Of the ledger.
            workers: Look single things up.
            lists: Read the pages of what is long.
        """
        self._reader = reader
        self._workers = workers
        self._lists = lists
        self._peers: dict[PeerId, PeerRecord] = {}
        self._absent: frozenset[PeerId] = frozenset()
        self._peers_at = -_PEERS_AGE_MAX_S
        self._looking = trio.Lock()

    async def pin(self, cid: Cid) -> PinRecord | None:
        """Return one pin."""
        return (await self.pins_of([cid])).get(cid)

    async def pins(self) -> AsyncGenerator[list[PinRecord], None]:
        """Yield all pins, a page at a time, in the order of binary CIDs."""
        after = Cid(b"")
        while page := await self.page(after, PAGE_ROWS):
            yield page
            after = page[-1].cid

    async def page(self, after: Cid, limit: int, *, of: Collection[PeerId] = ()) -> list[PinRecord]:
        """Return up to ``limit`` pins behind ``after``, in the order of binary CIDs.

        Args:
            after: The last CID of the page before.
            limit: At most so many.
            of: Whose reports are wanted, if not everybody's.
        """
        return await self._lists.run(
            partial(queries.pins_behind, self._reader, after, limit, of=of)
        )

    async def pins_of(self, cids: Sequence[Cid]) -> dict[Cid, PinRecord]:
        """Return those of ``cids`` that are pinned."""
        return await self._workers.run(queries.pins_of, self._reader, cids)

    async def repairs(self, limit: int) -> list[tuple[WaitingPin, PinRecord]]:
        """Return the first pins that wait for other holders, the most endangered first."""
        return await self._lists.run(self._repairs, limit)

    async def proposal(self, digest: Digest) -> ProposalRecord | ClosedProposal | None:
        """Return one proposal."""
        return await self._workers.run(queries.proposal_of, self._reader, digest)

    async def proposals(self, show: Callable[[ProposalRecord], T]) -> AsyncGenerator[list[T], None]:
        """Yield what ``show`` makes of the open proposals, a page at a time, in a thread."""
        after = b""
        while True:
            shown, after = await self._lists.run(self._show_proposals, after, show)
            if not after:
                return
            yield shown

    async def policy(self) -> Policy:
        """Return the policy in force."""
        return await self._workers.run(self.policy_now)

    def policy_now(self) -> Policy:
        """Return the policy in force; blocks for one read."""
        return queries.policy_in_force(self._reader)

    def knows_all(self) -> bool:
        """Return that what is not in the ledger is not pinned."""
        return True

    async def peers(self) -> Mapping[PeerId, PeerRecord]:
        """Return every admitted peer; at most a second old when it is asked for.

        A thread reads them, a page at a time: with ten thousand peers that takes tenths of a
        second.
        """
        now_s = trio.current_time()
        async with self._looking:
            if now_s - self._peers_at >= _PEERS_AGE_MAX_S:
                self._peers, self._absent = await self._lists.run(self._look_at_peers)
                self._peers_at = now_s
        return self._peers

    async def absent(self) -> frozenset[PeerId]:
        """Return whose copies do not count, as nothing was heard of them; as old as ``peers``."""
        await self.peers()
        return self._absent

    async def log_entries(self, first: Seq, count: int) -> list[bytes]:
        """Return up to ``count`` contiguous log entries from ``first``."""
        return await self._workers.run(self._reader.log, first, count)

    async def head(self) -> Head:
        """Return how far the log was executed, and how much there is of what."""
        return await self._workers.run(queries.head_of, self._reader)

    def _look_at_peers(self) -> tuple[dict[PeerId, PeerRecord], frozenset[PeerId]]:
        return queries.peers(self._reader), queries.absent_peers(self._reader)

    def _repairs(self, limit: int) -> list[tuple[WaitingPin, PinRecord]]:
        waiting = [each for _, each in queries.repairs_behind(self._reader, b"", limit)]
        pins = queries.pins_of(self._reader, [each.cid for each in waiting])
        return [(each, pins[each.cid]) for each in waiting if each.cid in pins]

    async def beacon(self) -> BeaconState:
        """Return who makes beacons, what is being dealt, and the last beacons."""
        return await self._workers.run(self._beacon)

    def _beacon(self) -> BeaconState:
        with self._reader.snapshot() as rows:
            return queries.beacon_of(rows)

    def _show_proposals(
        self, after: bytes, show: Callable[[ProposalRecord], T]
    ) -> tuple[list[T], bytes]:
        """Return what is shown of a page, and its last key; none behind the last page."""
        page, last = queries.open_proposals_behind(self._reader, after, _PROPOSALS_PAGE_ROWS)
        return [show(record) for record in page], last
