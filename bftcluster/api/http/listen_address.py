"""Where to listen: ``host:port``, ``[ipv6]:port``, or a multiaddr ``/ip4/…/tcp/…``."""

import errno
import ipaddress
import os
import re
import socket
from collections.abc import Sequence
from typing import Final

from bftcluster.errors import ConfigError

_BACKLOG: Final = 256
_MULTIADDR: Final = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/([^/]+)/tcp/([0-9]{1,5})(?:/http)?/?")
_HOST_PORT: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]/]+)):([0-9]{1,5})")
_HINTS: Final = {
    errno.EADDRINUSE: "another program, perhaps another peer, has it: choose another port in"
    " `api.listen_address`",
    errno.EACCES: "ports below 1024 need privileges: choose a higher one in `api.listen_address`",
    errno.EADDRNOTAVAIL: "this machine has no such address; see `ip address`",
}


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port.

    Raises:
        ConfigError: Neither form.
    """
    if match := _MULTIADDR.fullmatch(text):
        host, port = match[2], int(match[3])
        if match[1] in ("ip4", "ip6") and not _is_address(host, version=int(match[1][2])):
            raise ConfigError(f"not an address of that kind: {text!r}")
    elif match := _HOST_PORT.fullmatch(text):
        host, port = match[1] or match[2], int(match[3])
    else:
        raise ConfigError(
            f"cannot listen on {text!r}", hint="use host:port or /ip4/127.0.0.1/tcp/9094"
        )
    if port > 65535:
        raise ConfigError(f"no port has the number {port}: {text!r}")
    return host, port


def open_sockets(listen: Sequence[str]) -> list[socket.socket]:
    """Return a listening socket for each address, all or none.

    Raises:
        ConfigError: An address is malformed, in use, or not ours; the hint says which and why.
    """
    targets = [parse_listen(text) for text in listen]
    opened: list[socket.socket] = []
    try:
        for host, port in targets:
            opened.append(_open_socket(host, port))
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def _open_socket(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise ConfigError(f"cannot resolve {host!r}: {exc.strerror}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        raise ConfigError(
            f"cannot listen on {host}:{port}: {reason.lower()}",
            hint=_HINTS.get(exc.errno or 0, ""),
        ) from None
    return listener


def _is_address(host: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False
