"""On the wire: keep-alive, trailers, broken streams, limits, shutdown."""

import socket
from itertools import repeat
from random import Random

import httpx
import pytest
import trio

from bftcluster import cid as cids
from bftcluster.api.http.listen_address import open_sockets
from bftcluster.errors import ConfigError
from tests.integration.api.conftest import Server, keep_many, read_to_end, send_zeros

CIDS = tuple(cids.text(cids.of_block(bytes([number]))) for number in range(5))

HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
PREFIXES = (
    b"",
    b"GET /pins" + HOST,
    b"POST /operations" + HOST + b"Content-Length: 20\r\n\r\n",
    b"POST /operations" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
    b"POST /operations" + HOST + b"Content-Type: application/vnd.bftcluster.frames\r\n"
    b"Content-Length: 100\r\n\r\n",
    b"POST /add" + HOST + b"Content-Type: multipart/form-data; boundary=B\r\n"
    b"Content-Length: 100\r\n\r\n--B\r\n",
)


async def pin_all(client: httpx.AsyncClient) -> None:
    for cid in CIDS:
        await client.post(f"/pins/{cid}")


async def exchange(server: Server, request: bytes) -> bytes:
    async with await server.connect() as stream:
        await stream.send_all(request)
        return await read_to_end(stream)


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def pin_all_and_break(server: Server, client: httpx.AsyncClient) -> None:
    """Have a list of pins end in an error after its first page."""
    await pin_all(client)
    server.service.fails_after_pages = 1


async def test_one_connection_serves_many_requests(server: Server) -> None:
    async with await server.connect() as stream:
        for _ in range(3):
            await stream.send_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await stream.receive_some(4096)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b'{"version":"0.1.0"}')


async def test_a_stream_announces_its_trailer_and_ends_with_an_empty_one(
    server: Server, client: httpx.AsyncClient
) -> None:
    await pin_all(client)

    answer = await exchange(server, get("/pins"))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"\r\ntrailer: X-Stream-Error" in head
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert body.endswith(b"\r\n0\r\nx-stream-error: \r\n\r\n")


async def test_an_error_after_the_first_item_is_the_trailer(
    server: Server, client: httpx.AsyncClient
) -> None:
    await pin_all_and_break(server, client)

    answer = await exchange(server, get("/pins"))

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b'{"cid":') == 2
    assert answer.endswith(b"\r\n0\r\nx-stream-error: the store stopped answering\r\n\r\n")


async def test_an_http_1_0_client_has_no_trailers_and_is_cut_off(
    server: Server, client: httpx.AsyncClient
) -> None:
    await pin_all_and_break(server, client)

    answer = await exchange(server, b"GET /pins HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")

    assert answer.count(b'{"cid":') == 2
    assert b"railer" not in answer


@pytest.mark.parametrize("query", ["", "?format=tar"])
async def test_content_that_cannot_be_read_to_its_end_is_cut_off(
    server: Server, client: httpx.AsyncClient, query: str
) -> None:
    cid = cids.of_block(b"two halves")
    server.service.content_of[cid] = b"two halves"
    server.service.torn.add(cid)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await client.get(f"/content/{cids.text(cid)}{query}")


async def test_a_client_that_goes_away_ends_the_listing(server: Server) -> None:
    keep_many(server, 20_000)
    async with await server.connect() as stream:
        await stream.send_all(get("/allocations"))
        await stream.receive_some(100)

    with trio.fail_after(5):
        while not server.service.closed_listings:
            await trio.lowlevel.checkpoint()


async def test_shutdown_is_quick_with_an_idle_connection_and_one_that_does_not_read(
    server: Server, nursery: trio.Nursery
) -> None:
    keep_many(server, 20_000)
    idle = await server.connect()
    lazy = await server.connect()
    await lazy.send_all(get("/allocations"))
    await lazy.receive_some(100)

    server.stop.set()

    with trio.fail_after(2):
        assert await idle.receive_some(1) == b""
        while True:
            try:
                probe = await server.connect()
            except OSError:
                break
            await probe.aclose()
    await idle.aclose()
    await lazy.aclose()


async def test_an_endless_header_is_refused(server: Server) -> None:
    answer = await exchange(server, get("/version", "X-Long: " + "x" * (1 << 17)))

    assert answer.startswith(b"HTTP/1.1 431")


async def test_a_refused_upload_is_read_so_that_the_client_sees_why(
    server: Server, client: httpx.AsyncClient
) -> None:
    server.service.has_key = False

    response = await client.post("/add", files={"file": ("big", b"x" * (8 << 20))})

    assert response.status_code == 403
    assert response.json()["message"] == "this peer holds no maintainer key"


async def test_a_client_may_send_a_whole_upload_before_it_reads_anything(server: Server) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\nx\r\n'
    names = [b"%d" % number + b"x" * 1000 for number in range(5_000)]
    body = b"".join(part % name for name in names) + b"--B--\r\n"
    head = (
        b"POST /add?progress=true&wrap-with-directory=true HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: %d\r\n\r\n" % len(body)
    )

    async with await server.connect() as stream:
        with trio.fail_after(30):
            await stream.send_all(head + body)
            answer = await read_to_end(stream)

    assert len(answer) > 10 << 20, "more than sockets buffer"
    assert answer.count(b'"bytes":1') == len(names)
    assert answer.endswith(b"\r\n0\r\nx-stream-error: \r\n\r\n")


async def test_a_store_that_does_not_read_stops_the_client(server: Server) -> None:
    server.service.stalled = trio.Event()
    async with await server.connect() as stream:
        await stream.send_all(
            b"POST /add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000\r\n"
            b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
            b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        )
        sent = 0
        with trio.move_on_after(1):
            for chunk in repeat(bytes(1 << 16)):
                await stream.send_all(chunk)
                sent += len(chunk)

    assert sent < 64 << 20


async def test_an_endless_upload_that_was_refused_ends_with_its_connection(
    server: Server,
) -> None:
    server.service.has_key = False
    tasks = trio.lowlevel.current_statistics().tasks_living
    head = (
        b"POST /add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000000\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    )

    async with await server.connect() as stream:
        await stream.send_all(head)
        with pytest.raises(trio.BrokenResourceError):
            await send_zeros(stream, 1 << 40)

    with trio.fail_after(5):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.lowlevel.checkpoint()


async def test_a_client_that_leaves_in_the_middle_of_an_upload_leaves_nothing_behind(
    server: Server,
) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with await server.connect() as stream:
        await stream.send_all(
            b"POST /add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
            b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
            b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhalf'
        )

    with trio.fail_after(5):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.lowlevel.checkpoint()
    assert server.service.kept == {}


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_any_bytes_end_in_an_answer_or_a_closed_connection(
    server: Server, prefix: bytes
) -> None:
    random = Random(prefix)
    for _ in range(40):
        data = random.choice((b"\r\n\r\n", b"", b"\x00")) + random.randbytes(random.randrange(200))
        async with await server.connect() as stream:
            await stream.send_all(prefix + data)
            await stream.send_eof()
            with trio.fail_after(10):
                answer = await read_to_end(stream)

        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), data

    assert (await exchange(server, get("/version"))).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("nowhere", "cannot listen on 'nowhere'"),
        ("127.0.0.1:99999", "no port has the number 99999"),
        ("/ip4/::1/tcp/9094", "not an address of that kind"),
        ("/ip4/127.0.0.1/udp/9094", "cannot listen on"),
    ],
)
def test_a_wrong_address_is_an_error_of_the_config(listen: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_sockets([listen])


def test_a_port_in_use_is_an_error_with_a_hint() -> None:
    (first,) = open_sockets(["/ip4/127.0.0.1/tcp/0"])
    with first, pytest.raises(ConfigError, match="already in use") as caught:
        open_sockets(["127.0.0.1:0", f"127.0.0.1:{first.getsockname()[1]}"])

    assert "api.listen" in caught.value.hint


async def test_who_goes_before_the_answer_has_begun_costs_no_answer(server: Server) -> None:
    for _ in range(50):
        with socket.create_connection((server.host, server.port)) as one:
            one.sendall(get("/allocations"))

    assert (await exchange(server, get("/version"))).startswith(b"HTTP/1.1 200")
    assert (await exchange(server, get("/allocations"))).startswith(b"HTTP/1.1 204")
    assert server.service.closed_listings == 1
