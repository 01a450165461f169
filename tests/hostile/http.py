"""Raw HTTP, which a decent client would not speak."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from bftcluster.api.frames import write_frame
from tests.e2e.cluster import FRAMES
from tests.e2e.processes import Peer
from tests.hostile.arena import BrokeError

BOUNDARY = "BOUNDARY"
FRAMES_KIND = "application/vnd.bftcluster.frames"


def connect(peer: Peer, *, timeout_s: float = 10.0) -> socket.socket:
    """Return a connection to a peer's API."""
    return socket.create_connection(("127.0.0.1", peer.api_port), timeout=timeout_s)


@contextmanager
def opened(peer: Peer, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Hold ``count`` connections on which ``first`` was sent; refused ones do not count."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            with suppress(OSError):
                one = connect(peer)
                held.append(one)
                one.sendall(first)
        yield held
    finally:
        for one in held:
            with suppress(OSError):
                one.close()


def answer_to(peer: Peer, data: bytes, *, timeout_s: float = 10.0) -> bytes:
    """Send ``data``; return all that comes back until the peer closes or says nothing more."""
    received = bytearray()
    with connect(peer, timeout_s=timeout_s) as connection, suppress(OSError):
        connection.sendall(data)
        connection.settimeout(min(timeout_s, 1.5))
        while part := connection.recv(65536):
            received += part
    return bytes(received)


def status_of(answer: bytes) -> int:
    """Return the status of the first response in ``answer``; 0 if there is none."""
    head = answer.split(b"\r\n", 1)[0].split(b" ")
    return int(head[1]) if len(head) > 1 and head[1].isdigit() else 0


def expect(answer: bytes, *statuses: int) -> None:
    """Raise ``BrokeError`` if the answer has another status; 0 stands for a closed connection."""
    status = status_of(answer)
    if status not in statuses:
        raise BrokeError(f"answered {status}, not one of {statuses}: {answer[:200]!r}")


def post_head(target: str, kind: str, size_bytes: int) -> bytes:
    """Return the head of a request that says it has so many bytes of a media type."""
    return (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {size_bytes}\r\n\r\n"
    ).encode()


def upload_begun(target: str, *, size_bytes: int = 1_000_000) -> bytes:
    """Return the beginning of an upload, up to the first byte of its first file."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return (
        post_head(target, f"multipart/form-data; boundary={BOUNDARY}", size_bytes) + part.encode()
    )


def post(peer: Peer, requests: Sequence[bytes], *, timeout_s: float = 5) -> list[str]:
    """Hand in requests as one body; return the code of each, or the refusal of the whole."""
    response = httpx.post(
        f"{peer.url}/operations?timeout={timeout_s:.0f}",
        content=b"".join(map(write_frame, requests)),
        headers=FRAMES,
        timeout=timeout_s + 30,
        trust_env=False,
    )
    if response.status_code != 200:
        return [f"http {response.status_code}"]
    lines: list[dict[str, Any]] = [json.loads(line) for line in response.text.splitlines()]
    return [str(line.get("code", "error")) for line in lines]


def multipart(name: str, data: bytes, kind: str = "application/octet-stream") -> bytes:
    """Return the body of an upload of one file."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def add(peer: Peer, body: bytes, query: str = "", *, timeout_s: float = 60) -> httpx.Response:
    """Upload; nothing is pinned."""
    return httpx.post(
        f"{peer.url}/add?no-pin=true&stream-channels=false{query}",
        content=body,
        headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        timeout=timeout_s,
        trust_env=False,
    )
