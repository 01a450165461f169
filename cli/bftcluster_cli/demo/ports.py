"""Ports for peers that are processes, chosen before the peers run."""

import socket
from contextlib import suppress
from secrets import randbelow
from typing import Final

from bftcluster.errors import UsageError

_LOOPBACK: Final = "127.0.0.1"
_PORTS: Final = range(10_240, 32_240)
"""Below those that systems give to outgoing connections, any of which could take one before its
peer listens."""


def free_ports(count: int, *, among: range = _PORTS) -> list[int]:
    """Return distinct TCP ports of the loopback address that nobody else gets before we end.

    Nobody uses them now. This process keeps the UDP ports of the same numbers until it ends, so
    that no other call, in any process, returns them: a peer may stop and start on its port.

    Raises:
        UsageError: Too few of them are free.
    """
    ports: list[int] = []
    start = randbelow(len(among))
    for port in (*among[start:], *among[:start]):
        if len(ports) == count:
            break
        if _is_free(port) and _keep(port):
            ports.append(port)
    if len(ports) < count:
        raise UsageError(f"no {count} free ports on {_LOOPBACK}")
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as listener, suppress(OSError):
        listener.bind((_LOOPBACK, port))
        return True
    return False


def _keep(port: int) -> bool:
    """Take the UDP port; the system gives it back when this process ends."""
    keeper = socket.socket(type=socket.SOCK_DGRAM)
    try:
        keeper.bind((_LOOPBACK, port))
    except OSError:
        keeper.close()
        return False
    keeper.detach()
    return True
