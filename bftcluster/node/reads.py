"""Reads of the committed ledger for everything that is not the executor."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import trio

from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state.holder_reports import reports_of, row_key
from bftcluster.ledger.state.records import (
    ClosedProposal,
    Head,
    PeerRecord,
    PinRecord,
    ProposalRecord,
    head,
    peer_record,
    pin_record,
    proposal,
)
from bftcluster.ledger.state.spaces import Space
from bftcluster.ledger.state.state import HEAD_KEY, POLICY_KEY
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
        self._peers_at = -_PEERS_AGE_MAX_S

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
        return await self._lists.run(self._read_page, after, limit, of)

    async def pins_of(self, cids: Sequence[Cid]) -> dict[Cid, PinRecord]:
        """Return those of ``cids`` that are pinned."""
        return await self._workers.run(self._read_pins, cids)

    async def proposal(self, digest: Digest) -> ProposalRecord | ClosedProposal | None:
        """Return one proposal."""
        value = await self._get(Space.PROPOSAL, digest)
        return None if value is None else proposal(value)

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
        version = self._reader.get(Space.META, POLICY_KEY)
        assert version is not None, "an open ledger has a policy"
        value = self._reader.get(Space.POLICY, version)
        assert value is not None, "the policy in force is kept"
        return Policy.from_bytes(value)

    def peers(self) -> dict[PeerId, PeerRecord]:
        """Return every admitted peer; at most a second old, blocks for one read."""
        now = trio.current_time()
        if now - self._peers_at >= _PEERS_AGE_MAX_S:
            self._peers = self._read_peers()
            self._peers_at = now
        return self._peers

    async def log_entries(self, first: Seq, count: int) -> list[bytes]:
        """Return up to ``count`` contiguous log entries from ``first``."""
        return await self._workers.run(self._reader.log, first, count)

    async def head(self) -> Head:
        """Return how far the log was executed, and how much there is of what."""
        value = await self._get(Space.META, HEAD_KEY)
        assert value is not None, "an open ledger has a head"
        return head(value)

    async def _get(self, space: Space, key: bytes) -> bytes | None:
        return await self._workers.run(self._reader.get, space, key)

    def _show_proposals(
        self, after: bytes, show: Callable[[ProposalRecord], T]
    ) -> tuple[list[T], bytes]:
        """Return what is shown of a page, and its last key; none behind the last page."""
        rows = self._reader.iterate(Space.PROPOSAL, after, _PROPOSALS_PAGE_ROWS)
        records = [proposal(value) for _, value in rows]
        shown = [show(record) for record in records if isinstance(record, ProposalRecord)]
        return shown, rows[-1][0] if rows else b""

    def _read_page(self, after: Cid, limit: int, of: Collection[PeerId]) -> list[PinRecord]:
        rows = self._reader.iterate(Space.PIN, after, limit)
        return self._with_reports([pin_record(value) for _, value in rows], of)

    def _read_pins(self, cids: Sequence[Cid]) -> dict[Cid, PinRecord]:
        rows = self._reader.get_many(Space.PIN, cids)
        records = self._with_reports([pin_record(value) for value in rows.values()])
        return {record.cid: record for record in records}

    def _with_reports(
        self, records: Sequence[PinRecord], of: Collection[PeerId] = ()
    ) -> list[PinRecord]:
        everybody = self._read_peers() if any(record.is_everywhere for record in records) else ()
        asked = [of or record.allocations or everybody for record in records]
        pairs = zip(records, asked, strict=True)
        keys = sorted({row_key(peer, pin.number) for pin, peers in pairs for peer in peers})
        rows: dict[bytes, bytes] = {}
        for start in range(0, len(keys), PAGE_ROWS):
            rows |= self._reader.get_many(Space.HOLDING, keys[start : start + PAGE_ROWS])
        return [
            replace(pin, reports=reports_of(pin.number, peers, rows.get))
            for pin, peers in zip(records, asked, strict=True)
        ]

    def _read_peers(self) -> dict[PeerId, PeerRecord]:
        peers: dict[PeerId, PeerRecord] = {}
        after = b""
        while page := self._reader.iterate(Space.PEER, after, PAGE_ROWS):
            peers.update((PeerId(key), peer_record(value)) for key, value in page)
            after = page[-1][0]
        return peers
