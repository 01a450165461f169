"""Uploads into the store, at the pace of their client and without waiting for it in a thread."""

import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from bftcluster.api.views import ContentKind, UploadPart
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.car import write_car
from bftcluster.blocks.port import no_pause
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import RAW, Cid
from bftcluster.errors import ClusterError, MalformedContentError
from bftcluster.node.process.threads import Workers
from bftcluster.node.service.uploads import Upload, import_car_part
from bftcluster.shell_limits import STORE_QUOTA_MIN_BYTES
from tests.property.running_peer import Loner

BLOCKS = [Block.make(bytes((n,)) * n * 99, codec=RAW, version=1) for n in range(1, 9)]
ROOT = BLOCKS[0].cid


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "blocks", 2 * STORE_QUOTA_MIN_BYTES) as store:
        yield store


def car_of(roots: Sequence[Cid], blocks: Sequence[Block] = BLOCKS) -> bytes:
    out = BytesIO()
    write_car(roots, blocks, out)
    return out.getvalue()


async def arriving(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        await trio.lowlevel.checkpoint()
        yield piece


async def never() -> AsyncGenerator[bytes, None]:
    yield b"a little"
    await trio.sleep_forever()


def file_of(content: AsyncIterator[bytes]) -> UploadPart:
    return UploadPart(kind=ContentKind.FILE, path="file", content=content)


async def take_car(store: EmbeddedStore, pieces: Sequence[bytes]) -> Cid:
    kept: list[Cid] = []

    def keep(root: Cid) -> AbstractContextManager[None]:
        assert store.find_root(root) is None, "it stays before the store lists it"
        kept.append(root)
        return nullcontext()

    root = await import_car_part(store, file_of(arriving(pieces)), keep, Workers(1))
    assert kept == [root]
    return root


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 1 << 20])
async def test_a_car_may_arrive_in_pieces_of_any_size(
    store: EmbeddedStore, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bftcluster.node.service.uploads._PIECE_SIZE_BYTES", piece_bytes)
    car = car_of([ROOT])
    pieces = [car[at : at + piece_bytes] for at in range(0, len(car), piece_bytes)]

    assert await take_car(store, pieces) == ROOT
    assert store.get(ROOT) == BLOCKS[0].data
    assert [root.cid for root in store.roots()] == [ROOT]


@pytest.mark.parametrize(
    "car",
    [
        b"",
        b"no car at all",
        car_of([ROOT])[:-1],
        car_of([ROOT])[:20],
        car_of([ROOT, BLOCKS[1].cid]),
        car_of([]),
        car_of([ROOT]) + b"\xff" * 9,
    ],
)
async def test_what_is_no_whole_car_of_one_root_leaves_nothing(
    store: EmbeddedStore, car: bytes
) -> None:
    with pytest.raises(MalformedContentError):
        await take_car(store, [car])

    assert list(store.multihashes()) == []
    assert store.roots() == []


async def test_a_car_without_its_root_is_refused(store: EmbeddedStore) -> None:
    with pytest.raises(ClusterError):
        await take_car(store, [car_of([ROOT], BLOCKS[1:])])

    assert list(store.multihashes()) == []


async def test_uploads_that_stand_still_hold_no_thread(
    store: EmbeddedStore, nursery: trio.Nursery
) -> None:
    workers = Workers(2)

    async def add() -> None:
        async with Upload(store, Layout(), workers) as upload:
            async for _ in upload.file(file_of(never())):
                pass

    for _ in range(20):
        nursery.start_soon(add)
        nursery.start_soon(
            import_car_part, store, file_of(never()), lambda _: nullcontext(), workers
        )
    await wait_all_tasks_blocked(0.2)

    assert workers.working == 0
    assert await take_car(store, [car_of([ROOT])]) == ROOT
    nursery.cancel_scope.cancel()


async def test_a_peer_that_stops_leaves_the_blocks_of_an_upload_to_its_next_life(
    tmp_path: Path,
) -> None:
    loner = Loner(tmp_path)
    with trio.fail_after(20), capture_logs() as logs:
        async with loner.running() as running:
            blocks = running.blocks
            hold = blocks.begin()
            blocks.put_many(BLOCKS, hold=hold)
            running.stop()
            while "stopping" not in [log["event"] for log in logs]:
                await trio.lowlevel.checkpoint()

            assert blocks.release(hold) == 0
            assert blocks.has(ROOT)

    async with loner.running() as running:
        assert not running.blocks.has(ROOT)


class EndlessStore(MemoryBlockStore):
    """Walks what it shall keep for a long time."""

    def __init__(self) -> None:
        super().__init__()
        self.walking = threading.Event()

    def pin_root(self, root: Cid, pause: Callable[[], None] = no_pause) -> None:
        for _ in range(3_000_000):
            self.walking.set()
            pause()
        raise AssertionError("nobody ended it")


async def pin_files(store: MemoryBlockStore) -> None:
    async with Upload(store, Layout(), Workers(1)) as upload:
        async for _ in upload.file(file_of(arriving([b"content"]))):
            pass
        _, root = await upload.build(wrap=False)
        await upload.pin(root, lambda _: nullcontext())


async def pin_car(store: MemoryBlockStore) -> None:
    part = file_of(arriving([car_of([ROOT])]))
    await import_car_part(store, part, lambda _: nullcontext(), Workers(1))


@pytest.mark.parametrize("add", [pin_files, pin_car])
async def test_a_walk_over_what_was_uploaded_ends_when_nobody_waits_for_it(
    add: Callable[[MemoryBlockStore], Awaitable[None]],
) -> None:
    store = EndlessStore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, store)
        await trio.to_thread.run_sync(store.walking.wait)
        nursery.cancel_scope.cancel()

    assert store.roots() == []
    assert store.stat().blocks == 0
