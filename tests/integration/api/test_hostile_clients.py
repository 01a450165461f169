"""Raw bytes of clients that are slow, many, or unclear about what they send."""

import socket
import struct
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bftcluster.shell_limits import (
    ANSWER_PACE_TIME_MAX_S,
    BODY_PACE_TIME_MAX_S,
    HEAD_TIME_MAX_S,
    HEADERS_SIZE_MAX_BYTES,
    UPLOADS_PER_ADDRESS_MAX,
)
from tests.integration.api.conftest import (
    Server,
    keep_many,
    read_to_end,
    send_zeros,
    serving,
)

HOST = b"Host: 127.0.0.1\r\n"
UPLOAD = (
    b"POST /add HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n"
    b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
)
PER_ADDRESS_MAX = 20
MORE_THAN_SOCKETS_BUFFER_BYTES = 64 << 20


@pytest.fixture
async def strict(nursery: trio.Nursery) -> AsyncIterator[Server]:
    async with serving(nursery, connections_per_address_max=PER_ADDRESS_MAX) as server:
        yield server


async def exchange(server: Server, request: bytes) -> bytes:
    async with await server.connect() as stream:
        await stream.send_all(request)
        with trio.fail_after(30):
            return await read_to_end(stream)


async def later_until_closed(stream: trio.SocketStream, clock: MockClock, seconds: float) -> bytes:
    """Let time pass until the server closes; return what it said, and fail if it does not."""
    answer = b""

    async def read() -> None:
        nonlocal answer
        answer = await read_to_end(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for _ in range(20):
            await wait_all_tasks_blocked(0.02)
            if len(nursery.child_tasks) == 0:
                return answer
            clock.jump(seconds)
        raise AssertionError(f"still open after 20 times {seconds} seconds")


@pytest.mark.parametrize(
    "both",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nX: y\r\ncontent-length: 0\r\n",
    ],
)
async def test_a_body_of_two_lengths_is_refused_and_ends_the_connection(
    server: Server, both: bytes
) -> None:
    smuggled = b"0\r\n\r\nGET /version HTTP/1.1\r\n" + HOST + b"\r\n"

    answer = await exchange(
        server, b"POST /operations HTTP/1.1\r\n" + HOST + both + b"\r\n" + smuggled
    )

    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert server.service.submitted == []


def head_of(size: int) -> bytes:
    start = b"GET /version HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X-Long: "
    end = b"\r\n\r\n"
    return start + b"x" * (size - len(start) - len(end)) + end


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("piece_bytes", [1 << 20, 4096, HEADERS_SIZE_MAX_BYTES, 1000])
async def test_headers_of_64_kib_are_taken_and_a_byte_more_is_not(
    server: Server, more: int, piece_bytes: int
) -> None:
    head = head_of(HEADERS_SIZE_MAX_BYTES + more)
    async with await server.connect() as stream:
        for at in range(0, len(head), piece_bytes):
            await stream.send_all(head[at : at + piece_bytes])
        with trio.fail_after(30):
            answer = await read_to_end(stream)

    assert answer.startswith(b"HTTP/1.1 431" if more else b"HTTP/1.1 200")


async def test_headers_too_long_are_refused_behind_another_request_as_well(server: Server) -> None:
    first = b"POST /operations HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nabcd"

    answer = await exchange(server, first + head_of(2 * HEADERS_SIZE_MAX_BYTES))

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 431" in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: rebound.example\r\n", 403),
        (b"Host: [::1].evil.example\r\n", 403),
        (b"Host: 127.0.0.1\r\nHost: evil.example\r\n", 400),
        (b"Host: 127.0.0.1\r\n", 200),
        (b"Host: [::1]:80\r\n", 200),
    ],
)
async def test_a_read_under_a_name_that_is_not_ours_is_refused(
    server: Server, headers: bytes, status: int
) -> None:
    answer = await exchange(
        server, b"GET /id HTTP/1.1\r\nConnection: close\r\n" + headers + b"\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 %d" % status)


async def test_two_origins_or_one_that_cannot_be_read_are_403(server: Server) -> None:
    for origins in (
        b"Origin: http://127.0.0.1\r\nOrigin: http://evil.example\r\n",
        b"Origin: http://[\r\n",
    ):
        answer = await exchange(
            server, b"POST /ipfs/gc HTTP/1.1\r\nConnection: close\r\n" + HOST + origins + b"\r\n"
        )

        assert answer.startswith(b"HTTP/1.1 403")


async def test_a_client_has_20_seconds_for_its_headers(
    mock_clock: MockClock, server: Server
) -> None:
    for begun in (b"", b"GET /version HTTP/1.1\r\nX: "):
        async with await server.connect() as stream:
            await stream.send_all(begun)

            assert await later_until_closed(stream, mock_clock, HEAD_TIME_MAX_S + 1) == b""


async def test_the_time_for_headers_begins_with_their_first_byte(
    mock_clock: MockClock, server: Server
) -> None:
    async with await server.connect() as stream:
        for _ in range(3):
            await stream.send_all(b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 200")
            await wait_all_tasks_blocked(0.05)
            mock_clock.jump(3 * HEAD_TIME_MAX_S)
            await wait_all_tasks_blocked(0.05)

        await stream.send_all(b"GET /ver")
        await wait_all_tasks_blocked(0.05)

        assert await later_until_closed(stream, mock_clock, HEAD_TIME_MAX_S + 1) == b""


async def test_an_upload_that_stands_still_is_answered_and_ends(
    mock_clock: MockClock, server: Server
) -> None:
    async with await server.connect() as stream:
        await stream.send_all(UPLOAD)

        answer = await later_until_closed(stream, mock_clock, BODY_PACE_TIME_MAX_S + 1)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"of the body in 20 seconds" in answer


async def test_a_client_that_does_not_read_its_answer_is_cut_off(
    mock_clock: MockClock, server: Server
) -> None:
    keep_many(server, 20_000)
    async with await server.connect() as stream:
        await stream.send_all(b"GET /allocations HTTP/1.1\r\n" + HOST + b"\r\n")
        await stream.receive_some(100)
        for _ in range(20):
            await wait_all_tasks_blocked(0.05)
            if server.service.closed_listings:
                return
            mock_clock.jump(ANSWER_PACE_TIME_MAX_S + 1)
    raise AssertionError("it is still being answered")


async def test_slow_clients_make_room_for_one_that_says_what_it_wants(strict: Server) -> None:
    slow = [await strict.connect() for _ in range(PER_ADDRESS_MAX)]
    for stream in slow:
        await stream.send_all(b"GET /version HTTP/1.1\r\nX: ")
    await wait_all_tasks_blocked(0.05)

    for _ in range(5):
        answer = await exchange(
            strict, b"GET /version HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200")

    with trio.fail_after(5):
        assert await slow[0].receive_some(1) == b"", "the one that was waited for longest"
    await slow[-1].send_all(b"y\r\n" + HOST + b"\r\n")
    assert (await slow[-1].receive_some(100)).startswith(b"HTTP/1.1 200")
    for stream in slow:
        await trio.aclose_forcefully(stream)


async def test_who_is_being_served_stays_and_the_next_one_is_told_to_come_again(
    strict: Server,
) -> None:
    strict.service.stalled = trio.Event()
    served = [await strict.connect() for _ in range(PER_ADDRESS_MAX)]
    for stream in served:
        await stream.send_all(b"GET /content/" + CID + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    await wait_all_tasks_blocked(0.05)

    answer = await exchange(strict, b"")

    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 5" in answer
    strict.service.stalled.set()
    for stream in served:
        assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 404")
        await trio.aclose_forcefully(stream)


async def test_uploads_too_many_are_told_to_come_again_while_others_are_answered(
    server: Server, client: httpx.AsyncClient
) -> None:
    uploads = [await server.connect() for _ in range(UPLOADS_PER_ADDRESS_MAX)]
    for stream in uploads:
        await stream.send_all(UPLOAD)
    await wait_all_tasks_blocked(0.05)

    refused = await client.post("/add", files={"file": ("f", b"content")})

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert (await client.get("/status")).status_code == 200
    for stream in uploads:
        await trio.aclose_forcefully(stream)


async def none_is_left(tasks: int) -> None:
    """Return when no more than ``tasks`` live."""
    with trio.fail_after(5):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.lowlevel.checkpoint()


RESET_WHEN_CLOSED = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_reset_while_a_body_waits_unread_ends_the_connection(server: Server) -> None:
    server.service.stalled = trio.Event()
    tasks = trio.lowlevel.current_statistics().tasks_living
    stream = await server.connect()
    await stream.send_all(
        b"POST /ipfs/gc HTTP/1.1\r\n" + HOST + b"Content-Length: 100000000\r\n\r\n"
    )
    with trio.move_on_after(0.5):
        await send_zeros(stream, MORE_THAN_SOCKETS_BUFFER_BYTES)
    stream.setsockopt(*RESET_WHEN_CLOSED)
    await trio.aclose_forcefully(stream)
    await wait_all_tasks_blocked(0.05)

    server.service.stalled.set()

    await none_is_left(tasks)


async def test_a_client_that_goes_is_noticed_whatever_it_sent_ahead(server: Server) -> None:
    server.service.stalled = trio.Event()
    tasks = trio.lowlevel.current_statistics().tasks_living
    request = b"GET /content/" + CID + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    for ahead in (b"G", 3 * request):
        async with await server.connect() as stream:
            await stream.send_all(request)
            await wait_all_tasks_blocked(0.05)
            await stream.send_all(ahead)

        await none_is_left(tasks)


async def test_a_client_that_sends_far_ahead_of_its_answer_is_turned_away(server: Server) -> None:
    server.service.stalled = trio.Event()
    async with await server.connect() as stream:
        await stream.send_all(b"GET /content/" + CID + b" HTTP/1.1\r\n" + HOST + b"\r\n")

        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await send_zeros(stream, MORE_THAN_SOCKETS_BUFFER_BYTES)


async def test_what_is_sent_ahead_is_answered_in_its_turn(server: Server) -> None:
    server.service.stalled = trio.Event()
    request = b"GET /content/" + CID + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    async with await server.connect() as stream:
        await stream.send_all(request[:-1])
        for _ in range(3):
            await stream.send_all(request[-1:] + request[:-1])
            await wait_all_tasks_blocked(0.05)
        await stream.send_all(b"\nGET /version HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
        await wait_all_tasks_blocked(0.05)

        server.service.stalled.set()

        with trio.fail_after(5):
            answer = await read_to_end(stream)
    assert answer.count(b"HTTP/1.1 404") == 4
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_who_connects_and_resets_leaves_no_error_in_the_log(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):
        with socket.create_connection((server.host, server.port)) as client:
            client.setsockopt(*RESET_WHEN_CLOSED)
    await wait_all_tasks_blocked(0.05)

    assert "connection failed" not in "".join(capsys.readouterr())


CID = b"bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
