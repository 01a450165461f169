"""A thousand slow clients, two hundred uploads and sixty reads without end are in nobody's way."""

import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster.blocks.formats.block import Block
from bftcluster.cid import RAW
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES
from tests.e2e.cluster import PEERS, Cluster, made
from tests.e2e.processes import Peer

pytestmark = pytest.mark.slow

SLOW, UPLOADS, READS = 1_000, 200, 60
ANSWER_MAX_S = 1.0
STOP_MAX_S = 5
ROUNDS = 10
FILES_MAX = 4_096

LARGE = [Block.make(bytes((n,)) * BLOCK_SIZE_MAX_BYTES, codec=RAW, version=1) for n in range(4)]
UPLOAD = (
    b"POST /add?no-pin=true&format=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n"
    b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbeginning'
)


class Crowd:
    """Connections that are opened and left standing."""

    def __init__(self, peer: Peer, stack: ExitStack) -> None:
        self._peer = peer
        self._stack = stack
        self._slow: list[socket.socket] = []

    def come(self) -> None:
        for number in range(SLOW):
            self._slow.append(self._open(b"GET /version HTTP/1.1\r\nX-%d: " % number))
        for number in range(UPLOADS):
            self._open(UPLOAD % (b"car", b"unixfs")[number % 2])
        for number in range(READS):
            text = cids.text(LARGE[number % len(LARGE)].cid).encode()
            path = (b"/content/" + text, b"/content/" + text + b"?format=car", b"/pins")[number % 3]
            self._open(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    def trickle(self) -> None:
        for connection in self._slow:
            with suppress(OSError):  # it made room for another
                connection.send(b"x")

    def _open(self, data: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._peer.api_port), timeout=10)
        self._stack.enter_context(connection)
        connection.sendall(data)
        return connection


def timed(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def pin_one(cluster: Cluster, number: int, at: int) -> None:
    cid = cids.of_block(b"ordered meanwhile %d" % number)
    outcome = cluster.submit(cluster.pin(cid), at=at)
    assert outcome["code"] == "committed", outcome


def test_status_and_ordering_answer_at_once_and_the_peer_stops_soon(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES_MAX, hard), hard))
    try:
        with made(tmp_path) as cluster, ExitStack() as stack:
            cluster.fill(LARGE)
            cluster.start()
            pin_one(cluster, 0, 0)
            crowd = Crowd(cluster.peers[0], stack)
            crowd.come()
            cluster.peers[0].status()  # whoever was in line before is taken in
            statuses, orders = [], []
            for number in range(1, ROUNDS + 1):
                crowd.trickle()
                statuses.append(timed(cluster.peers[0].status))
                orders.append(timed(lambda n=number: pin_one(cluster, n, n % PEERS)))  # type: ignore[misc]
            taken = cluster.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    record_property("status_s", [round(each, 3) for each in statuses])
    record_property("order_s", [round(each, 3) for each in orders])
    record_property("stopped_after_s", [round(each, 2) for each in taken])
    slowest = max(statuses), max(orders), max(taken)
    limits = ANSWER_MAX_S, ANSWER_MAX_S, STOP_MAX_S
    assert all(map(float.__lt__, slowest, map(float, limits))), (statuses, orders, taken)
