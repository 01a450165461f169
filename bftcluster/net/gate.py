"""Limits how much strangers may have of us at once, and how often. No I/O, no clock."""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from bftcluster.limits import (
    HANDSHAKE_BURST_PER_ADDRESS_MAX,
    HANDSHAKES_PENDING_MAX,
    HANDSHAKES_PENDING_PER_ADDRESS_MAX,
    HANDSHAKES_PER_ADDRESS_PER_S,
)

_ADDRESSES_MAX: Final = 4096


@dataclass(slots=True)
class _Bucket:
    """Handshakes that an address may still start at once, as of a time."""

    tokens: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """How many may be inside at once, and how often one address may enter."""

    inside_max: int
    inside_per_address_max: int
    burst_per_address: int
    """How often it may enter at once, if it has not for long."""
    per_address_per_s: float


HANDSHAKES: Final = GateLimits(
    inside_max=HANDSHAKES_PENDING_MAX,
    inside_per_address_max=HANDSHAKES_PENDING_PER_ADDRESS_MAX,
    burst_per_address=HANDSHAKE_BURST_PER_ADDRESS_MAX,
    per_address_per_s=HANDSHAKES_PER_ADDRESS_PER_S,
)


@dataclass(slots=True)
class StrangersGate:
    """Admits inbound connections to what strangers may have of us.

    A handshake costs a few milliseconds of CPU and holds a socket for seconds, and anyone who
    reaches the port can ask for one. Members are few and ask rarely.
    """

    limits: GateLimits = HANDSHAKES
    _pending: Counter[str] = field(default_factory=Counter)
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def enter(self, address: str, now_s: float) -> bool:
        """Return whether one from ``address`` may begin; if so, ``leave`` must follow."""
        address = _network_of(address)
        if self._pending.total() >= self.limits.inside_max:
            return False
        if self._pending[address] >= self.limits.inside_per_address_max:
            return False
        if not self._draw(address, now_s):
            return False
        self._pending[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One from ``address`` has succeeded, or failed."""
        address = _network_of(address)
        assert self._pending[address] > 0, "who leaves has entered"
        self._pending[address] -= 1
        if not self._pending[address]:
            del self._pending[address]

    def _draw(self, address: str, now_s: float) -> bool:
        """Take one of the address's tokens, if it has any."""
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) >= _ADDRESSES_MAX:
                self._forget_full(now_s)
            bucket = self._buckets[address] = _Bucket(self.limits.burst_per_address, now_s)
        refilled = bucket.tokens + (now_s - bucket.at_s) * self.limits.per_address_per_s
        bucket.tokens = min(self.limits.burst_per_address, refilled)
        bucket.at_s = now_s
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _forget_full(self, now_s: float) -> None:
        """Drop the addresses whose bucket is full again; they are as good as new."""
        refill_s = self.limits.burst_per_address / self.limits.per_address_per_s
        for address in [a for a, b in self._buckets.items() if now_s - b.at_s >= refill_s]:
            del self._buckets[address]
        while len(self._buckets) >= _ADDRESSES_MAX:
            del self._buckets[next(iter(self._buckets))]


def _network_of(address: str) -> str:
    """Return what one attacker can fill: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(IPv6Address(int(ip) >> 64 << 64))
