"""Much data in both directions, with streams opened meanwhile. py-libp2p's muxer stops for ever."""

import hashlib
import random

import trio
from libp2p.custom_types import TProtocol

from bftcluster.net.streams import StreamClass
from tests.integration.net.nodes import Node, introduce, linked, running
from tests.integration.net.stock import address_of, echo, fast_host, read_exactly

BULK = TProtocol("/bulk/1")
ECHO = TProtocol("/echo/1")
SIZE = 12 << 20
DATA = random.Random(2).randbytes(SIZE)


async def test_two_way_bulk_and_new_streams_do_not_deadlock() -> None:
    digests = []
    done = trio.Event()

    async def take(stream) -> None:
        digests.append(hashlib.sha256(await read_exactly(stream, SIZE)).digest())
        if len(digests) == 6:
            done.set()

    async with fast_host(1) as a, fast_host(2) as b, trio.open_nursery() as nursery:
        for host in (a, b):
            host.set_stream_handler(BULK, take)
            host.set_stream_handler(ECHO, echo)
        out = await a.dial(b.get_id(), address_of(b))
        while b.live_connection(a.get_id()) is None:
            await trio.lowlevel.checkpoint()
        back = b.live_connection(a.get_id())

        async def send(host, connection) -> None:
            stream = await host.open_stream(connection, BULK)
            await stream.write(DATA)

        async def churn(host, connection) -> None:
            for _ in range(25):
                stream = await host.open_stream(connection, ECHO)
                await stream.write(b"x" * 200)
                assert len(await read_exactly(stream, 200)) == 200
                await stream.reset()

        with trio.fail_after(30):
            async with trio.open_nursery() as work:
                for host, connection in ((a, out), (b, back)):
                    for _ in range(3):
                        work.start_soon(send, host, connection)
                    work.start_soon(churn, host, connection)
            await done.wait()
        nursery.cancel_scope.cancel()

    assert set(digests) == {hashlib.sha256(DATA).digest()}


async def test_every_class_in_both_directions_at_once_arrives_whole_and_in_order() -> None:
    blob = bytes(1 << 20)
    nodes = Node(1), Node(2)
    async with running(*nodes):
        introduce(*nodes)
        await linked(*nodes)

        async def fill(sender: Node, receiver: Node) -> None:
            for number in range(24):
                header = number.to_bytes(4, "big")
                await sender.network.send(receiver.me, StreamClass.BLOCKS, header + blob)
                await sender.network.send(receiver.me, StreamClass.CONSENSUS, header + b"vote")
                await sender.network.send(receiver.me, StreamClass.SYNC, header + b"page")

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fill, nodes[0], nodes[1])
                nursery.start_soon(fill, nodes[1], nodes[0])
            for node in nodes:
                await node.wait_for_frames(72)

        for node in nodes:
            for each in (StreamClass.BLOCKS, StreamClass.CONSENSUS, StreamClass.SYNC):
                numbers = [f[:4] for _, cls, f in node.received if cls is each]
                assert numbers == [number.to_bytes(4, "big") for number in range(24)]
