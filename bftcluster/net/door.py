"""The door for those who have an invitation: one question and one answer, before the multiplexer.

A stranger who has proven its key may ask for ``/bftcluster/invite/1`` where a member asks for the
multiplexer. It is inside for seconds at most, in the place of its handshake, and few are at once;
so it holds nothing that a stalled handshake could not hold.
"""

import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from libp2p.crypto.ed25519 import create_new_key_pair as ed25519_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.security.security_multistream import SecurityMultistream

from bftcluster.errors import PeerUnreachableError, RemoteProtocolError
from bftcluster.ids import PeerId
from bftcluster.net import tcp
from bftcluster.net.frames import FrameReader, encode_frame
from bftcluster.net.gate import GateLimits, StrangersGate
from bftcluster.net.identity import libp2p_id, peer_id
from bftcluster.net.negotiation import BoundedCommunicator, BoundedConnection
from bftcluster.net.noise import AllowedNoise, NoiseSession
from bftcluster.shell_limits import (
    DOOR_BURST_PER_ADDRESS_MAX,
    DOOR_PER_ADDRESS_PER_S,
    DOOR_QUESTION_SIZE_MAX_BYTES,
    DOOR_TIMEOUT_S,
    DOOR_VISITORS_MAX,
    DOOR_VISITORS_PER_ADDRESS_MAX,
)

log = logging.getLogger(__name__)

DOOR_PROTOCOL: Final = TProtocol("/bftcluster/invite/1")
Doorkeeper = Callable[[PeerId, bytes], Awaitable[bytes]]
"""Answers one question of a stranger, who has proven to be that peer; of a frame at most."""

_LENGTH: Final = struct.Struct(">I")
_LIMITS: Final = GateLimits(
    inside_max=DOOR_VISITORS_MAX,
    inside_per_address_max=DOOR_VISITORS_PER_ADDRESS_MAX,
    burst_per_address=DOOR_BURST_PER_ADDRESS_MAX,
    per_address_per_s=DOOR_PER_ADDRESS_PER_S,
)


class Door:
    """Lets strangers ask one question each."""

    def __init__(self, answer: Doorkeeper) -> None:
        self._answer = answer
        self._gate = StrangersGate(_LIMITS)
        self._multiselect = Multiselect()
        self._multiselect.add_handler(DOOR_PROTOCOL, _nothing)

    async def serve(self, session: NoiseSession, *, is_negotiated: bool = False) -> None:
        """Answer a stranger, if it asks in time and there is room; the caller closes.

        Args:
            session: With somebody who has proven its key.
            is_negotiated: Whether it has said already that it is here for an answer.
        """
        remote = session.get_remote_address()
        address = remote[0] if remote else ""
        if not self._gate.enter(address, trio.current_time()):
            log.debug("too many at the door: refusing one from %s", address)
            return
        try:
            with trio.move_on_after(DOOR_TIMEOUT_S):
                await self._converse(session, is_negotiated=is_negotiated)
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes end up here
            log.debug("a stranger from %s was not answered: %r", address, exc)
        finally:
            self._gate.leave(address)

    async def _converse(self, session: NoiseSession, *, is_negotiated: bool) -> None:
        if not is_negotiated:
            communicator = BoundedCommunicator(session)
            await self._multiselect.negotiate(communicator, int(DOOR_TIMEOUT_S))
        stranger = peer_id(session.get_remote_peer())
        if stranger is None:
            return
        question = await _read_question(session)
        await session.write(encode_frame(await self._answer(stranger, question)))


async def _read_question(session: NoiseSession) -> bytes:
    size = _LENGTH.unpack(await session.read(_LENGTH.size))[0]
    if not 0 < size <= DOOR_QUESTION_SIZE_MAX_BYTES:
        raise RemoteProtocolError(f"a question of {size} bytes")
    return await session.read(size)


async def ask_at_door(*, seed: bytes, peer: PeerId, address: str, question: bytes) -> bytes:
    """Ask ``peer``, who does not know us, one question; return its answer.

    Args:
        seed: The 32-byte Ed25519 seed of our identity, which the peer learns.
        peer: Nobody else is told anything.
        address: ``/ip4/192.0.2.1/tcp/9096``.
        question: At most ``DOOR_QUESTION_SIZE_MAX_BYTES``.

    Raises:
        PeerUnreachableError: Nobody there, not that peer, or it answers no strangers.
    """
    host, port = tcp.parse_address(address)
    try:
        with trio.fail_after(2 * DOOR_TIMEOUT_S):
            stream = tcp.TcpStream(await trio.open_tcp_stream(host, port))
            try:
                session = await _secure(seed, peer, stream)
                await MultiselectClient().select_one_of(
                    [DOOR_PROTOCOL], BoundedCommunicator(session), int(DOOR_TIMEOUT_S)
                )
                await session.write(encode_frame(question))
                return await _read_answer(session)
            finally:
                await stream.close()
    except trio.TooSlowError:
        raise PeerUnreachableError(f"{address} does not answer in time") from None
    except PeerUnreachableError:
        raise
    except Exception as exc:
        raise PeerUnreachableError(
            f"{address} does not answer strangers: {type(exc).__name__}"
        ) from exc


async def _secure(seed: bytes, peer: PeerId, stream: tcp.TcpStream) -> NoiseSession:
    wanted: ID = libp2p_id(peer)
    noise = AllowedNoise(
        ed25519_key_pair(seed), x25519_key_pair().private_key, lambda found: found == wanted
    )
    security = SecurityMultistream({NOISE_PROTOCOL: noise})
    session = await security.secure_outbound(BoundedConnection(stream, True), wanted)
    assert isinstance(session, NoiseSession), "Noise is the only security offered"
    return session


async def _read_answer(session: NoiseSession) -> bytes:
    reader = FrameReader()
    while received := await session.read_some():
        frames = reader.feed(received)
        if frames:
            return frames[0]
    raise PeerUnreachableError("the peer went without an answer")


async def _nothing(_: ReadWriteCloser) -> None:
    """Take no stream: what is negotiated is served by whoever asked for the negotiation."""
