"""A py-libp2p host with what is unsafe in it replaced: our Noise, our yamux, our sockets.

Each override answers a numbered pitfall of ``docs/transport.md``.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, cast

import trio
from libp2p.abc import IMuxedConn, INetStream, ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair as ed25519_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as x25519_key_pair
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.defaults import get_default_protocols
from libp2p.host.ping import ID as PING_PROTOCOL
from libp2p.identity.identify.identify import ID as IDENTIFY_PROTOCOL
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.net_stream import NetStream
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.exceptions import MultiselectError
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from bftcluster.errors import PeerUnreachableError
from bftcluster.limits import CONNECTIONS_PER_PEER_MAX
from bftcluster.log_pace import LogPace, also
from bftcluster.net import tcp
from bftcluster.net.door import DOOR_PROTOCOL, Door
from bftcluster.net.gate import StrangersGate
from bftcluster.net.negotiation import BoundedCommunicator, BoundedConnection
from bftcluster.net.noise import AllowedNoise, NoiseSession
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.yamux import KeepAlive, YamuxConnection
from bftcluster.signing.keys import SEED_SIZE_BYTES

log = logging.getLogger(__name__)
logging.getLogger("libp2p").addHandler(logging.NullHandler())
"""Without a handler, libp2p's complaints about what strangers send go to stderr."""

_RESET_TIMEOUT_S: Final = 0.5
_NEGOTIATION_TIMEOUT_S: Final = 5


def safe_handler(handler: StreamHandlerFn) -> StreamHandlerFn:
    """Return ``handler`` such that no exception leaves it and its stream is always given back.

    In py-libp2p an exception that leaves a stream handler stops the host, and a remote can cause
    one at will by resetting the stream (pitfalls 2 and 22).
    """

    async def handle(stream: INetStream) -> None:
        give_back = reset_quietly
        try:
            await handler(stream)
            give_back = _close_quietly
        except Exception as exc:  # noqa: BLE001 - whatever it is, it must not stop the node
            log.debug("a stream handler ended: %r", exc)
        finally:
            with trio.move_on_after(_RESET_TIMEOUT_S) as scope:
                scope.shield = True
                await give_back(stream)

    return handle


async def _close_quietly(stream: INetStream) -> None:
    try:
        await stream.close()
    except Exception as exc:  # noqa: BLE001 - it is over either way
        log.debug("close: %r", exc)


async def reset_quietly(stream: INetStream) -> None:
    """Reset a stream whose connection may be gone."""
    try:
        await stream.reset()
    except Exception as exc:  # noqa: BLE001 - it is over either way
        log.debug("reset: %r", exc)


class Muxer(MuxerMultistream):
    """Negotiates ``/yamux/1.0.0`` and makes ours; libp2p's names its own class there (12).

    A member may ask at the door, too: it was a stranger a second ago, and did not hear the answer.
    """

    def __init__(self, keep_alive: Callable[[ID], KeepAlive], door: Door | None) -> None:
        super().__init__({TProtocol(YAMUX_PROTOCOL): YamuxConnection})
        self._keep_alive = keep_alive
        self._door = door
        if door is not None:
            self.add_transport(DOOR_PROTOCOL, YamuxConnection)

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> YamuxConnection:
        """Agree on yamux with the remote.

        Raises:
            MultiselectError: The remote does not speak it, or wanted an answer only and has it.
        """
        assert isinstance(conn, NoiseSession), "Noise is the only security offered"
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        if protocol == DOOR_PROTOCOL:
            if self._door is not None and not conn.is_initiator:
                await self._door.serve(conn, is_negotiated=True)
            raise MultiselectError("the remote asked at the door")
        return YamuxConnection(conn, peer_id, self._keep_alive(peer_id))


class NoAutoConnector(AutoConnector):
    """Dials nobody of its own accord; libp2p's dials whomever it has ever heard of."""

    async def maybe_connect(self) -> None:
        """Do nothing: the links dial."""


class ClusterSwarm(Swarm):
    """A swarm whose inbound connections are limited while they last, not for its lifetime (3)."""

    def __init__(self, upgrader: TransportUpgrader, sockets: tcp.Sockets, **swarm: object) -> None:
        super().__init__(
            upgrader=upgrader,
            transports=[tcp.BoundTcp(sockets)],
            **swarm,  # type: ignore[arg-type]
        )
        self.auto_connector = NoAutoConnector(self)
        self._gate = StrangersGate()
        self._pace = LogPace()

    async def _handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr
    ) -> None:
        """Let a connection prove who it is, then hold its socket for as long as it lives.

        Strangers can hold a handshake's place for ``handshake_timeout_s``, and only so many.
        """
        remote = read_write_closer.get_remote_address()
        address = remote[0] if remote else ""
        if not self._gate.enter(address, trio.current_time()):
            left_out = self._pace.left_out("handshakes", trio.current_time())
            if left_out is not None:
                log.warning("too many handshakes: refusing one from %s%s", address, also(left_out))
            await read_write_closer.close()
            return
        try:
            connection = await self.upgrade_inbound_raw_conn(
                BoundedConnection(read_write_closer, False), maddr
            )
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes end up here
            log.debug("refused a connection from %s: %r", address, exc)
            await read_write_closer.close()
            return
        finally:
            self._gate.leave(address)
        await cast("YamuxConnection", connection).event_closed.wait()

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        """Register a connection; the oldest of a peer that has too many is closed for it.

        A peer that has lost power comes back while its old connections still seem to stand.
        """
        added = await super().add_conn(muxed_conn, direction)
        connections = self.get_connections(muxed_conn.peer_id)
        for oldest in connections[:-CONNECTIONS_PER_PEER_MAX]:
            assert self.background_nursery is not None, "a swarm that connects is running"
            self.background_nursery.start_soon(self._close_connection_async, oldest)
        return added

    async def close_all(self, timeout_s: float) -> None:
        """Close every connection at the same time; libp2p takes 0.2 s for each in turn (10)."""
        with trio.move_on_after(timeout_s):
            async with trio.open_nursery() as nursery:
                for connection in self.get_connections():
                    nursery.start_soon(connection.close)


class ClusterHost(BasicHost):
    """A host that knows its peers from the membership: it identifies nobody and learns nothing."""

    def __init__(self, swarm: ClusterSwarm) -> None:
        super().__init__(network=swarm, disable_identify_address_discovery=True)
        self._swarm = swarm
        defaults = get_default_protocols(self)
        self.multiselect.handlers.clear()
        for protocol in (IDENTIFY_PROTOCOL, PING_PROTOCOL):
            self.set_stream_handler(protocol, defaults[protocol])
        swarm.set_stream_handler(safe_handler(self._swarm_stream_handler))

    @property
    def swarm(self) -> ClusterSwarm:
        """The connections."""
        return self._swarm

    def live_connection(self, peer: ID) -> SwarmConn | None:
        """Return a connection to ``peer`` that still takes streams, the oldest.

        libp2p lists a dead one for 0.2 s (17).
        """
        for connection in self._swarm.get_connections(peer):
            muxed = cast("SwarmConn", connection).muxed_conn
            if not connection.is_closed and muxed.is_established:
                return cast("SwarmConn", connection)
        return None

    async def dial(self, peer: ID, address: str) -> SwarmConn:
        """Connect to ``peer`` at ``address``.

        By address, because dialling by peer costs 250 ms at least and, after a failure, is
        refused for a minute (4, 18).

        Raises:
            PeerUnreachableError: Nobody there, not that peer, or it does not want us.
        """
        try:
            return cast("SwarmConn", await self._swarm.dial_addr(Multiaddr(address), peer))
        except SwarmException as exc:
            if isinstance(exc.__cause__, OpenConnectionError):
                raise PeerUnreachableError(str(exc.__cause__)) from exc
            raise PeerUnreachableError(
                f"{address} did not finish the handshake",
                hint="are both peers members of the same cluster, and is the address this peer's?",
            ) from exc

    async def open_stream(self, connection: SwarmConn, protocol: TProtocol) -> NetStream:
        """Open and negotiate a stream on this connection; it is given back if that fails (21).

        Raises:
            MultiselectClientError: The remote does not know the protocol.
            MuxedStreamError: The connection is over.
        """
        stream = await connection.new_stream()
        try:
            await self.multiselect_client.select_one_of(
                [protocol], BoundedCommunicator(stream), _NEGOTIATION_TIMEOUT_S
            )
        except BaseException:
            with trio.move_on_after(_RESET_TIMEOUT_S) as scope:
                scope.shield = True
                await reset_quietly(stream)
            raise
        stream.set_protocol(protocol)
        return stream

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        """Negotiate what an inbound stream is for, and serve it."""
        protocol, handler = await self.multiselect.negotiate(
            BoundedCommunicator(net_stream), _NEGOTIATION_TIMEOUT_S
        )
        if protocol is not None and handler is not None:
            net_stream.set_protocol(protocol)
            await handler(net_stream)

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        """Ask nobody who they are: Noise has proven it, and the membership says the rest."""


@asynccontextmanager
async def running_host(
    *,
    seed: bytes,
    sockets: tcp.Sockets,
    is_allowed: Callable[[ID], bool],
    is_guest: Callable[[ID], bool] = lambda _: False,
    settings: NetworkSettings,
    door: Door | None = None,
) -> AsyncIterator[ClusterHost]:
    """Run a host that speaks TCP, Noise and yamux, and nothing else, as the key of ``seed``.

    Not to be cancelled from outside while it runs, or libp2p leaves its sockets open: the caller
    shields it, and leaves the block. The sockets are closed in the end.
    """
    assert len(seed) == SEED_SIZE_BYTES, "an Ed25519 seed has 32 bytes"
    swarm = _swarm(ed25519_key_pair(seed), sockets, is_allowed, is_guest, settings, door)
    try:
        host = ClusterHost(swarm)
        async with host.run([Multiaddr(address) for address in sockets]):
            assert len(swarm.listeners) == len(sockets), "a bound socket can be served"
            try:
                yield host
            finally:
                await swarm.close_all(settings.close_timeout_s)
    finally:
        await tcp.close(sockets)


def _swarm(
    key_pair: KeyPair,
    sockets: tcp.Sockets,
    is_allowed: Callable[[ID], bool],
    is_guest: Callable[[ID], bool],
    settings: NetworkSettings,
    door: Door | None,
) -> ClusterSwarm:
    """Put a swarm together without libp2p's defaults, which accept forged identities (1)."""
    me = ID.from_pubkey(key_pair.public_key)
    strangers = None if door is None else door.serve
    noise = AllowedNoise(key_pair, x25519_key_pair().private_key, is_allowed, strangers)
    upgrader = TransportUpgrader({NOISE_PROTOCOL: noise}, {})
    upgrader.muxer_multistream = Muxer(
        lambda peer: settings.guest_keep_alive if is_guest(peer) else settings.keep_alive, door
    )
    peerstore = PeerStore()
    peerstore.add_key_pair(me, key_pair)
    connections_max = (settings.peers_max + settings.guests_max) * CONNECTIONS_PER_PEER_MAX
    config = ConnectionConfig(
        max_connections=connections_max,
        min_connections=0,
        low_watermark=0,
        high_watermark=connections_max,
        max_connections_per_peer=CONNECTIONS_PER_PEER_MAX,
        inbound_upgrade_timeout=settings.handshake_timeout_s,
        outbound_upgrade_timeout=settings.handshake_timeout_s,
    )
    return ClusterSwarm(
        upgrader,
        sockets,
        peer_id=me,
        peerstore=peerstore,
        retry_config=RetryConfig(max_retries=0),
        connection_config=config,
    )
