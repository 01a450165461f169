"""Content through processes: into one peer over the HTTP API, and from there to another peer."""

import hashlib
import json
import os
import time
from http import HTTPStatus
from http.client import HTTPConnection

from benchmarks.clusters.processes import Processes, running
from benchmarks.result import Result
from benchmarks.timing import calls_per_second
from benchmarks.workload import pin_requests
from bftcluster import cid
from bftcluster.signing.keys import parse_peer_id

SIZE_BYTES = 200_000_000
WAIT_S = 120


def run() -> list[Result]:
    content = os.urandom(SIZE_BYTES)
    piece = content[: 1 << 20]
    sha256_mb = calls_per_second(lambda: hashlib.sha256(piece).digest()) * len(piece) / 1e6
    with running() as cluster:
        added_s, root = _add(cluster, content)
        receiver = cluster.status(1)["peer"]
        [request] = pin_requests(
            cluster.genesis,
            [root],
            now_ms=time.time_ns() // 1_000_000,
            replication=1,
            allocations=[parse_peer_id(receiver)],
        )
        start = time.monotonic()
        cluster.clients[1].post("/operations", content=request).raise_for_status()

        def is_there() -> bool:
            answer = cluster.clients[1].get(f"/pins/{cid.text(root)}", params={"local": "true"})
            return bool(answer.json()["peer_map"][receiver]["status"] == "pinned")

        cluster.wait_until(is_there, seconds=WAIT_S)
        moved_s = time.monotonic() - start
    return [
        _rate("add_mb_per_second", added_s, sha256_mb),
        _rate("transfer_mb_per_second", moved_s, sha256_mb),
    ]


def _add(cluster: Processes, content: bytes) -> tuple[float, cid.Cid]:
    """Add one file by a client that only writes: httpx spends longer on the form than the peer."""
    boundary = "b0b5"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    address = cluster.clients[0].base_url
    connection = HTTPConnection(address.host, address.port or 80, timeout=WAIT_S)
    start = time.monotonic()
    connection.request(
        "POST",
        "/add?no-pin=true&cid-version=1&stream-channels=false",
        body,
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    response = connection.getresponse()
    answer = response.read()
    added_s = time.monotonic() - start
    connection.close()
    assert response.status == HTTPStatus.OK, answer
    return added_s, cid.parse(json.loads(answer)[-1]["cid"])


def _rate(name: str, seconds: float, limit: float) -> Result:
    return Result(name=name, value=SIZE_BYTES / 1e6 / seconds, unit="MB/s", limit=limit)
