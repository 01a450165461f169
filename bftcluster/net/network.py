"""The transport as the node sees it: frames to peers, frames from peers, calls, and their state."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from bftcluster.errors import PeerUnreachableError
from bftcluster.ids import PeerId
from bftcluster.net import tcp
from bftcluster.net.door import Door, Doorkeeper
from bftcluster.net.frames import encode_frame
from bftcluster.net.host import ClusterHost, running_host
from bftcluster.net.identity import libp2p_id, peer_id
from bftcluster.net.inbox import FrameHandler, InboundStreams
from bftcluster.net.links import LinkState, PeerLink
from bftcluster.net.rpc import Method, Rpc
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import StreamClass
from bftcluster.signing.keys import SigningKey, peer_id_text

log = logging.getLogger(__name__)

_CALL_TIMEOUT_S: Final = 10.0


class Network:
    """Connects to the peers it is told of, and to nobody else."""

    def __init__(
        self,
        *,
        seed: bytes,
        listen: Sequence[str],
        peers: Mapping[PeerId, Sequence[str]],
        handlers: Mapping[StreamClass, FrameHandler],
        methods: Mapping[str, Method] | None = None,
        settings: NetworkSettings | None = None,
        random: Random | None = None,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        """Prepare; nothing happens before ``run``.

        Args:
            seed: The 32-byte Ed25519 seed of our identity.
            listen: Multiaddrs, ``/ip4/0.0.0.0/tcp/9096``.
            peers: Who may connect, and where to dial them; no address means they dial us. Our
                own id may be among them and is skipped.
            handlers: What takes the frames of each class; the RPC class has its own, ``methods``.
            methods: Answers to ``call`` by name; more with ``register``.
            settings: Times.
            random: Jitter of the dialling pauses.
            doorkeeper: Answers strangers who have an invitation; without one they are refused.
        """
        assert StreamClass.RPC not in handlers, "calls are answered by `methods`"
        self.me = PeerId(SigningKey(seed).public_key)
        self._seed = seed
        self._listen = list(listen)
        self._settings = settings or NetworkSettings()
        self._door = None if doorkeeper is None else Door(doorkeeper)
        self._random = random or Random()  # noqa: S311 - jitter, not secrets
        self._links: dict[PeerId, PeerLink] = {}
        self._rpc = Rpc(
            send=partial(self._send_class, StreamClass.RPC),
            send_nowait=lambda peer, frame: self.send_nowait(peer, StreamClass.RPC, frame),
            methods=methods or {},
        )
        self._inbox = InboundStreams(
            handlers={**handlers, StreamClass.RPC: self._rpc.on_frame},
            heard=self._on_heard,
            fault=self._on_fault,
        )
        self._skipped: frozenset[tuple[PeerId, str]] = frozenset()
        """What we were told and cannot use, so that each is complained of once."""
        self._allowed = self._usable(peers)
        self._guests: Collection[PeerId] = ()
        self._link_changed = trio.Event()
        self._host: ClusterHost | None = None
        self._nursery: trio.Nursery | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where we listen, with the real ports; empty unless running."""
        if self._host is None:
            return ()
        return tuple(str(address) for address in self._host.get_transport_addrs())

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:  # noqa: ANN401
        """Run until cancelled; leaving closes everything, in about a second at most.

        ``task_status`` is started once we listen; links come up after that.

        Raises:
            ConfigError: An address to listen on is malformed, taken, or not ours.
        """
        stop = trio.Event()
        sockets = await tcp.bind(self._listen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_cancelled, stop)  # `start` cannot: it waits for the host.
            await nursery.start(self._run_host, sockets, stop)
            task_status.started()

    def send_nowait(self, peer: PeerId, stream_class: StreamClass, frame: bytes) -> bool:
        """Queue a frame without waiting.

        Returns:
            False if a frame was dropped: an older one in CONSENSUS and SYNC, where the newer
            supersedes it, this one in RPC and BLOCKS, where there is no room or no connection;
            or this one because nobody by that id is allowed.

        Raises:
            MessageTooLargeError: Over ``FRAME_SIZE_MAX_BYTES``.
        """
        encoded = encode_frame(frame)
        link = self._links.get(peer)
        return link is not None and link.send_nowait(stream_class, encoded)

    async def send(self, peer: PeerId, stream_class: StreamClass, frame: bytes) -> None:
        """Queue a frame; in RPC and BLOCKS wait for room, in CONSENSUS and SYNC drop the oldest.

        Raises:
            PeerUnreachableError: Nobody by that id is allowed; or, in RPC and BLOCKS, the peer is
                not connected.
            MessageTooLargeError: Over ``FRAME_SIZE_MAX_BYTES``.
        """
        encoded = encode_frame(frame)
        link = self._links.get(peer)
        if link is None:
            raise PeerUnreachableError(f"{peer_id_text(peer)} is not a peer of ours")
        await link.send(stream_class, encoded)

    def send_all(self, frames: Iterable[tuple[Iterable[PeerId], StreamClass, bytes]]) -> None:
        """Send frames of CONSENSUS and SYNC, each to all of its peers but ourselves.

        Each is encoded once. What needs not wait leaves at once, in one write a peer and class.

        Raises:
            MessageTooLargeError: Over ``FRAME_SIZE_MAX_BYTES``.
        """
        links: dict[PeerLink, None] = {}
        for peers, stream_class, frame in frames:
            encoded = encode_frame(frame)
            for peer in peers:
                link = self._links.get(peer)
                if link is not None:
                    link.queue(stream_class, encoded)
                    links[link] = None
        for link in links:
            link.flush()

    async def call(
        self, peer: PeerId, method: str, payload: bytes, timeout_s: float = _CALL_TIMEOUT_S
    ) -> bytes:
        """Ask ``peer`` and return its answer.

        Raises:
            PeerUnreachableError: Not connected, or the connection was lost meanwhile.
            RequestTimeoutError: No answer within ``timeout_s`` seconds.
            RemoteCallError: The peer answered with an error.
            MessageTooLargeError: ``payload`` does not fit a frame.
        """
        return await self._rpc.call(peer, method, payload, timeout_s)

    def register(self, method: str, handler: Method) -> None:
        """Answer calls of ``method`` with ``handler``."""
        self._rpc.register(method, handler)

    def allow(self, peers: Mapping[PeerId, Sequence[str]], guests: Collection[PeerId] = ()) -> None:
        """Make ``peers`` the peers, and no others: the membership changed.

        Guests may connect as well. They are not dialled, and have a link only while they are
        connected, the first ``guests_max`` of them.

        Who is new is dialled; who has left is disconnected and refused; new addresses of who
        stays count from the next dial. What the ledger says must not end us: an address that
        cannot be dialled is left out, and so are the last peers if there are too many.
        """
        self._allowed = self._usable(peers)
        self._guests = guests
        if self._nursery is not None:
            self._apply_peers(self._nursery)

    @property
    def connected(self) -> list[PeerId]:
        """The peers, no guests, that are connected."""
        return [
            peer for peer, link in self._links.items() if peer in self._allowed and link.connected
        ]

    @property
    def guests(self) -> list[PeerId]:
        """The guests that are connected."""
        return [
            peer
            for peer, link in self._links.items()
            if peer not in self._allowed and link.connected
        ]

    @property
    def peers(self) -> Mapping[PeerId, Sequence[str]]:
        """Who may connect, and where they are dialled."""
        return self._allowed

    def links(self) -> Mapping[PeerId, LinkState]:
        """Return the state of every link, by peer."""
        return {peer: link.state() for peer, link in self._links.items()}

    async def wait_for_links(self, condition: Callable[[Mapping[PeerId, LinkState]], bool]) -> None:
        """Return once ``condition`` holds for the links; asked when one comes, goes or fails."""
        while not condition(self.links()):
            self._link_changed = trio.Event()
            await self._link_changed.wait()

    async def _run_host(
        self,
        sockets: tcp.Sockets,
        stop: trio.Event,
        task_status: Any,  # noqa: ANN401
    ) -> None:
        """Run libp2p shielded from cancellation, which it does not survive in good order."""
        with trio.CancelScope(shield=True):
            async with (
                running_host(
                    seed=self._seed,
                    sockets=sockets,
                    is_allowed=self._is_allowed,
                    is_guest=lambda identity: peer_id(identity) in self._guests,
                    settings=self._settings,
                    door=self._door,
                ) as host,
                trio.open_nursery() as nursery,
            ):
                for each in StreamClass:
                    host.set_stream_handler(
                        each.protocol, partial(self._inbox.read, stream_class=each)
                    )
                host.get_network().register_notifee(_Greeter(self))
                await nursery.start(self._rpc.serve)
                self._host = host
                self._nursery = nursery
                self._apply_peers(nursery)
                task_status.started()
                await stop.wait()
                self._nursery = None
                nursery.cancel_scope.cancel()
            self._host = None
            self._links.clear()

    def _usable(self, peers: Mapping[PeerId, Sequence[str]]) -> dict[PeerId, list[str]]:
        """Return what can be used of ``peers``, and log once what cannot."""
        usable: dict[PeerId, list[str]] = {}
        skipped: dict[tuple[PeerId, str], str] = {}
        for peer, addresses in peers.items():
            if len(usable) == self._settings.peers_max:
                skipped[peer, ""] = (
                    f"there are {len(peers)} peers, at most {len(usable)} get a link"
                )
                continue
            usable[peer] = []
            for address in addresses:
                if tcp.is_address(address):
                    usable[peer].append(address)
                else:
                    skipped[peer, address] = f"not a TCP address: {address!r}"
        for key, reason in skipped.items():
            if key not in self._skipped:
                log.warning("cannot use what is known of peer %s: %s", peer_id_text(key[0]), reason)
        self._skipped = frozenset(skipped)
        return usable

    def _apply_peers(self, nursery: trio.Nursery) -> None:
        """Start links to new peers and end those to peers that left."""
        assert self._host is not None, "links need a host"
        stays = self._allowed.keys() | set(self._guests)
        for peer in [known for known in self._links if known not in stays]:
            self._links.pop(peer).stop()
            self._rpc.on_link_down(peer)
            nursery.start_soon(self._host.swarm.close_peer, libp2p_id(peer))
        for peer, addresses in self._allowed.items():
            if peer in self._links:
                self._links[peer].addresses = tuple(addresses)
            elif peer != self.me:
                self._start_link(nursery, self._host, peer, addresses, self._settings)
        self._link_changed.set()

    def _start_link(
        self,
        nursery: trio.Nursery,
        host: ClusterHost,
        peer: PeerId,
        addresses: Sequence[str],
        settings: NetworkSettings,
    ) -> PeerLink:
        link = self._links[peer] = PeerLink(
            me=self.me,
            peer=peer,
            addresses=addresses,
            settings=settings,
            random=self._random,
            on_change=self._on_link_change,
        )
        nursery.start_soon(link.run, host)
        return link

    def _has_room_for(self, guest: PeerId) -> bool:
        """Return whether a guest may have a link: one that comes again has its place."""
        if guest not in self._guests:
            return False
        linked = sum(1 for peer in self._links if peer not in self._allowed)
        return guest in self._links or linked < self._settings.guests_max

    async def _send_class(self, stream_class: StreamClass, peer: PeerId, frame: bytes) -> None:
        await self.send(peer, stream_class, frame)

    def _is_allowed(self, identity: ID) -> bool:
        peer = peer_id(identity)
        if peer is None or peer == self.me:
            return False
        return peer in self._allowed or self._has_room_for(peer)

    def _on_heard(self, peer: PeerId, size: int, frames: int) -> None:
        link = self._links.get(peer)
        if link is not None:
            link.heard(size, frames)

    def _on_fault(self, peer: PeerId) -> None:
        link = self._links.get(peer)
        if link is not None:
            link.faults += 1

    def _on_link_change(self, peer: PeerId) -> None:
        link = self._links.get(peer)
        if link is None or not link.connected:
            self._rpc.on_link_down(peer)
        is_over = link is not None and not link.connected and peer not in self._allowed
        if is_over and not self._is_connected(peer):
            self._links.pop(peer).stop()
        self._link_changed.set()

    def _is_connected(self, peer: PeerId) -> bool:
        return self._host is not None and self._host.live_connection(libp2p_id(peer)) is not None

    def on_connected(self, identity: ID) -> None:
        """Let the link to who has connected use that connection at once."""
        peer = peer_id(identity) or self.me
        link = self._links.get(peer)
        if link is None and self._nursery is not None and self._has_room_for(peer):
            assert self._host is not None, "who connects has a host to connect to"
            settings = self._settings.of_guests
            link = self._start_link(self._nursery, self._host, peer, (), settings)
        if link is not None:
            link.nudge()


class _Greeter(INotifee):
    """Tells the network of new connections."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        self._network.on_connected(conn.muxed_conn.peer_id)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        pass

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        pass

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        pass

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        pass

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        pass


async def _set_when_cancelled(event: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        event.set()
