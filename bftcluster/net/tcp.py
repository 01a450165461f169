"""TCP for libp2p: sockets bound before libp2p runs, and names resolved by the system.

py-libp2p's own listener sets SO_REUSEPORT, so that a second node on the same port starts without
an error and takes half of the first one's connections; ours says so and stops. It dials DNS
addresses by a resolver of its own, which knows neither /etc/hosts nor a container's names.
"""

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import trio
from libp2p.abc import IListener, IRawConnection
from libp2p.custom_types import THandler
from libp2p.io.trio import TrioTCPStream
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.tcp.tcp import TCP
from libp2p.utils.multiaddr_utils import multiaddr_from_socket
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from bftcluster.errors import ConfigError
from bftcluster.net.negotiation import BoundedConnection

_BACKLOG: Final = 128
_HOSTS: Final = ("ip4", "ip6", "dns", "dns4", "dns6")
_WHY: Final = {
    errno.EADDRINUSE: "something else listens there",
    errno.EADDRNOTAVAIL: "the address is not one of this machine's",
    errno.EACCES: "the system does not allow that port",
}

Sockets = Mapping[str, list[trio.SocketListener]]


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``/ip4/…/tcp/…``, ``/ip6/…``, or ``/dns…``.

    Raises:
        ConfigError: Not such an address.
    """
    try:
        address = Multiaddr(text)
        for name in _HOSTS:
            if name in (protocol.name for protocol in address.protocols()):
                return str(address.value_for_protocol(name)), int(
                    str(address.value_for_protocol("tcp"))
                )
    except (MultiaddrError, ValueError):
        pass
    raise ConfigError(
        f"not a TCP address: {text!r}", hint="an address looks like /ip4/192.0.2.1/tcp/9096"
    )


def is_address(text: str) -> bool:
    """Return whether ``parse_address`` takes it."""
    try:
        parse_address(text)
    except ConfigError:
        return False
    return True


async def bind(addresses: Sequence[str]) -> Sockets:
    """Return listening sockets for each address; port 0 takes any that is free.

    Raises:
        ConfigError: An address is malformed, taken, or not ours.
    """
    sockets: dict[str, list[trio.SocketListener]] = {}
    try:
        for address in addresses:
            host, port = parse_address(address)
            sockets[str(Multiaddr(address))] = await _open(address, host, port)
    except ConfigError:
        await close(sockets)
        raise
    return sockets


async def close(sockets: Sockets) -> None:
    """Close what ``bind`` opened."""
    for listeners in sockets.values():
        for listener in listeners:
            await listener.aclose()


async def _open(address: str, host: str, port: int) -> list[trio.SocketListener]:
    try:
        return list(await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG))
    except OSError as exc:
        reason = _WHY.get(exc.errno or 0, str(exc))
        raise ConfigError(
            f"cannot listen on {address}: {reason}",
            hint="is another node running? choose another port for `listen`",
        ) from exc


class TcpStream(TrioTCPStream):
    """A TCP connection; libp2p's knows no remote address of IPv6."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the remote's address and port; None once the socket is closed."""
        try:
            host, port, *_ = self.stream.socket.getpeername()
        except OSError:
            return None
        return str(host), int(port)


class BoundListener(IListener):
    """Serves sockets that are bound already."""

    background_nursery: trio.Nursery
    """Set by the swarm; what serves the sockets."""

    def __init__(self, sockets: Sockets, handler: THandler) -> None:
        self._sockets = sockets
        self._handler = handler
        self._listeners: list[trio.SocketListener] = []
        self._scope = trio.CancelScope()

    async def listen(self, maddr: Multiaddr) -> None:
        """Serve the sockets of ``maddr`` until closed."""
        self._listeners = self._sockets[str(maddr)]
        self.background_nursery.start_soon(self._serve)

    def get_addrs(self) -> tuple[Multiaddr, ...]:
        """Return the addresses listened on, with their real ports."""
        return tuple(multiaddr_from_socket(listener.socket) for listener in self._listeners)

    async def close(self) -> None:
        """Accept no more."""
        self._scope.cancel()
        for listener in self._listeners:
            await listener.aclose()

    async def _serve(self) -> None:
        with self._scope:
            await trio.serve_listeners(self._accept, self._listeners)

    async def _accept(self, stream: trio.SocketStream) -> None:
        handle: Callable[[TcpStream], Awaitable[None]] = self._handler
        await handle(TcpStream(stream))


class BoundTcp(TCP):
    """libp2p's TCP transport over sockets that are bound already."""

    def __init__(self, sockets: Sockets) -> None:
        super().__init__()
        self._sockets = sockets

    async def dial(self, maddr: Multiaddr) -> IRawConnection:
        """Connect, trying every address of a name.

        Raises:
            OpenConnectionError: No address answered.
        """
        host, port = parse_address(str(maddr))
        try:
            stream = await trio.open_tcp_stream(host, port)
        except (OSError, UnicodeError) as exc:  # a name that the system cannot even ask for
            raise OpenConnectionError(f"nobody answers at {host} port {port}") from exc
        return BoundedConnection(TcpStream(stream), True)

    def create_listener(self, handler_function: THandler) -> IListener:  # type: ignore[override]
        """Return a listener for one of the bound addresses."""
        return BoundListener(self._sockets, handler_function)
