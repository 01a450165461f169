"""A disk that rots, and peers that do not: what readers get, what is healed, what is found."""

import base64
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from bftcluster import cid as cids
from bftcluster.api.app import create_app
from bftcluster.api.settings import ApiSettings
from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.exchange.exchange_messages import Want, from_frame
from bftcluster.blocks.formats.block import Block, key_of
from bftcluster.blocks.formats.layout import DagEntry
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.port import Damage
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import BlockNotFoundError, CidMismatchError
from bftcluster.ids import PeerId
from bftcluster.node.loops.healer import READER_PATIENCE_S, Healer
from bftcluster.node.process.threads import Workers
from bftcluster.node.service.content_reader import ContentReader
from bftcluster.node.service.dag_reader import DagReader
from tests.unit.blocks.content import add_file, pattern
from tests.unit.blocks.network import Network, open_network, peer_id
from tests.unit.node.loops.test_tracker import break_index, until
from tests.unit.node.service.test_content_reader import ReadingService

ME, ALICE, BOB = map(peer_id, (1, 2, 3))
QUOTA = 64 << 20
CONTENT = pattern(200_000)


def rot(path: Path, cid: Cid) -> None:
    """Turn one bit of a block over."""
    name = base64.b32encode(key_of(cid)).decode().rstrip("=")
    (file,) = (path / "blocks").glob(f"*/{name}.data")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


class Disk:
    """A peer's store with a file in it, of which some blocks rot, and who may help."""

    def __init__(self, path: Path, store: EmbeddedStore, network: Network) -> None:
        self.path = path
        self.store = store
        self.network = network
        self.entry = add_file(store, CONTENT)
        store.pin_root(self.entry.cid)
        self.blocks = list(walk(store, self.entry.cid))
        self.helpers: list[PeerId] = []

    async def start(self) -> None:
        exchange = await self.network.add(ME, self.store)
        self.healer = Healer(
            blocks=self.store,
            exchange=exchange,
            connected=lambda: self.helpers,
            workers=Workers(2),
        )
        self.source = DagReader(self.store, self.healer.heal)
        self.reader = ContentReader(
            blocks=self.store, source=self.source, fetch=self._fetch, workers=Workers(4)
        )

    async def helper(self, peer: PeerId, *, has_all: bool = True) -> MemoryBlockStore:
        store = MemoryBlockStore()
        if has_all:
            store.put_many(self.blocks)
        await self.network.add(peer, store)
        self.helpers.append(peer)
        return store

    async def _fetch(self, cid: Cid) -> None:
        raise BlockNotFoundError(f"{cids.text(cid)} is not to be had")

    async def read(self, entry: DagEntry) -> bytes:
        view = await self.reader.open(entry.cid)
        return b"".join([piece async for piece in view.content])


@asynccontextmanager
async def open_disk(path: Path) -> AsyncIterator[Disk]:
    async with open_network() as network:
        with EmbeddedStore(path, QUOTA) as store:
            disk = Disk(path, store, network)
            await disk.start()
            yield disk


async def test_a_damaged_block_is_served_from_another_peer_at_the_first_read(
    tmp_path: Path,
) -> None:
    async with open_disk(tmp_path) as disk:
        before = disk.store.stat()
        await disk.helper(ALICE, has_all=False)
        await disk.helper(BOB)
        for block in (disk.blocks[0], disk.blocks[1], disk.blocks[-1]):
            rot(tmp_path, block.cid)

        assert await disk.read(disk.entry) == CONTENT

        assert disk.store.damage() == Damage(blocks=0, found=3, healed=3)
        assert disk.store.stat() == before
        assert disk.store.roots() == [Root(cid=disk.entry.cid, complete=True)]
        assert [disk.store.get(block.cid) for block in disk.blocks] == [
            block.data for block in disk.blocks
        ]


async def test_only_the_damaged_block_travels(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk:
        await disk.helper(ALICE)
        rot(tmp_path, disk.entry.cid)

        await disk.read(disk.entry)

        wants = [
            message
            for sender, _, frame in disk.network.sent
            if sender == ME and isinstance(message := from_frame(frame), Want)
        ]
        assert [len(want.cids) for want in wants] == [1]
        sent = sum(len(frame) for sender, _, frame in disk.network.sent if sender == ALICE)
        assert sent < len(disk.blocks[0].data) + 300


async def test_a_client_gets_a_tar_of_what_rotted(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk:
        await disk.helper(ALICE)
        for block in disk.blocks:
            rot(tmp_path, block.cid)
        service = ReadingService(MemoryBlockStore())
        service.reader = disk.reader
        transport = httpx.ASGITransport(app=create_app(service.ports, ApiSettings()))
        url = f"/content/{cids.text(disk.entry.cid)}?format=tar"
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            response = await client.get(url)

        with tarfile.open(fileobj=io.BytesIO(response.content)) as archive:
            file = archive.extractfile(cids.text(disk.entry.cid))
            assert file is not None
            assert file.read() == CONTENT
        assert disk.store.damage().healed == len(disk.blocks)


async def test_a_peer_that_lies_about_a_block_does_not_heal_it(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk:
        leaf = disk.blocks[-1]
        liar = await disk.helper(ALICE)
        liar._data[key_of(leaf.cid)] = bytes(len(leaf.data))
        rot(tmp_path, leaf.cid)

        with pytest.raises(BlockNotFoundError):
            await disk.read(disk.entry)
        await disk.helper(BOB)
        assert await disk.healer.heal(leaf.cid) == leaf.data

        assert disk.store.damage() == Damage(blocks=0, found=1, healed=1)


async def test_what_nobody_has_stays_damaged_and_is_no_answer(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk:
        await disk.helper(ALICE, has_all=False)
        rot(tmp_path, disk.blocks[-1].cid)

        with pytest.raises(BlockNotFoundError):
            await disk.read(disk.entry)
        await disk.healer.heal_all()

        assert disk.store.damage() == Damage(blocks=1, found=1)
        assert disk.store.roots() == [Root(cid=disk.entry.cid, complete=False)]


async def test_a_reader_who_leaves_takes_no_other_s_block_along(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk, trio.open_nursery() as nursery:
        await disk.helper(ALICE)
        leaf = disk.blocks[-1]
        rot(tmp_path, leaf.cid)
        disk.store.scrub()
        silent = {ALICE: True}
        disk.network.tamper[ALICE] = lambda frame: [] if silent[ALICE] else [frame]
        got: list[bytes] = []
        leaves = trio.CancelScope()

        async def read(scope: trio.CancelScope) -> None:
            with scope:
                got.append(await disk.healer.heal(leaf.cid))

        nursery.start_soon(read, leaves)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(read, trio.CancelScope())
        nursery.start_soon(read, trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        silent[ALICE] = False
        leaves.cancel()
        with trio.fail_after(10):
            await until(lambda: len(got) == 2)

    assert got == [leaf.data] * 2


async def test_readers_who_wait_have_a_block_that_the_disk_has_no_room_for(
    tmp_path: Path,
) -> None:
    async with open_disk(tmp_path) as disk:
        await disk.helper(ALICE)
        leaf = disk.blocks[-1]
        rot(tmp_path, leaf.cid)
        disk.store.scrub()
        break_index(disk.store)
        got: list[bytes] = []

        async def read() -> None:
            got.append(await disk.healer.heal(leaf.cid))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
        break_index(disk.store, broken=False)

    assert got == [leaf.data] * 3


async def test_a_reader_does_not_hold_its_thread_for_longer_than_a_few_seconds(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_disk(tmp_path) as disk, trio.open_nursery() as nursery:
        await disk.helper(ALICE)
        disk.network.tamper[ALICE] = lambda _: []
        rot(tmp_path, disk.blocks[-1].cid)
        disk.store.scrub()
        workers, missed = Workers(1), trio.Event()

        async def read() -> None:
            with pytest.raises(BlockNotFoundError, match="in time"):
                await workers.run(disk.source.get, disk.blocks[-1].cid)
            missed.set()

        nursery.start_soon(read)
        await until(lambda: any(sender == ME for sender, _, _ in disk.network.sent))
        mock_clock.jump(READER_PATIENCE_S)
        for _ in range(2_000):  # The thread has so many milliseconds to end.
            await trio.testing.wait_all_tasks_blocked(0.001)
            if missed.is_set():
                break

        assert missed.is_set()
        nursery.cancel_scope.cancel()


async def test_what_nobody_has_is_not_in_the_way_of_what_somebody_has(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_disk(tmp_path) as disk, trio.open_nursery() as nursery:
        lost = [Block.make(pattern(10, seed)) for seed in range(150)]
        disk.store.put_many(lost)
        kept = Block.make(b"somebody has this")
        disk.store.put_many([kept])
        alice = await disk.helper(ALICE)
        alice.put_many([kept])
        for block in (*lost, kept):
            rot(tmp_path, block.cid)
        disk.store.scrub()

        with capture_logs() as logs:
            nursery.start_soon(disk.healer.run)
            for _ in range(100):
                await trio.testing.wait_all_tasks_blocked(0.001)
                mock_clock.jump(10)
            nursery.cancel_scope.cancel()

        assert disk.store.get(kept.cid) == kept.data
        told = [log["cid"] for log in logs if log["log_level"] == "warning"]
        assert len(told) == len(set(told)) == len(lost) + 1
        asked = [frame for sender, _, frame in disk.network.sent if sender == ME]
        assert len(asked) < 10 * len(lost), "in a thousand seconds"


async def test_a_healer_goes_on_when_the_index_could_not_be_read(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_disk(tmp_path) as disk, trio.open_nursery() as nursery:
        await disk.helper(ALICE)
        rot(tmp_path, disk.blocks[3].cid)
        disk.store.scrub()
        break_index(disk.store)

        with capture_logs() as logs:
            nursery.start_soon(disk.healer.run)
            await until(lambda: bool(logs))
            break_index(disk.store, broken=False)
            mock_clock.jump(10)
            await until(lambda: disk.store.damage().healed == 1)
        nursery.cancel_scope.cancel()


async def test_readers_of_one_damaged_block_ask_for_it_once(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk:
        await disk.helper(ALICE)
        leaf = disk.blocks[-1]
        rot(tmp_path, leaf.cid)
        with pytest.raises(CidMismatchError):
            disk.store.get(leaf.cid)
        got: list[bytes] = []

        async def read() -> None:
            got.append(await Workers(1).run(disk.source.get, leaf.cid))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read)

        assert got == [leaf.data] * 5
        assert disk.store.damage().healed == 1


async def test_what_a_scrub_finds_is_healed_without_a_reader(tmp_path: Path) -> None:
    async with open_disk(tmp_path) as disk:
        await disk.helper(ALICE)
        rot(tmp_path, disk.blocks[3].cid)
        disk.store.scrub()
        assert disk.store.damage() == Damage(blocks=1, found=1)

        await disk.healer.heal_all()

        assert disk.store.damage() == Damage(blocks=0, found=1, healed=1)
        assert disk.store.get(disk.blocks[3].cid) == disk.blocks[3].data
