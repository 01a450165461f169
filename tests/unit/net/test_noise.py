"""The Noise session over memory and over a socket, and who may finish a handshake."""

import socket
from collections.abc import AsyncIterator, Callable

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as x25519_key_pair
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from trio.testing import memory_stream_pair

from bftcluster.errors import RemoteProtocolError
from bftcluster.limits import NOISE_MESSAGES_MAX, NOISE_PLAINTEXT_SIZE_MAX_BYTES
from bftcluster.net.noise import AllowedNoise, NoiseSession

A, B = create_new_key_pair(b"a" * 32), create_new_key_pair(b"b" * 32)
A_ID, B_ID = ID.from_pubkey(A.public_key), ID.from_pubkey(B.public_key)


def everyone(_: ID) -> bool:
    return True


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    ours, theirs = socket.socketpair()
    return (
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)),
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)),
    )


async def shake_hands(
    pair: tuple, *, dialled: ID = B_ID, allowed: Callable[[ID], bool] = everyone
) -> tuple[NoiseSession, NoiseSession]:
    """Return the sessions of A, who dialled, and of B, who knows whom to allow."""
    sessions = {}
    failures = []
    ours, theirs = pair
    noise_a = AllowedNoise(A, x25519_key_pair().private_key, everyone)
    noise_b = AllowedNoise(B, x25519_key_pair().private_key, allowed)
    raw_a = RawConnection(TrioTCPStream(ours), True)
    raw_b = RawConnection(TrioTCPStream(theirs), False)

    async def end(name: str, handshake: Callable, *args: object) -> None:
        try:
            sessions[name] = await handshake(*args)
        except Exception as exc:  # noqa: BLE001 - the first is what the test is about
            failures.append(exc)
            await raw_a.close()
            await raw_b.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end, "a", noise_a.secure_outbound, raw_a, dialled)
        nursery.start_soon(end, "b", noise_b.secure_inbound, raw_b)
    if failures:
        raise failures[0]
    return sessions["a"], sessions["b"]


@pytest.fixture(params=[memory_stream_pair, socket_pair], ids=["memory", "socket"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple]:
    ours, theirs = request.param()
    async with ours, theirs:
        yield ours, theirs


@pytest.fixture
async def sockets() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    ours, theirs = socket_pair()
    async with ours, theirs:
        yield ours, theirs


async def test_both_sides_know_who_the_other_is(pair: tuple) -> None:
    a, b = await shake_hands(pair)

    assert a.get_remote_peer() == B_ID
    assert b.get_remote_peer() == A_ID
    assert (a.is_initiator, b.is_initiator) == (True, False)


async def test_any_size_arrives_as_it_was_sent(pair: tuple) -> None:
    a, b = await shake_hands(pair)
    step = NOISE_PLAINTEXT_SIZE_MAX_BYTES
    for size in (1, step - 1, step, step + 1, 3 * step, 1_000_000):
        sent = bytes(range(251)) * (size // 251 + 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.write, sent[:size])
            received = b""
            while len(received) < size:
                received += await b.read_some()
        assert received == sent[:size]


async def test_read_returns_exactly_what_is_asked_for(pair: tuple) -> None:
    a, b = await shake_hands(pair)
    await a.write(b"one")
    await a.write(b"two")

    assert await b.read(4) == b"onet"
    assert await b.read() == b"wo"
    await a.close()
    with pytest.raises(ConnectionClosedError):
        await b.read(1)


async def test_a_stranger_is_refused_in_the_handshake(pair: tuple) -> None:
    with pytest.raises(HandshakeFailure, match="not a member"):
        await shake_hands(pair, allowed=lambda peer: peer != A_ID)


async def test_a_dialler_notices_that_another_peer_answers() -> None:
    with pytest.raises(PeerIDMismatchesPubkey):
        await shake_hands(memory_stream_pair(), dialled=A_ID)


@pytest.mark.parametrize("at", [0, 2, 10, -1])
async def test_a_flipped_bit_is_noticed(at: int) -> None:
    ours, theirs = memory_stream_pair()
    a, b = await shake_hands((ours, theirs))
    sealed = bytearray(a.seal(b"pin this"))
    sealed[at] ^= 1

    await ours.send_all(sealed)
    await ours.send_eof()

    if at == 0:
        assert await b.read_some() == b"", "the length now reaches past the end"
    else:
        with pytest.raises(RemoteProtocolError):
            await b.read_some()


async def test_a_replayed_message_is_noticed() -> None:
    ours, theirs = memory_stream_pair()
    a, b = await shake_hands((ours, theirs))
    sealed = a.seal(b"pin this")

    await ours.send_all(sealed + sealed)

    with pytest.raises(RemoteProtocolError):
        await b.read_some()


async def test_empty_messages_are_not_taken_for_the_end() -> None:
    ours, theirs = memory_stream_pair()
    a, b = await shake_hands((ours, theirs))

    await ours.send_all(a.seal(b"") + a.seal(b"") + a.seal(b"x"))

    assert await b.read_some() == b"x"


async def test_a_session_ends_before_its_nonces_repeat() -> None:
    a, b = await shake_hands(memory_stream_pair())
    a._sent_messages = b._received_messages = NOISE_MESSAGES_MAX - 1

    await a.write(b"the last one")

    assert await b.read_some() == b"the last one"
    with pytest.raises(ConnectionClosedError, match="nonces"):
        a.seal(b"one too many")


async def test_an_announcement_longer_than_a_negotiation_is_refused() -> None:
    _, b = await shake_hands(memory_stream_pair())

    with pytest.raises(RemoteProtocolError):
        await b.read(1 << 30)


async def test_what_the_socket_takes_at_once_is_sent_without_waiting(sockets: tuple) -> None:
    a, b = await shake_hands(sockets)
    sealed = a.seal(b"now")

    assert a.try_send(sealed) == len(sealed)
    assert await b.read_some() == b"now"


async def test_a_full_socket_takes_nothing_and_a_closed_one_says_so(sockets: tuple) -> None:
    a, _ = await shake_hands(sockets)
    while a.try_send(bytes(65536)):
        pass

    assert a.try_send(b"x") == 0
    await a.close()
    with pytest.raises(ConnectionClosedError):
        a.try_send(b"x")
