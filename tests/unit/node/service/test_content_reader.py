"""Reading for clients: what is sent, what is refused before the first byte, and for whom."""

import base64
import io
import itertools
import tarfile
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import httpx
import pytest
import trio

from bftcluster import cid as cids
from bftcluster.api.app import create_app
from bftcluster.api.settings import ApiSettings
from bftcluster.api.views import ContentView
from bftcluster.blocks.formats.block import Block, make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.unixfs import DIRECTORY_MESSAGE, file_message
from bftcluster.blocks.importer.car import import_car
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.node.process.threads import Workers
from bftcluster.node.service.content_reader import ContentReader
from bftcluster.node.service.dag_reader import DagReader
from tests.unit.api.memory_service import MemoryService
from tests.unit.blocks.bombs import (
    CountingStore,
    copies,
    directory,
    empty_parts,
    empty_shards,
    leaf,
    names_without_end,
    node,
    symlink,
)

OUTSIDE_ROOT = """
OqJlcm9vdHOB2CpYJQABcBIgQE/VW7xV40gIZseMIMHKdODPGxXqbExAw83IiCLQVcVndmVyc2lvbgGJAQFwEiBAT9VbvFXj
SAhmx4wgwcp04M8bFepsTEDDzciIItBVxRIwCiQBVRIg2QFMRiSESqW6wxR3PWtomtRn+k4dGlChuKmdWpX3L/USBi4uL2Zv
bxgOEi0KJAFVEiDZAUxGJIRKpbrDFHc9a2ia1Gf6Th0aUKG4qZ1alfcv9RIDYmFyGA4KAggBMgFVEiDZAUxGJIRKpbrDFHc9
a2ia1Gf6Th0aUKG4qZ1alfcv9UhlbGxvLCB3b3JsZCEK
"""
"""gateway-conformance, ``dag-pb/…/dir-with-path-outside-root``: an entry ``../foo``."""


async def no_fetch(_: Cid) -> None:
    raise AssertionError("all is here")


class ReadingService(MemoryService):
    """Content comes from a store as a node reads it."""

    def __init__(self, store: MemoryBlockStore) -> None:
        super().__init__()
        self.reader = ContentReader(
            blocks=store, source=DagReader(store), fetch=no_fetch, workers=Workers(4)
        )

    async def open(self, cid: Cid) -> ContentView:
        return await self.reader.open(cid)

    async def resolve(self, cid: Cid, path: list[str]) -> Cid:
        return await self.reader.resolve(cid, path)

    def walk(self, cid: Cid) -> AsyncGenerator[ContentView, None]:
        return self.reader.walk(cid)

    def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        return self.reader.car(cid)


@pytest.fixture
def store() -> MemoryBlockStore:
    return MemoryBlockStore()


@pytest.fixture
async def client(store: MemoryBlockStore) -> AsyncGenerator[httpx.AsyncClient, None]:
    app = create_app(ReadingService(store).ports, ApiSettings())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9094") as client:
        yield client


def is_refused(response: httpx.Response) -> bool:
    return 400 <= response.status_code < 600 and "message" in response.json()


async def test_an_entry_outside_the_root_is_in_no_tar(
    client: httpx.AsyncClient, store: MemoryBlockStore
) -> None:
    [root] = import_car(store, io.BytesIO(base64.b64decode(OUTSIDE_ROOT)))

    assert is_refused(await client.get(f"/content/{cids.text(root)}?format=tar"))
    assert (await client.get(f"/content/{cids.text(root)}?format=car")).status_code == 200


def of_name(name: str) -> Callable[[MemoryBlockStore], Cid]:
    return lambda store: directory(store, ("good", leaf(store)), (name, leaf(store)))


def of_link(target: bytes) -> Callable[[MemoryBlockStore], Cid]:
    return lambda store: directory(store, ("link", symlink(store, target)))


def twice(store: MemoryBlockStore) -> Cid:
    inside = directory(store, ("passwd", leaf(store)))
    return directory(store, ("a", symlink(store, b"b")), ("a", inside))


HOSTILE = {
    **{f"name {name[:9]!a}": of_name(name) for name in ("..", ".", "", "/etc/x", "a/b", "a\0b")},
    **{
        f"link {target!r}": of_link(target)
        for target in (b"/etc", b"../../x", b"a/../../x", b"a\0b")
    },
    "twice": twice,
    "empty shards": empty_shards,
    "names without end": names_without_end,
    "copies": copies,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_honest_tree_is_refused_before_the_first_byte_of_a_tar(
    client: httpx.AsyncClient, store: MemoryBlockStore, make: Callable[[MemoryBlockStore], Cid]
) -> None:
    root = make(store)
    wrapped = directory(store, ("inside", root))

    for cid in (root, wrapped):
        refused = await client.get(f"/content/{cids.text(cid)}?format=tar")
        assert is_refused(refused)
        head = await client.head(f"/content/{cids.text(cid)}?format=tar")
        assert head.status_code == refused.status_code


async def test_a_file_of_parts_without_end_is_the_nothing_that_it_holds(
    client: httpx.AsyncClient, store: MemoryBlockStore
) -> None:
    response = await client.get(f"/content/{cids.text(empty_parts(store))}")

    assert (response.status_code, response.content) == (200, b"")


async def test_a_tar_has_strange_names_that_lead_nowhere_else(
    client: httpx.AsyncClient, store: MemoryBlockStore
) -> None:
    names = ["a\x1b[2J\nb", "..\\x", "ä"]
    root = directory(store, *((name, leaf(store)) for name in names))

    response = await client.get(f"/content/{cids.text(root)}?format=tar")

    with tarfile.open(fileobj=io.BytesIO(response.content)) as archive:
        assert archive.getnames()[1:] == [f"{cids.text(root)}/{name}" for name in names]


async def test_a_reader_that_nobody_waits_for_stops_at_its_next_block(
    store: MemoryBlockStore,
) -> None:
    cid = leaf(store)
    source = DagReader(store)
    begun, ended = threading.Event(), threading.Event()

    def read_for_ever() -> None:
        try:
            while True:
                source.get(cid)
                begun.set()
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Workers(1).run, read_for_ever)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()

    assert ended.is_set()


class StuckStore(MemoryBlockStore):
    """Says when it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = threading.Event()

    def get(self, cid: Cid) -> bytes:
        self.read.set()
        return super().get(cid)


async def test_a_client_that_goes_away_before_the_answer_frees_the_thread() -> None:
    store = StuckStore()
    cid = leaf(store)
    service = ReadingService(store)
    source = DagReader(store)
    ended = trio.Event()

    def read_for_ever() -> None:
        while True:
            source.get(cid)

    async def open_for_ever(_: Cid) -> ContentView:
        try:
            await Workers(1).run(read_for_ever)
        finally:
            ended.set()
        raise AssertionError("it never ends by itself")

    service.open = open_for_ever  # type: ignore[method-assign]
    app = create_app(service.ports, ApiSettings())
    incoming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if incoming:
            return incoming.pop()
        await trio.to_thread.run_sync(store.read.wait)
        return {"type": "http.disconnect"}

    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    path = f"/content/{cids.text(cid)}"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "scheme": "http", "server": ("127.0.0.1", 9094)}
    await app({**scope, "headers": [(b"host", b"127.0.0.1:9094")]}, receive, send)

    assert ended.is_set()
    assert sent == []


MANY = 150
"""Squared, what a walk looks at."""


def thin_file(store: MemoryBlockStore) -> Cid:
    """22,500 chunks of one byte."""
    cid, size = leaf(store), 1
    for _ in range(2):
        cid = node(store, [DagLink(cid=cid)] * MANY, file_message(b"", size * MANY, [size] * MANY))
        size *= MANY
    return cid


def many_directories(store: MemoryBlockStore) -> Cid:
    """22,650 different ones."""
    blocks: list[Block] = []

    def make(names: Sequence[str], cids: Sequence[Cid]) -> Cid:
        links = [DagLink(cid=cid, name=name) for name, cid in zip(names, cids, strict=True)]
        blocks.append(make_node(encode_node(links, DIRECTORY_MESSAGE), version=1))
        return blocks[-1].cid

    cid = leaf(store)
    names = [f"{number:03}" for number in range(MANY)]
    tops = [make(names, [make([f"{top} {name}"], [cid]) for name in names]) for top in names]
    root = make(names, tops)
    store.put_many(blocks)
    return root


async def read_bytes(reader: ContentReader, cid: Cid) -> bytes:
    view = await reader.open(cid)
    return b"".join([chunk async for chunk in view.content])


async def list_all(reader: ContentReader, cid: Cid) -> int:
    return len([entry async for entry in reader.walk(cid)])


async def send_car(reader: ContentReader, cid: Cid) -> bytes:
    return b"".join([piece async for piece in reader.car(cid)])


@pytest.mark.parametrize("is_root", [True, False])
@pytest.mark.parametrize(
    ("make", "read"),
    [
        (thin_file, read_bytes),
        (many_directories, list_all),
        (many_directories, send_car),
    ],
)
async def test_a_long_read_lets_others_have_their_turn(
    nursery: trio.Nursery,
    make: Callable[[MemoryBlockStore], Cid],
    read: Callable[[ContentReader, Cid], Awaitable[object]],
    is_root: bool,
) -> None:
    store = CountingStore()
    root, small = make(store), leaf(store, b"small")
    if is_root:  # else it is first looked for
        store.pin_root(root)
    clock = itertools.count(0, 0.01)
    reader = ContentReader(
        blocks=store,
        source=DagReader(store),
        fetch=no_fetch,
        workers=Workers(1),
        now_s=lambda: next(clock),
    )
    store.reads = 0

    nursery.start_soon(read, reader, root)
    await trio.testing.wait_all_tasks_blocked()
    assert await read_bytes(reader, small) == b"small"

    assert store.reads < MANY * MANY
    nursery.cancel_scope.cancel()
