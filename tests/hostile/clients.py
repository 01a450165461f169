"""Attacks of whoever reaches an HTTP API and has no key."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import httpx

from bftcluster import cid as cids
from bftcluster.api.frames import write_frame
from tests.hostile.arena import Arena, BrokeError, random_bytes
from tests.hostile.attacks import Actor, attack
from tests.hostile.http import (
    FRAMES_KIND,
    add,
    answer_to,
    connect,
    expect,
    multipart,
    opened,
    post,
    post_head,
)

CLIENT = Actor.CLIENT
LOCAL = "Host: localhost\r\nConnection: close\r\n"
LAST = "Connection: close\r\nContent-Length: 0\r\n\r\n"


@attack(CLIENT, "operations: random bytes")
def garbage(arena: Arena) -> Iterator[None]:
    for size in (1, 10, 1000, 200_000):
        head = f"POST /operations HTTP/1.1\r\n{LOCAL}Content-Length: {size}\r\n\r\n"
        expect(answer_to(arena.standing[0], head.encode() + random_bytes(size)), 200, 400)
    yield


@attack(CLIENT, "operations: an empty body")
def empty(arena: Arena) -> Iterator[None]:
    head = b"POST /operations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    expect(answer_to(arena.standing[0], head), 400)
    yield


@attack(CLIENT, "operations: a body longer than any request")
def too_long(arena: Arena) -> Iterator[None]:
    head = b"POST /operations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"
    expect(answer_to(arena.standing[0], head + bytes(10_000_000)), 413, 0)
    yield


@attack(CLIENT, "operations: 1,000 frames of garbage")
def frames_of_garbage(arena: Arena) -> Iterator[None]:
    codes = post(arena.standing[0], [random_bytes(100) for _ in range(1000)])
    if any(code in ("committed", "pending") for code in codes):
        raise BrokeError("garbage was taken")
    yield


@attack(CLIENT, "operations: 8 clients whose requests take long to refuse")
def long_requests(arena: Arena) -> Iterator[None]:
    zeros = 262_138
    frames = 16 * write_frame(b"\x9a" + zeros.to_bytes(4, "big") + bytes(zeros))
    head = post_head("/operations", FRAMES_KIND, 100_000_000)
    with opened(arena.standing[0], 8, head + frames):
        yield


@attack(CLIENT, "operations: a frame that says it has 4 GiB")
def lying_frame(arena: Arena) -> Iterator[None]:
    head = post_head("/operations", FRAMES_KIND, 1004)
    answer_to(arena.standing[0], head + b"\xff\xff\xff\xff" + bytes(1000))
    yield


@attack(CLIENT, "operations: arrays a hundred thousand deep")
def deep(arena: Arena) -> Iterator[None]:
    codes = post(arena.standing[0], [b"\x81" * 100_000 + b"\x00", b"\xa1" * 100_000])
    if any(code == "committed" for code in codes):
        raise BrokeError("it was taken")
    yield


@attack(CLIENT, "operations: 100 clients that wait for what never comes")
def waiters(arena: Arena) -> Iterator[None]:
    head = post_head("/operations?timeout=600", FRAMES_KIND, 5_000_000)
    with opened(arena.standing[0], 100, head + b"\x00\x00\x10\x00"):
        yield


@attack(CLIENT, "HTTP: 400 clients that send their headers byte by byte")
def slow_headers(arena: Arena) -> Iterator[None]:
    with opened(arena.standing[0], 400, b"GET /status HTTP/1.1\r\nHost: local") as held:
        for _ in range(3):
            for one in held:
                with suppress(OSError):
                    one.sendall(b"h")
        yield


@attack(CLIENT, "HTTP: 200 clients that send their bodies byte by byte")
def slow_bodies(arena: Arena) -> Iterator[None]:
    head = b"POST /operations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    with opened(arena.standing[1], 200, head + b"x"):
        yield


@attack(CLIENT, "HTTP: 300 clients that ask for sixteen megabytes and do not read")
def deaf(arena: Arena) -> Iterator[None]:
    added = add(arena.standing[1], multipart("a", random_bytes(1 << 24)))
    [root] = [line["cid"] for line in added.json()]
    ask = f"GET /content/{root} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with opened(arena.standing[1], 300, ask):
        yield


@attack(CLIENT, "HTTP: 1,100 connections that say nothing")
def crowd(arena: Arena) -> Iterator[None]:
    with opened(arena.standing[2], 1100, b""):
        yield


@attack(CLIENT, "HTTP: a thousand requests on one connection, answers unread")
def pipeline(arena: Arena) -> Iterator[None]:
    with connect(arena.standing[0]) as connection:
        connection.settimeout(2)
        with suppress(OSError):
            connection.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        yield


@attack(CLIENT, "HTTP: headers of a megabyte")
def long_headers(arena: Arena) -> Iterator[None]:
    data = b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n"
    expect(answer_to(arena.standing[0], data), 400, 413, 431, 0)
    yield


@attack(CLIENT, "HTTP: a body with both a length and chunks")
def smuggling(arena: Arena) -> Iterator[None]:
    data = (
        b"POST /operations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    answer = answer_to(arena.standing[0], data)
    expect(answer, 400, 0)
    if answer.count(b"HTTP/1.1 ") > 1:
        raise BrokeError("the hidden request was answered")
    yield


@attack(CLIENT, "HTTP: a page of another site posts, with one origin and with two")
def forged(arena: Arena) -> Iterator[None]:
    evil, twice = b"Origin: http://evil.example\r\n", b"Origin: http://localhost\r\n" * 2
    for origins, statuses in ((b"", (200,)), (evil, (403,)), (twice, (400, 403))):
        head = b"POST /ipfs/gc HTTP/1.1\r\n" + LOCAL.encode() + origins
        expect(answer_to(arena.standing[0], head + b"Content-Length: 0\r\n\r\n"), *statuses)
    yield


@attack(CLIENT, "HTTP: names that were rebound to this address read and write")
def rebound(arena: Arena) -> Iterator[None]:
    for host in (b"evil.example", b"[::1].evil.com", b"127.0.0.1.evil.com"):
        for method in (b"GET", b"POST"):
            data = method + b" /pins HTTP/1.1\r\nHost: " + host + b"\r\n" + LAST.encode()
            expect(answer_to(arena.standing[0], data), 400, 403)
    yield


@attack(CLIENT, "HTTP: paths that climb out")
def climbing(arena: Arena) -> Iterator[None]:
    cid = cids.text(arena.fresh())
    for path in (
        f"/content/{cid}/../../../../etc/passwd",
        "/../../etc/passwd",
        "/content/%2e%2e%2f",
    ):
        data = f"GET {path} HTTP/1.1\r\n{LOCAL}\r\n".encode()
        answer = answer_to(arena.standing[0], data, timeout_s=3)
        if b"root:" in answer:
            raise BrokeError("a file of this machine was served")
    yield


@attack(CLIENT, "HTTP: ten thousand CIDs in one query, and bytes that are no text")
def long_query(arena: Arena) -> Iterator[None]:
    for path in (b"/pins?cids=" + b"a," * 10_000, b"/pins/%ff%fe%00", b"/pins?filter=%00%ff"):
        data = b"GET " + path + b" HTTP/1.1\r\n" + LOCAL.encode() + b"\r\n"
        answer = answer_to(arena.standing[0], data)
        if answer and answer.split(b" ", 2)[1:2] == [b"500"]:
            raise BrokeError(f"{path[:20]!r} was answered with 500")
    yield


@attack(CLIENT, "pins: a client without a key pins and unpins")
def keyless(arena: Arena) -> Iterator[None]:
    cid = cids.text(arena.forbid())
    for method in ("POST", "DELETE"):
        answer = httpx.request(
            method, f"{arena.standing[0].url}/pins/{cid}", timeout=20, trust_env=False
        )
        if answer.status_code not in (403, 404):
            raise BrokeError(f"{method} was answered with {answer.status_code}")
    yield


@attack(CLIENT, "HTTP: unknown methods, versions and lines")
def nonsense(arena: Arena) -> Iterator[None]:
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\n" * 5000,
    ):
        answer_to(arena.standing[0], data, timeout_s=2)
    yield


@attack(CLIENT, "HTTP: 300 connections reset in the middle of an answer")
def resets(arena: Arena) -> Iterator[None]:
    for _ in range(300):
        with suppress(OSError), connect(arena.standing[1]) as one:
            one.sendall(b"GET /allocations HTTP/1.1\r\nHost: localhost\r\n\r\n")
    yield


@attack(CLIENT, "HTTP: 40 connections reset behind a body that nobody reads")
def resets_behind_bodies(arena: Arena) -> Iterator[None]:
    head = b"POST /ipfs/gc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
    with opened(arena.standing[1], 40, head + bytes(4 << 20)) as held:
        for one in held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    yield
