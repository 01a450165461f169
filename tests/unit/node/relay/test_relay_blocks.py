"""Whom a relay asks for blocks that it lacks, and on whose behalf."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
import trio
import trio.testing

from bftcluster.blocks.exchange.exchange_messages import Want
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import BlockNotFoundError, RefusedError
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.node.relay.relay_blocks import RELAY_TAG, RelayedBlocks, relays_of
from bftcluster.shell_limits import (
    RELAYED_PER_PEER_MAX,
    RELAYED_READ_TIME_MAX_S,
    RELAYED_THREADS,
)
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id

LIGHT, OTHER_LIGHT = PeerId(b"l" * 32), PeerId(b"m" * 32)
VOTER, HOLDER = peer_id(PEERS[0]), peer_id(PEERS[1])


def want(*cids: Cid, holder: PeerId | None = None) -> Want:
    return Want(request=1, window_bytes=1, leaf_budget_bytes=0, cids=cids, holder=holder)


class Known(NamedTuple):
    records: dict[PeerId, PeerRecord]


class Here(NamedTuple):
    guests: tuple[PeerId, ...]
    connected: tuple[PeerId, ...]


class Relaying:
    """A relay with two guests and two full peers, and whom it asked."""

    def __init__(self, holders: Sequence[PeerId]) -> None:
        self.holders = tuple(holders)
        self.asked: list[tuple[Cid, list[PeerId]]] = []
        self.elsewhere: dict[Cid, bytes] = {}
        self.guests = [LIGHT, OTHER_LIGHT]
        self.is_asking = trio.Event()
        self.silent: set[Cid] = set()
        """What those who are asked do not even say that they lack."""
        world = World(genesis_of(replication_min=1, replication_max=1))
        world.join_all()
        assert world.pin(cid_of(1)).is_accepted
        self.record = world.record(cid_of(1))
        self.store = MemoryBlockStore()
        self.blocks = RelayedBlocks(
            store=self.store,
            fetch_block=self.fetch,
            pin=self.pin,
            guests=lambda: self.guests,
            connected=lambda: [VOTER, HOLDER],
            records=dict,
        )

    async def fetch(self, cid: Cid, providers: Sequence[PeerId]) -> bytes:
        self.asked.append((cid, list(providers)))
        self.is_asking.set()
        if cid in self.silent:
            await trio.sleep_forever()
        if cid not in self.elsewhere:
            raise BlockNotFoundError("nobody has it")
        return self.elsewhere[cid]

    async def pin(self, cid: Cid) -> PinRecord | None:
        if self.record is None or cid != self.record.cid:
            return None
        return replace(self.record, allocations=self.holders, slots=(0,) * len(self.holders))

    async def ask(self, peer: PeerId, *cids: Cid, holder: PeerId | None = None) -> list[PeerId]:
        """Return whom the relay asks for a block that ``peer`` wants."""
        found = await self.blocks.source_for(peer, want(*cids, holder=holder))
        if found is None:
            return []
        source, offload = found
        before = len(self.asked)
        with suppress(BlockNotFoundError):
            await offload(lambda: source.get(cids[0]))
        return self.asked[before][1] if len(self.asked) > before else []


async def test_for_a_full_peer_only_light_peers_that_hold_the_pin_are_asked() -> None:
    assert await Relaying([LIGHT, HOLDER]).ask(VOTER, cid_of(1)) == [LIGHT]
    assert await Relaying([HOLDER]).ask(VOTER, cid_of(1)) == []
    assert await Relaying([LIGHT]).ask(VOTER, cid_of(2)) == []


async def test_the_copy_of_one_light_peer_is_asked_of_it_alone_though_it_is_here() -> None:
    """A voter that looks for deleted blocks is not shown those of the relay, or of others."""
    relaying = Relaying([LIGHT, OTHER_LIGHT, HOLDER])
    relaying.store.put_many([Block.check(cid_of(1), b"block 1")])

    assert await relaying.ask(VOTER, cid_of(1), holder=LIGHT) == [LIGHT]
    relaying.elsewhere[cid_of(1)] = b"block 1"
    assert await relaying.ask(VOTER, cid_of(1), holder=LIGHT) == [LIGHT]
    assert await relaying.blocks.source_for(VOTER, want(cid_of(1), holder=HOLDER)) is None
    relaying.guests.remove(LIGHT)
    assert await relaying.blocks.source_for(VOTER, want(cid_of(1), holder=LIGHT)) is None


def test_relays_are_asked_for_light_peers_that_are_not_here_and_for_nobody_else() -> None:
    record = partial(PeerRecord, name="", addresses=(), is_replica=False)
    records = {
        LIGHT: record(peer=LIGHT, terms=PeerTerms(is_light=True)),
        VOTER: record(peer=VOTER, tags=(RELAY_TAG,)),
        HOLDER: record(peer=HOLDER),
    }

    def asked(peer: PeerId, *guests: PeerId) -> list[PeerId]:
        return relays_of(Known(records), Here(guests, (VOTER, HOLDER)), peer)

    assert asked(LIGHT) == [VOTER]
    assert asked(LIGHT, LIGHT) == asked(HOLDER) == asked(OTHER_LIGHT) == []


async def test_for_a_light_peer_holders_are_asked_first_and_then_others() -> None:
    relaying = Relaying([LIGHT, OTHER_LIGHT, HOLDER])

    assert await relaying.ask(LIGHT, cid_of(1)) == [OTHER_LIGHT, HOLDER, VOTER]
    assert await relaying.ask(LIGHT, cid_of("a block below")) == [OTHER_LIGHT, HOLDER, VOTER]


async def test_what_is_found_elsewhere_is_served_and_not_kept() -> None:
    relaying = Relaying([OTHER_LIGHT])
    block = Block.check(cid_of(1), b"block 1")
    relaying.elsewhere[block.cid] = block.data
    found = await relaying.blocks.source_for(LIGHT, want(block.cid))
    assert found is not None
    source, offload = found

    assert await offload(lambda: source.get(block.cid)) == block.data
    assert source.has_many([block.cid, cid_of(5)]) == [True, True]
    assert len(relaying.asked) == 1
    await offload(lambda: source.get(block.cid))
    assert len(relaying.asked) == 2


async def test_a_block_that_does_not_come_is_waited_for_only_so_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    relaying = Relaying([OTHER_LIGHT])
    relaying.silent = {cid_of(1), cid_of(2)}
    found = await relaying.blocks.source_for(LIGHT, want(cid_of(1)))
    assert found is not None
    source, offload = found

    def read_both() -> None:
        with suppress(BlockNotFoundError):
            source.get(cid_of(1))
        source.get(cid_of(2))

    with pytest.raises(RefusedError):
        await offload(read_both)

    assert trio.current_time() == pytest.approx(RELAYED_READ_TIME_MAX_S)
    assert [cid for cid, _ in relaying.asked] == [cid_of(1)]


async def test_guests_that_ask_for_what_nobody_has_keep_no_other_waiting() -> None:
    relaying = Relaying([OTHER_LIGHT])
    idle = [PeerId(bytes([n]) * 32) for n in range(RELAYED_THREADS // RELAYED_PER_PEER_MAX)]
    relaying.guests += idle
    relaying.elsewhere[cid_of(1)] = b"block 1"
    for guest in idle:
        await relaying.ask(guest, cid_of(2))
    relaying.silent = {cid_of(2)}
    async with trio.open_nursery() as nursery:
        for guest in idle * RELAYED_PER_PEER_MAX:
            nursery.start_soon(relaying.ask, guest, cid_of(2))
        await trio.testing.wait_all_tasks_blocked()

        with trio.fail_after(RELAYED_READ_TIME_MAX_S / 4):
            assert await relaying.ask(LIGHT, cid_of(1))
        nursery.cancel_scope.cancel()


async def test_who_asks_for_what_there_is_is_not_doubted_any_more() -> None:
    relaying = Relaying([OTHER_LIGHT])
    relaying.elsewhere[cid_of(1)] = b"block 1"

    await relaying.ask(LIGHT, cid_of(2))
    assert relaying.blocks.doubted == {LIGHT}
    await relaying.ask(LIGHT, cid_of(1))

    assert not relaying.blocks.doubted


async def test_who_cancels_what_does_not_come_is_doubted_unless_it_was_quick(
    autojump_clock: trio.testing.MockClock,
) -> None:
    relaying = Relaying([OTHER_LIGHT])
    relaying.silent = {cid_of(2)}

    async def cancel_after(seconds: float) -> None:
        relaying.is_asking = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relaying.ask, LIGHT, cid_of(2))
            await relaying.is_asking.wait()
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()

    await cancel_after(0.5)
    assert not relaying.blocks.doubted
    await cancel_after(5)

    assert relaying.blocks.doubted == {LIGHT}


async def test_peers_that_are_gone_are_forgotten() -> None:
    relaying = Relaying([OTHER_LIGHT])
    await relaying.ask(LIGHT, cid_of(2))

    relaying.guests = [OTHER_LIGHT]
    await relaying.ask(OTHER_LIGHT, cid_of(2))

    assert relaying.blocks.doubted == {OTHER_LIGHT}
