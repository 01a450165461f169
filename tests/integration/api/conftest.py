"""A real server on loopback, and clients that see what goes over the wire."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import trio

from bftcluster import cid as cids
from bftcluster.api.app import create_app
from bftcluster.api.http.server import serve
from bftcluster.api.settings import ApiSettings
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.shell_limits import CONNECTIONS_PER_ADDRESS_MAX
from tests.unit.api.memory_service import NOW_MS, MemoryService
from tests.unit.api.ordered import pin_record


@dataclass
class Server:
    """One that runs."""

    service: MemoryService
    host: str
    port: int
    stop: trio.Event

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(self.host, self.port)


@asynccontextmanager
async def serving(
    nursery: trio.Nursery, *, connections_per_address_max: int = CONNECTIONS_PER_ADDRESS_MAX
) -> AsyncIterator[Server]:
    service = MemoryService()
    settings = ApiSettings(
        listen=("127.0.0.1:0",),
        connections_per_address_max=connections_per_address_max,
        wall_ms=lambda: NOW_MS,
    )
    stop = trio.Event()

    async def run(task_status: trio.TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        await serve(
            create_app(service.ports, settings), settings, stop=stop, task_status=task_status
        )

    (address,) = await nursery.start(run)
    host, _, port = address.rpartition(":")
    yield Server(service=service, host=host, port=int(port), stop=stop)
    stop.set()


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    async with serving(nursery) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """Return everything until the server closes."""
    return b"".join([bytes(chunk) async for chunk in stream])


async def send_zeros(stream: trio.SocketStream, size_bytes: int) -> None:
    for _ in range(size_bytes >> 16):
        await stream.send_all(bytes(1 << 16))


def keep_many(server: Server, count: int) -> None:
    """Pins whose listing is larger than what sockets buffer."""
    for number in range(count):
        cid = cids.of_block(number.to_bytes(2, "big"))
        padding = (("padding", "x" * 500),)
        server.service.kept[cid] = pin_record(PinOperation(cid=cid, metadata=padding), ())
