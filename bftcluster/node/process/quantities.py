"""Sizes and addresses as people write them."""

import ipaddress
import re
from typing import Final

from bftcluster.errors import ConfigError

_UNITS: Final = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}  # fmt: skip
_SIZE: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,3}))?\s*([A-Za-z]*)")
_MULTIADDR: Final = re.compile(r"/(ip4|ip6|dns4|dns6|dns)/([^/]+)/tcp/(\d{1,5})")


def parse_size(text: str, *, key: str) -> int:
    """Return the bytes that ``"1.5 GB"`` or ``"512 MiB"`` mean.

    Raises:
        ConfigError: Not a size; ``key`` says of what.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[3].upper()) if match else None
    if match is None or unit is None:
        raise ConfigError(
            f"{key} = {text!r} is not a size", hint="write it as 500MB, 100GB or 2TiB"
        )
    fraction = match[2] or ""
    whole: int = int(match[1]) * unit
    parts: int = int(fraction or 0) * unit // 10 ** len(fraction)
    return whole + parts


def parse_multiaddr(text: str, *, key: str) -> tuple[str, int]:
    """Return host and port of ``/ip4/…/tcp/…`` (or ip6, dns).

    Raises:
        ConfigError: Anything else; ``key`` says where it stood.
    """
    match = _MULTIADDR.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ConfigError(
            f"{key}: {text!r} is not a TCP multiaddr", hint="write it as /ip4/192.0.2.7/tcp/9096"
        )
    kind, host, port = match.groups()
    if kind in ("ip4", "ip6"):
        try:
            version = str(ipaddress.ip_address(host).version)
        except ValueError:
            version = ""
        if version != kind[2]:
            raise ConfigError(f"{key}: {host!r} is not an {kind} address")
    return host, int(port)


def parse_address(text: str, *, key: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (``[::1]:9094`` for IPv6).

    Raises:
        ConfigError: Anything else; ``key`` says where it stood.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{key}: {text!r} is not HOST:PORT", hint="write it as 127.0.0.1:9094")
    return host.strip("[]"), int(port)
