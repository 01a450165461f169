"""Peers that lie, break rules or misbehave, against a running host or network."""

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamReset
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from multiaddr import Multiaddr

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.limits import CONNECTIONS_PER_PEER_MAX, HANDSHAKES_PENDING_PER_ADDRESS_MAX
from bftcluster.net.frames import encode_frame
from bftcluster.net.identity import libp2p_id
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import StreamClass
from bftcluster.signing.keys import SigningKey
from tests.integration.net.nodes import TIMEOUT_S, Node, introduce, linked, running
from tests.integration.net.stock import address_of, echo, fast_host, stock_host

ECHO = TProtocol("/echo/1")


async def test_a_peer_cannot_claim_to_be_another_without_its_key() -> None:
    """py-libp2p's default accepts this: a plaintext peer need only say whose key it "has"."""
    victim = create_new_key_pair(b"v" * 32)
    liar = create_new_key_pair(b"l" * 32)
    claimed = KeyPair(liar.private_key, victim.public_key)
    plaintext = {PLAINTEXT_PROTOCOL_ID: InsecureTransport(claimed)}
    async with fast_host(1) as host, stock_host(2, sec_opt=plaintext) as attacker:
        with pytest.raises(Exception, match="unable to connect"):
            await attacker.connect(PeerInfo(host.get_id(), [Multiaddr(address_of(host))]))

        assert not host.get_network().get_connections()


async def test_a_stranger_never_reaches_the_multiplexer() -> None:
    friend = ID.from_pubkey(create_new_key_pair(bytes([2]) * 32).public_key)
    async with fast_host(1, lambda peer: peer == friend) as host, stock_host(3) as stranger:
        with pytest.raises(Exception, match="unable to connect"):
            await stranger.connect(PeerInfo(host.get_id(), [Multiaddr(address_of(host))]))

        assert not host.get_network().get_connections()


async def test_an_exception_in_a_handler_costs_one_stream_and_not_the_host() -> None:
    async def fail(stream) -> None:
        await stream.read(1)
        raise ValueError("a bug")

    async with fast_host(1) as host, fast_host(2) as peer:
        host.set_stream_handler(TProtocol("/fail/1"), fail)
        host.set_stream_handler(ECHO, echo)
        connection = await peer.dial(host.get_id(), address_of(host))
        with trio.fail_after(TIMEOUT_S):
            bad = await peer.open_stream(connection, TProtocol("/fail/1"))
            await bad.write(b"x")
            with pytest.raises(StreamReset):
                await bad.read(1)

            good = await peer.open_stream(connection, ECHO)
            await good.write(b"still here")
            assert await good.read(100) == b"still here"


async def test_a_peer_that_resets_its_streams_at_will_does_no_harm() -> None:
    async with fast_host(1) as host, fast_host(2) as peer:
        host.set_stream_handler(ECHO, echo)
        connection = await peer.dial(host.get_id(), address_of(host))
        with trio.fail_after(TIMEOUT_S):
            for _ in range(20):
                stream = await peer.open_stream(connection, ECHO)
                await stream.write(b"x")
                await stream.reset()

            stream = await peer.open_stream(connection, ECHO)
            await stream.write(b"still here")
            assert await stream.read(100) == b"still here"


async def test_a_frame_that_a_handler_refuses_is_a_fault_and_the_next_one_arrives() -> None:
    seen = []
    enough = trio.Event()

    async def take(_: PeerId, frame: bytes) -> None:
        seen.append(frame)
        if frame == b"malformed":
            raise MalformedMessageError("not a vote")
        if frame == b"our bug":
            raise ZeroDivisionError
        if frame == b"good":
            enough.set()

    a, b = Node(1), Node(2, handlers={StreamClass.CONSENSUS: take})
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)
        for frame in (b"malformed", b"our bug", b"good"):
            a.network.send_nowait(b.me, StreamClass.CONSENSUS, frame)
        with trio.fail_after(TIMEOUT_S):
            await enough.wait()

        assert seen == [b"malformed", b"our bug", b"good"]
        assert b.network.links()[a.me].faults == 1
        assert b.network.links()[a.me].connected


async def test_a_peer_that_is_wrong_a_thousand_times_has_a_line_of_the_log_for_each_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    enough = trio.Event()

    async def take(_: PeerId, frame: bytes) -> None:
        if frame == b"malformed":
            raise MalformedMessageError("not a vote")
        if frame == b"our bug":
            raise ZeroDivisionError
        enough.set()

    a, b = Node(1), Node(2, handlers={StreamClass.SYNC: take})
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)
        with trio.fail_after(TIMEOUT_S):
            for _ in range(500):
                await a.network.send(b.me, StreamClass.SYNC, b"malformed")
                await a.network.send(b.me, StreamClass.SYNC, b"our bug")
            await a.network.send(b.me, StreamClass.SYNC, b"good")
            await enough.wait()

        assert b.network.links()[a.me].faults == 500
    told = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert len([line for line in told if "sent what it must not" in line]) in {1, 2}
    assert len([line for line in told if "failed" in line]) in {1, 2}


async def test_a_frame_over_the_limit_is_a_fault_and_costs_the_stream() -> None:
    a = Node(1)
    async with running(a), fast_host(2) as peer:
        me = PeerId(SigningKey(bytes([2]) * 32).public_key)
        a.network.allow({me: []})
        identity = libp2p_id(a.me)
        with trio.fail_after(TIMEOUT_S):
            connection = await peer.dial(identity, a.network.addresses[0])
            stream = await peer.open_stream(connection, StreamClass.SYNC.protocol)
            await stream.write(b"\x7f" * 100)
            with pytest.raises(StreamReset):
                await stream.read(1)

        assert a.network.links()[me].faults == 1


async def test_a_second_stream_of_a_class_takes_the_place_of_the_first() -> None:
    a = Node(1)
    async with running(a), fast_host(2) as peer:
        me = PeerId(SigningKey(bytes([2]) * 32).public_key)
        a.network.allow({me: []})
        with trio.fail_after(TIMEOUT_S):
            connection = await peer.dial(libp2p_id(a.me), a.network.addresses[0])
            first = await peer.open_stream(connection, StreamClass.SYNC.protocol)
            await first.write(encode_frame(b"one"))
            await a.wait_for_frames(1)
            second = await peer.open_stream(connection, StreamClass.SYNC.protocol)
            await second.write(encode_frame(b"two"))
            await a.wait_for_frames(2)
            with pytest.raises(StreamReset):
                await first.read(1)

        assert [frame for _, _, frame in a.received] == [b"one", b"two"]


async def test_a_host_takes_more_connections_in_its_life_than_it_takes_at_once() -> None:
    """py-libp2p never gives back the place of an inbound connection."""
    settings = NetworkSettings(peers_max=1)
    async with fast_host(1, settings=settings) as host, fast_host(2) as peer:
        at_once = CONNECTIONS_PER_PEER_MAX * settings.peers_max
        for _ in range(2 * at_once + 1):
            with trio.fail_after(TIMEOUT_S):
                connection = await peer.dial(host.get_id(), address_of(host))
                await connection.close()
        tasks = len(host.swarm.background_nursery.child_tasks)

        assert tasks <= at_once


async def test_a_peer_with_too_many_connections_loses_its_oldest() -> None:
    async with fast_host(1) as host, fast_host(2) as peer:
        host.set_stream_handler(ECHO, echo)
        connections = [
            await peer.dial(host.get_id(), address_of(host))
            for _ in range(CONNECTIONS_PER_PEER_MAX + 1)
        ]

        with trio.fail_after(TIMEOUT_S):
            await connections[0].muxed_conn.event_closed.wait()
            stream = await peer.open_stream(connections[-1], ECHO)
            await stream.write(b"the newest lives")
            assert await stream.read(100) == b"the newest lives"


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        b"\x13/multistream/1.0.0\n" + b"\xff\xff\xff\xff\x7f" + bytes(100_000),
        b"\x13/multistream/1.0.0\n" + b"\x07/noise\n" + b"\xff\xff" + bytes(65535),
        b"\x13/multistream/1.0.0\n" + b"\x07/noise\n" + b"\x00\x20" + bytes(32),
        b"\x13/multistream/1.0.0\n" + b"\x03\xff\xfe\n",
    ],
    ids=["nothing", "http", "ff", "huge", "garbage noise", "zero key", "not text"],
)
async def test_a_stranger_that_sends_anything_is_dropped_and_the_host_lives(hello: bytes) -> None:
    settings = NetworkSettings(handshake_timeout_s=0.3)
    async with fast_host(1, settings=settings) as host, fast_host(2) as peer:
        port = int(address_of(host).rsplit("/", 1)[1])
        with trio.fail_after(TIMEOUT_S):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                try:
                    await stream.send_all(hello)
                    while await stream.receive_some(65536):
                        pass
                except trio.BrokenResourceError:
                    pass

            assert await peer.dial(host.get_id(), address_of(host))


async def test_strangers_that_say_nothing_do_not_keep_members_out() -> None:
    settings = NetworkSettings(handshake_timeout_s=0.3)
    async with fast_host(1, settings=settings) as host, fast_host(2) as peer:
        port = int(address_of(host).rsplit("/", 1)[1])
        async with trio.open_nursery() as nursery:

            async def knock() -> None:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                async with stream:
                    try:
                        while await stream.receive_some(65536):
                            pass
                    except trio.BrokenResourceError:
                        pass

            for _ in range(HANDSHAKES_PENDING_PER_ADDRESS_MAX):
                nursery.start_soon(knock)

        with trio.fail_after(TIMEOUT_S):
            assert await peer.dial(host.get_id(), address_of(host))
