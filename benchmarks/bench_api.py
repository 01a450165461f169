"""The HTTP API by itself: a server process, with a service behind it that does nothing."""

import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import fields
from multiprocessing.connection import Connection
from typing import Any

import trio

from benchmarks.result import Result
from bftcluster import cid as cids
from bftcluster.api.app import create_app
from bftcluster.api.frames import write_frame
from bftcluster.api.http.server import serve
from bftcluster.api.ports import ClusterService, Wait
from bftcluster.api.settings import ApiSettings
from bftcluster.api.views import Pages, SubmitOutcome, UploadEvent, UploadOptions, UploadPart
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.operations import PinOperation

REQUEST = b"x" * 400
"""About the size of a proposal."""
UPLOAD_SIZE_BYTES = 200 << 20
HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CLOSE = HOST + b"Connection: close\r\n"


def run() -> list[Result]:
    """Return latencies and rates of a server on loopback."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    server = spawning.Process(target=run_server, args=(theirs,), daemon=True)
    server.start()
    try:
        port: int = ours.recv()
        length = b"Content-Length: %d\r\n\r\n" % len(REQUEST)
        milliseconds(port, b"GET /version" + HOST + b"\r\n", 200)
        return [
            Result(
                name="api_get_version_p50",
                value=milliseconds(port, b"GET /version" + HOST + b"\r\n", 2000),
                unit="ms",
                limit=1.5,
            ),
            Result(
                name="api_post_operation_p50",
                value=milliseconds(port, b"POST /operations" + HOST + length + REQUEST, 2000),
                unit="ms",
                limit=1.5,
            ),
            Result(name="api_bulk_operations", value=bulk_per_second(port, 50_000), unit="/s"),
            Result(name="api_listed_pins", value=pins_per_second(port), unit="/s"),
            Result(name="api_add", value=added_mb_per_second(port), unit="MB/s", limit=250),
        ]
    finally:
        server.terminate()
        server.join()


class NullService:
    """Answers at once."""

    async def submit(
        self, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
    ) -> Sequence[SubmitOutcome]:
        """Call everything committed."""
        outcome = SubmitOutcome(digest=Digest(bytes(32)), code="committed", detail="", seq=Seq(1))
        return [outcome] * len(requests)

    async def add(
        self, parts: AsyncIterator[UploadPart], options: UploadOptions
    ) -> AsyncGenerator[UploadEvent, None]:
        """Read everything and keep nothing."""
        size = 0
        async for part in parts:
            async for chunk in part.content:
                size += len(chunk)
        yield UploadEvent(name="file", cid=cids.of_block(b""), size_bytes=size)

    async def pins(self) -> Pages[PinRecord]:
        """Yield 51,200 pins."""
        pin = PinRecord(
            number=0,
            options=PinOperation(cid=cids.of_block(b""), name="a name"),
            replication_min=0,
            replication_max=0,
            allocations=(PeerId(bytes(32)), PeerId(b"\1" * 32)),
            timestamp_ms=1_800_000_000_000,
            seq=Seq(1),
            intent_digest=Digest(bytes(32)),
            approvers=(),
        )
        for _ in range(200):
            yield [pin] * 256


def run_server(parent: Connection) -> None:
    """Serve on a free port, and say which."""
    settings = ApiSettings(listen=("127.0.0.1:0",), has_access_log=False)
    null: Any = NullService()
    every_port = {field.name: null for field in fields(ClusterService)}
    app = create_app(ClusterService(**every_port), settings)

    async def listen(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:  # noqa: ANN401
        await serve(app, settings, stop=trio.Event(), task_status=task_status)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(listen)
            parent.send(int(address.rpartition(":")[2]))

    trio.run(main)


def connect(port: int) -> socket.socket:
    """Return a connection that sends at once."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def milliseconds(port: int, request: bytes, count: int) -> float:
    """Return the median time of a request on one connection."""
    times = []
    with connect(port) as connection:
        for _ in range(count):
            start = time.perf_counter()
            connection.sendall(request)
            connection.recv(65536)
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def bulk_per_second(port: int, count: int) -> float:
    """Return how many requests of one stream are answered in a second."""
    body = write_frame(REQUEST) * count
    head = b"Content-Type: application/vnd.bftcluster.frames\r\nContent-Length: %d\r\n\r\n"
    with connect(port) as connection:
        start = time.perf_counter()
        connection.sendall(b"POST /operations" + CLOSE + head % len(body) + body)
        answer = read_to_end(connection)
        seconds = time.perf_counter() - start
    assert answer.count(b'"committed"') == count, "every request has an outcome"
    return count / seconds


def pins_per_second(port: int) -> float:
    """Return how many pins a listing has in a second."""
    with connect(port) as connection:
        start = time.perf_counter()
        connection.sendall(b"GET /allocations" + CLOSE + b"\r\n")
        answer = read_to_end(connection)
        seconds = time.perf_counter() - start
    return answer.count(b"max_depth") / seconds


def added_mb_per_second(port: int) -> float:
    """Return how fast one large file is taken in."""
    chunk = os.urandom(1 << 20)
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    tail = b"\r\n--B--\r\n"
    head = b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: %d\r\n\r\n" % (
        len(part) + UPLOAD_SIZE_BYTES + len(tail)
    )
    with connect(port) as connection:
        start = time.perf_counter()
        connection.sendall(b"POST /add?no-pin=true" + CLOSE + head + part)
        for _ in range(UPLOAD_SIZE_BYTES // len(chunk)):
            connection.sendall(chunk)
        connection.sendall(tail)
        answer = read_to_end(connection)
        seconds = time.perf_counter() - start
    assert b'"size":%d' % UPLOAD_SIZE_BYTES in answer, "all of it arrived"
    return UPLOAD_SIZE_BYTES / seconds / 1e6


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything until the server closes."""
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))
