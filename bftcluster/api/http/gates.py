"""A gate lets so many requests in at once, and a share of one address; others come again later.

An address is what a client cannot have many of: of IPv6, the 64 bits that name a network.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from bftcluster.api.http.errors import BusyError
from bftcluster.shell_limits import LISTS_MAX, LISTS_PER_ADDRESS_MAX


class Gate:
    """Counts the requests that are inside, and lets no more in than it may."""

    def __init__(self, what: str, *, at_once_max: int, per_address_max: int) -> None:
        """Let in ``at_once_max``, of which one address has ``per_address_max`` at most."""
        self._what = what
        self._at_once_max = at_once_max
        self._per_address_max = per_address_max
        self._inside: Counter[str] = Counter()

    @contextmanager
    def enter(self, address: str) -> Iterator[None]:
        """Be inside.

        Raises:
            BusyError: Too many are, of this address or of all.
        """
        if self._inside.total() >= self._at_once_max:
            raise BusyError(f"{self._inside.total()} {self._what} at once are as many as go")
        if self._inside[address] >= self._per_address_max:
            raise BusyError(f"{self._inside[address]} {self._what} at once from one address")
        self._inside[address] += 1
        try:
            yield
        finally:
            self._inside[address] -= 1
            if not self._inside[address]:
                del self._inside[address]

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` behind this gate."""

        async def gated(scope: Scope, receive: Receive, send: Send) -> None:
            with self.enter(network_of((scope.get("client") or ("",))[0])):
                await app(scope, receive, send)

        return gated


def lists_gate() -> Gate:
    """Return the gate of one kind of long list."""
    return Gate("lists", at_once_max=LISTS_MAX, per_address_max=LISTS_PER_ADDRESS_MAX)


def network_of(host: str) -> str:
    """Return what counts as the address of a client."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
