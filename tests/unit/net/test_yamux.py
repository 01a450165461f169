"""A yamux connection against a remote that keeps the rules, and against one that does not."""

import pytest
import trio
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamReset,
)
from trio.testing import MockClock

from bftcluster.limits import (
    YAMUX_INBOUND_STREAMS_MAX,
    YAMUX_LANE_SIZE_MAX_BYTES,
    YAMUX_WINDOW_INITIAL_BYTES,
)
from bftcluster.net.yamux import KeepAlive
from bftcluster.net.yamux_frames import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    HEADER_SIZE_BYTES,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    encode,
)
from tests.unit.net.pipes import connection_pair, connection_to_raw_peer

SLOW = KeepAlive(interval_s=3600, timeout_s=3600)


async def read_exactly(stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.read()
    return data


async def test_what_is_written_is_read_on_the_other_side() -> None:
    async with connection_pair() as (a, b):
        ours = await a.open_stream()
        await ours.write(b"hello")
        theirs = await b.accept_stream()
        assert await theirs.read() == b"hello"

        await theirs.write(b"good day")
        assert await ours.read(4) == b"good"
        assert await ours.read(100) == b" day"


async def test_the_end_of_a_stream_comes_after_its_data() -> None:
    async with connection_pair() as (a, b):
        ours = await a.open_stream()
        await ours.write(b"last words")
        await ours.close()
        theirs = await b.accept_stream()

        assert await theirs.read() == b"last words"
        with pytest.raises(MuxedStreamEOF):
            await theirs.read()
        with pytest.raises(MuxedStreamClosed):
            await ours.write(b"more")
        await theirs.write(b"the other way is open")
        assert await ours.read() == b"the other way is open"


async def test_a_reset_ends_both_directions() -> None:
    async with connection_pair() as (a, b):
        ours = await a.open_stream()
        theirs = await b.accept_stream()

        await ours.reset()

        with pytest.raises(MuxedStreamReset):
            await theirs.read()
        with pytest.raises(MuxedStreamReset):
            await theirs.write(b"x")
        with pytest.raises(MuxedStreamReset):
            await ours.write(b"x")


async def test_a_writer_waits_for_the_window_and_goes_on_when_it_is_read() -> None:
    size = 3 * YAMUX_WINDOW_INITIAL_BYTES
    async with connection_pair() as (a, b):
        ours = await a.open_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.write, bytes(size))
            theirs = await b.accept_stream()
            await trio.testing.wait_all_tasks_blocked()

            assert len(theirs._received) == YAMUX_WINDOW_INITIAL_BYTES
            assert await read_exactly(theirs, size) == bytes(size)


async def test_a_grown_window_takes_more_before_the_writer_waits() -> None:
    async with connection_pair() as (a, b):
        ours = await a.open_stream()
        theirs = await b.accept_stream()
        theirs.grow_window(1 << 20)
        await trio.testing.wait_all_tasks_blocked()

        await ours.write(bytes(1 << 20))
        await trio.testing.wait_all_tasks_blocked()

        assert len(theirs._received) == 1 << 20


async def test_a_remote_that_ignores_the_window_is_cut_off_at_once() -> None:
    async with connection_to_raw_peer(SLOW) as (connection, remote):
        body = bytes(64 << 10)
        fits = YAMUX_WINDOW_INITIAL_BYTES // len(body)
        await remote.send(encode(WINDOW_UPDATE, SYN, 1, 0))
        stream = await connection.accept_stream()
        await remote.send(*[encode(DATA, 0, 1, len(body), body)] * fits)
        await trio.testing.wait_all_tasks_blocked()
        assert connection.is_established

        await remote.send(encode(DATA, 0, 1, 1, b"!"))
        await connection.event_closed.wait()

        assert len(stream._received) == YAMUX_WINDOW_INITIAL_BYTES


@pytest.mark.parametrize(
    "frame",
    [
        encode(WINDOW_UPDATE, SYN, 2, 0),
        encode(WINDOW_UPDATE, SYN, 0, 0),
        encode(DATA, 0, 1, 1 << 31),
        encode(WINDOW_UPDATE, 0, 1, 0xFFFFFFFF),
        encode(DATA, FIN, 1, 1, b"x") + encode(DATA, 0, 1, 1, b"y"),
        b"\x01" + bytes(11),
        b"\x00\x09" + bytes(10),
    ],
    ids=["our id", "id 0", "huge body", "window overflow", "data after end", "version", "kind"],
)
async def test_a_remote_that_breaks_a_rule_is_cut_off(frame: bytes) -> None:
    async with connection_to_raw_peer(SLOW) as (connection, remote):
        await remote.send(encode(WINDOW_UPDATE, SYN, 1, 0), frame)

        with trio.fail_after(5):
            await connection.event_closed.wait()


async def test_streams_over_the_limit_are_refused_and_the_others_live() -> None:
    async with connection_to_raw_peer(SLOW) as (connection, remote):
        ids = [1 + 2 * number for number in range(YAMUX_INBOUND_STREAMS_MAX + 1)]
        await remote.send(*(encode(WINDOW_UPDATE, SYN, sid, 0) for sid in ids))

        answers = [await remote.receive(WINDOW_UPDATE) for _ in ids]

        assert [frame.flags for frame in answers] == [ACK] * YAMUX_INBOUND_STREAMS_MAX + [RST]
        await remote.send(encode(DATA, 0, 1, 2, b"ok"))
        assert await (await connection.accept_stream()).read() == b"ok"


async def test_frames_of_a_stream_that_is_gone_are_ignored() -> None:
    async with connection_to_raw_peer(SLOW) as (connection, remote):
        await remote.send(encode(WINDOW_UPDATE, SYN, 1, 0))
        await (await connection.accept_stream()).reset()

        await remote.send(encode(DATA, 0, 1, 3, b"old"), encode(WINDOW_UPDATE, FIN, 1, 0))
        await remote.send(encode(PING, SYN, 0, 99))

        assert (await remote.receive(PING)).flags == SYN
        pong = await remote.receive(PING)
        assert (pong.flags, pong.value) == (ACK, 99)


async def test_a_ping_is_answered_and_an_answer_gives_the_round_trip(
    autojump_clock: MockClock,
) -> None:
    async with connection_to_raw_peer() as (connection, remote):
        ping = await remote.receive(PING)
        await trio.sleep(0.25)
        await remote.send(encode(PING, ACK, 0, ping.value))
        await trio.testing.wait_all_tasks_blocked()

        assert connection.rtt() == pytest.approx(0.25)


async def test_a_silent_remote_is_given_up_after_the_timeout(autojump_clock: MockClock) -> None:
    keep_alive = KeepAlive(interval_s=5, timeout_s=10)
    async with connection_to_raw_peer(keep_alive) as (connection, remote):
        ping = await remote.receive(PING)
        await remote.send(encode(PING, ACK, 0, ping.value))
        started = trio.current_time()

        await connection.event_closed.wait()

        assert trio.current_time() - started == pytest.approx(15.25)


async def test_an_answer_that_waited_through_a_pause_of_ours_counts(mock_clock: MockClock) -> None:
    keep_alive = KeepAlive(interval_s=5, timeout_s=10)
    async with connection_to_raw_peer(keep_alive) as (connection, remote):
        ping = await remote.receive(PING)

        answer = encode(PING, ACK, 0, ping.value)
        connection.secured_conn.stream.receive_stream.put_data(answer)
        mock_clock.jump(60)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()

        assert connection.is_established
        assert connection.rtt() == pytest.approx(60)


async def test_a_good_bye_ends_the_connection() -> None:
    async with connection_to_raw_peer(SLOW) as (connection, remote):
        await remote.send(encode(GO_AWAY, 0, 0, 0))

        await connection.event_closed.wait()

        with pytest.raises(MuxedStreamReset):
            await connection.open_stream()
        with pytest.raises(MuxedConnUnavailable):
            await connection.accept_stream()


async def test_what_arrived_before_the_end_of_a_connection_can_still_be_read() -> None:
    async with connection_to_raw_peer(SLOW) as (connection, remote):
        await remote.send(encode(WINDOW_UPDATE, SYN, 1, 0), encode(DATA, 0, 1, 2, b"ok"))
        stream = await connection.accept_stream()
        await remote.stream.send_eof()
        await connection.event_closed.wait()

        assert await stream.read() == b"ok"
        with pytest.raises(MuxedStreamReset):
            await stream.read()


async def test_a_remote_that_provokes_replies_and_does_not_read_is_cut_off() -> None:
    async with connection_to_raw_peer(SLOW, lockstep=True) as (connection, remote):
        pings = encode(PING, SYN, 0, 1) * 4096

        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            while True:
                await remote.send(pings)

        assert connection._sender.urgent_size < 3 * YAMUX_LANE_SIZE_MAX_BYTES


async def test_a_cancelled_write_leaves_whole_frames_and_a_sound_connection() -> None:
    async with connection_pair(lockstep=True) as (a, b):
        ours, other = await a.open_stream(), await a.open_stream()
        theirs, theirs_other = await b.accept_stream(), await b.accept_stream()
        for limit in range(1, 60):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ours.write, bytes([limit]) * 40_000)
                    for _ in range(limit):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        await ours.close()

        received = b""
        with pytest.raises(MuxedStreamEOF):  # noqa: PT012
            while True:
                received += await theirs.read()
        await other.write(b"still in step")

        assert await theirs_other.read() == b"still in step"
        assert list(received) == sorted(received), "bytes of the writes in order, none mixed"


async def test_two_writes_of_one_stream_do_not_mix() -> None:
    size = 2 * YAMUX_WINDOW_INITIAL_BYTES
    async with connection_pair() as (a, b):
        ours = await a.open_stream()
        theirs = await b.accept_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.write, b"a" * size)
            nursery.start_soon(ours.write, b"b" * size)
            received = await read_exactly(theirs, 2 * size)

        assert received in {b"a" * size + b"b" * size, b"b" * size + b"a" * size}


async def test_bulk_does_not_delay_other_streams_by_more_than_a_batch() -> None:
    async with connection_to_raw_peer(SLOW, lockstep=True) as (connection, remote):
        await remote.send(encode(WINDOW_UPDATE, SYN, 1, 1 << 24))
        await remote.send(encode(WINDOW_UPDATE, SYN, 3, 0))
        bulk = await connection.accept_stream()
        vote = await connection.accept_stream()
        bulk.make_bulk()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bulk.write, bytes(8 << 20))
            await trio.testing.wait_all_tasks_blocked()
            await vote.write(b"vote")

            ahead = 0
            while (frame := await remote.receive(DATA)).stream_id == 1:
                ahead += HEADER_SIZE_BYTES + len(frame.body)
            nursery.cancel_scope.cancel()

        assert frame.body == b"vote"
        assert ahead <= 2 * (128 << 10)


async def test_writers_wait_while_the_connection_has_much_to_send() -> None:
    async with connection_to_raw_peer(SLOW, lockstep=True) as (connection, remote):
        await remote.send(encode(WINDOW_UPDATE, SYN, 1, 1 << 24))
        stream = await connection.accept_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.write, bytes(8 << 20))
            await trio.testing.wait_all_tasks_blocked()

            queued = connection._sender.urgent_size
            nursery.cancel_scope.cancel()

        assert queued <= YAMUX_LANE_SIZE_MAX_BYTES + (64 << 10)


async def test_both_sides_sending_all_they_can_do_not_deadlock() -> None:
    size = 4 << 20
    async with connection_pair(lockstep=True) as (a, b):

        async def send(connection) -> None:
            stream = await connection.open_stream()
            await stream.write(bytes(size))

        async def receive(connection) -> None:
            await read_exactly(await connection.accept_stream(), size)

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    for connection in (a, b):
                        nursery.start_soon(send, connection)
                        nursery.start_soon(receive, connection)
