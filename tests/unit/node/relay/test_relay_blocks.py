"""Whom a relay asks for blocks that it lacks, and on whose behalf."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import BlockNotFoundError
from bftcluster.ids import PeerId
from bftcluster.ledger.state.records import PinRecord
from bftcluster.node.relay.relay_blocks import RelayedBlocks
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id

LIGHT, OTHER_LIGHT = PeerId(b"l" * 32), PeerId(b"m" * 32)
VOTER, HOLDER = peer_id(PEERS[0]), peer_id(PEERS[1])


class Relaying:
    """A relay with two guests and two full peers, and whom it asked."""

    def __init__(self, holders: Sequence[PeerId]) -> None:
        self.holders = tuple(holders)
        self.asked: list[tuple[Cid, list[PeerId]]] = []
        self.elsewhere: dict[Cid, bytes] = {}
        world = World(genesis_of(replication_min=1, replication_max=1))
        world.join_all()
        assert world.pin(cid_of(1)).is_accepted
        self.record = world.record(cid_of(1))
        self.blocks = RelayedBlocks(
            store=MemoryBlockStore(),
            fetch_block=self.fetch,
            pin=self.pin,
            guests=lambda: [LIGHT, OTHER_LIGHT],
            connected=lambda: [VOTER, HOLDER],
            records=dict,
        )

    async def fetch(self, cid: Cid, providers: Sequence[PeerId]) -> bytes:
        self.asked.append((cid, list(providers)))
        if cid not in self.elsewhere:
            raise BlockNotFoundError("nobody has it")
        return self.elsewhere[cid]

    async def pin(self, cid: Cid) -> PinRecord | None:
        if self.record is None or cid != self.record.cid:
            return None
        return replace(self.record, allocations=self.holders, slots=(0,) * len(self.holders))

    async def ask(self, peer: PeerId, *cids: Cid) -> list[PeerId]:
        """Return whom the relay asks for a block that ``peer`` wants."""
        found = await self.blocks.source_for(peer, cids)
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


async def test_for_a_light_peer_holders_are_asked_first_and_then_others() -> None:
    relaying = Relaying([LIGHT, OTHER_LIGHT, HOLDER])

    assert await relaying.ask(LIGHT, cid_of(1)) == [OTHER_LIGHT, HOLDER, VOTER]
    assert await relaying.ask(LIGHT, cid_of("a block below")) == [OTHER_LIGHT, HOLDER, VOTER]


async def test_what_is_found_elsewhere_is_served_and_not_kept() -> None:
    relaying = Relaying([OTHER_LIGHT])
    block = Block.check(cid_of(1), b"block 1")
    relaying.elsewhere[block.cid] = block.data
    found = await relaying.blocks.source_for(LIGHT, [block.cid])
    assert found is not None
    source, offload = found

    assert await offload(lambda: source.get(block.cid)) == block.data
    assert source.has_many([block.cid, cid_of(5)]) == [True, True]
    assert len(relaying.asked) == 1
    await offload(lambda: source.get(block.cid))
    assert len(relaying.asked) == 2
