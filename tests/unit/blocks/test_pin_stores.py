"""The pin stores over our own blocks pass the suite of every pin store."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.blocks.dag.file_reader import read_file
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.directory import build_directory
from bftcluster.blocks.port import BlockStore
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from tests.unit.blocks.content import add_file
from tests.unit.blocks.network import Network, inline, open_network, peer_id
from tests.unit.blocks.pin_store_contract import PinStoreContract

QUOTA = 64 << 20
LAYOUT = Layout(chunk_size_bytes=64 << 10, width=4)
"""Deep DAGs of few blocks: each is a file that is synced."""
ME, ALICE, BOB = map(peer_id, (1, 2, 3))


class BlockWorld:
    """A store of blocks in a network of two others."""

    def __init__(self, blocks: BlockStore, network: Network) -> None:
        self._blocks = blocks
        self._network = network
        self._others = {ALICE: MemoryBlockStore(), BOB: MemoryBlockStore()}

    async def start(self) -> None:
        for peer, blocks in self._others.items():
            await self._network.add(peer, blocks)
        self.store = BlockPinStore(self._blocks, await self._network.add(ME, self._blocks), inline)

    async def add_here(self, data: bytes) -> Cid:
        return add_file(self._blocks, data, LAYOUT).cid

    async def add_directory_here(self, data: bytes) -> tuple[Cid, Cid]:
        file = add_file(self._blocks, data, LAYOUT)
        blocks = []
        directory = build_directory({"file": file}, blocks.append, LAYOUT)
        self._blocks.put_many(blocks)
        return directory.cid, file.cid

    async def add_elsewhere(self, data: bytes) -> tuple[Cid, list[PeerId]]:
        for blocks in self._others.values():
            entry = add_file(blocks, data, LAYOUT)
        return entry.cid, list(self._others)

    def cut_off(self) -> None:
        self._network.gone.update(self._others)

    async def read(self, cid: Cid) -> bytes:
        return b"".join(read_file(self._blocks, cid))


@asynccontextmanager
async def world_of(blocks: BlockStore) -> AsyncIterator[BlockWorld]:
    async with open_network() as network:
        world = BlockWorld(blocks, network)
        await world.start()
        yield world


class TestInADirectory(PinStoreContract):
    """The embedded store."""

    @pytest.fixture
    def blocks(self, tmp_path: Path) -> Iterator[EmbeddedStore]:
        with EmbeddedStore(tmp_path / "store", QUOTA) as blocks:
            yield blocks

    @pytest.fixture
    async def world(self, blocks: EmbeddedStore) -> AsyncIterator[BlockWorld]:
        async with world_of(blocks) as world:
            yield world


class TestInMemory(PinStoreContract):
    """The store of simulations and tests."""

    @pytest.fixture
    async def world(self) -> AsyncIterator[BlockWorld]:
        async with world_of(MemoryBlockStore(QUOTA)) as world:
            yield world
