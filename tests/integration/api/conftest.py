"""A real server on loopback, and clients that see what goes over the wire."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import trio

from bftcluster.api.app import create_app
from bftcluster.api.server import serve
from bftcluster.api.settings import ApiSettings
from tests.unit.api.memory_service import NOW_MS, MemoryService


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


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    service = MemoryService()
    settings = ApiSettings(listen=("127.0.0.1:0",), wall_ms=lambda: NOW_MS)
    stop = trio.Event()

    async def run(task_status: trio.TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        await serve(create_app(service, settings), settings, stop=stop, task_status=task_status)

    (address,) = await nursery.start(run)
    host, _, port = address.rpartition(":")
    yield Server(service=service, host=host, port=int(port), stop=stop)
    stop.set()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """Return everything until the server closes."""
    return b"".join([bytes(chunk) async for chunk in stream])
