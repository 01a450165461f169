"""Our Noise and yamux speak to py-libp2p's own, in both directions."""

import random

import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.host.ping import PingService
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from bftcluster.limits import YAMUX_WINDOW_INITIAL_BYTES
from tests.integration.net.stock import (
    address_of,
    echo,
    fast_host,
    read_exactly,
    stock_host,
    swallow,
)

ECHO = TProtocol("/echo/1")
DATA = random.Random(1).randbytes(4 * YAMUX_WINDOW_INITIAL_BYTES + 12_345)


async def stock_echo(stream) -> None:
    await swallow(echo, stream)


async def exchange(opening) -> None:
    """Send ``DATA`` on a stream that is being opened and read it back, both at once."""
    with trio.fail_after(20):
        stream = await opening
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.write, DATA)
            received = await read_exactly(stream, len(DATA))
    assert received == DATA


async def open_from_stock(stock, fast):
    info = PeerInfo(fast.get_id(), [Multiaddr(address_of(fast))])
    await stock.connect(info)
    return await stock.new_stream(fast.get_id(), [ECHO])


async def open_from_fast(fast, stock):
    connection = await fast.dial(stock.get_id(), address_of(stock))
    return await fast.open_stream(connection, ECHO)


@pytest.mark.parametrize(
    ("dialing", "dialled", "answer", "opened"),
    [
        pytest.param(fast_host, stock_host, stock_echo, open_from_fast, id="we dial stock"),
        pytest.param(stock_host, fast_host, echo, open_from_stock, id="stock dials us"),
        pytest.param(fast_host, fast_host, echo, open_from_fast, id="we dial us"),
    ],
)
async def test_data_comes_back_whole_whoever_dials(dialing, dialled, answer, opened) -> None:
    async with dialing(1) as a, dialled(2) as b:
        b.set_stream_handler(ECHO, answer)
        await exchange(opened(a, b))


async def test_many_streams_of_one_connection_do_not_mix() -> None:
    async with stock_host(1) as stock, fast_host(2) as fast:
        stock.set_stream_handler(ECHO, stock_echo)
        connection = await fast.dial(stock.get_id(), address_of(stock))

        async def talk(number: int) -> None:
            stream = await fast.open_stream(connection, ECHO)
            message = bytes([number]) * 20_000
            await stream.write(message)
            assert await read_exactly(stream, len(message)) == message
            await stream.reset()

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(talk, number)


async def test_stock_can_ping_and_identify_us() -> None:
    async with stock_host(1) as stock, fast_host(2) as fast:
        with trio.fail_after(20):
            await stock.connect(PeerInfo(fast.get_id(), [Multiaddr(address_of(fast))]))
            stream = await stock.new_stream(fast.get_id(), ["/ipfs/ping/1.0.0"])
            assert await PingService(stock).ping(fast.get_id(), 1)
            await stream.reset()


@pytest.mark.parametrize("we_dial", [True, False])
async def test_the_end_of_a_stream_is_seen_on_the_other_side(we_dial: bool) -> None:
    async with stock_host(1) as stock, fast_host(2) as fast:
        received = bytearray()
        ended = trio.Event()

        async def take(stream) -> None:
            try:
                while True:
                    received.extend(await stream.read(65536))
            except EOFError:
                ended.set()

        (stock if we_dial else fast).set_stream_handler(ECHO, take)
        with trio.fail_after(20):
            opened = open_from_fast(fast, stock) if we_dial else open_from_stock(stock, fast)
            stream = await opened
            await stream.write(b"that is all")
            await stream.close()
            await ended.wait()

        assert bytes(received) == b"that is all"
