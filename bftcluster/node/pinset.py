"""Reads of the committed ledger for everything that is not the executor."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import trio

from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.execution import nonce_key
from bftcluster.ledger.records import (
    PeerRecord,
    PinRecord,
    ProposalRecord,
    peer_record,
    pin_record,
    proposal,
)
from bftcluster.ledger.spaces import Space
from bftcluster.ledger.state import POLICY_KEY
from bftcluster.signing.approvals import Intent
from bftcluster.signing.policies import Policy
from bftcluster.storage.ledger_reader import LedgerReader

PAGE_ROWS: Final = 500
_PEERS_AGE_MAX_S: Final = 1.0


class Pinset:
    """The pinset, its proposals, its peers and its policy, as of the last flush."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        self._peers: dict[PeerId, PeerRecord] = {}
        self._peers_at = -_PEERS_AGE_MAX_S

    async def pin(self, cid: Cid) -> PinRecord | None:
        """Return one pin."""
        value = await self._get(Space.PIN, cid)
        return None if value is None else pin_record(value)

    async def pins(self) -> AsyncGenerator[list[PinRecord], None]:
        """Yield all pins, a page at a time, in the order of binary CIDs."""
        async for page in self._pages(Space.PIN):
            yield [pin_record(value) for _, value in page]

    async def page(self, after: Cid, limit: int) -> list[PinRecord]:
        """Return up to ``limit`` pins behind ``after``, in the order of binary CIDs."""
        rows = await trio.to_thread.run_sync(self._reader.iterate, Space.PIN, after, limit)
        return [pin_record(value) for _, value in rows]

    async def pins_of(self, cids: Sequence[Cid]) -> dict[Cid, PinRecord]:
        """Return those of ``cids`` that are pinned."""
        rows = await trio.to_thread.run_sync(self._reader.get_many, Space.PIN, list(cids))
        return {Cid(cid): pin_record(value) for cid, value in rows.items()}

    async def proposal(self, digest: Digest) -> ProposalRecord | None:
        """Return one proposal."""
        value = await self._get(Space.PROPOSAL, digest)
        return None if value is None else proposal(value)

    async def proposals(self) -> AsyncGenerator[list[ProposalRecord], None]:
        """Yield all proposals whose record has not expired."""
        async for page in self._pages(Space.PROPOSAL):
            yield [proposal(value) for _, value in page]

    async def used(self, intents: Sequence[Intent]) -> dict[Digest, Seq]:
        """Return in which batch each of these intents was used or rejected, if it was."""
        keys = [nonce_key(intent) for intent in intents]
        rows = await trio.to_thread.run_sync(self._reader.get_many, Space.NONCE, keys)
        return {
            intent.digest: Seq(int.from_bytes(rows[key], "big"))
            for intent, key in zip(intents, keys, strict=True)
            if key in rows
        }

    async def policy(self) -> Policy:
        """Return the policy in force."""
        return await trio.to_thread.run_sync(self.policy_now)

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
        return await trio.to_thread.run_sync(self._reader.log, first, count)

    async def count(self, space: Space) -> int:
        """Return how many rows a space has."""
        return await trio.to_thread.run_sync(self._reader.count, space)

    async def _get(self, space: Space, key: bytes) -> bytes | None:
        return await trio.to_thread.run_sync(self._reader.get, space, key)

    async def _pages(self, space: Space) -> AsyncGenerator[Sequence[tuple[bytes, bytes]], None]:
        after = b""
        while page := await trio.to_thread.run_sync(self._reader.iterate, space, after, PAGE_ROWS):
            yield page
            after = page[-1][0]

    def _read_peers(self) -> dict[PeerId, PeerRecord]:
        peers: dict[PeerId, PeerRecord] = {}
        after = b""
        while page := self._reader.iterate(Space.PEER, after, PAGE_ROWS):
            peers.update((PeerId(key), peer_record(value)) for key, value in page)
            after = page[-1][0]
        return peers
