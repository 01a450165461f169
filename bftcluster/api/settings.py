"""What an operator can set about the HTTP API."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bftcluster.shell_limits import CONNECTIONS_PER_ADDRESS_MAX

LISTEN_DEFAULT: Final = "127.0.0.1:9094"
"""ipfs-cluster's port, on loopback: there is no authentication on it."""


def wall_clock_ms() -> int:
    """Return Unix milliseconds of the system's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Settings of the API."""

    listen: tuple[str, ...] = (LISTEN_DEFAULT,)
    """``host:port``, ``[ipv6]:port`` or ``/ip4/…/tcp/…``; port 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides addresses and localhost, by which clients may ask anything."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may change something, such as ``https://pins.example.org``."""
    connections_per_address_max: int = CONNECTIONS_PER_ADDRESS_MAX
    """Open at once from one address; behind a proxy, as many as it may open."""
    has_access_log: bool = True
    wall_ms: Callable[[], int] = wall_clock_ms
