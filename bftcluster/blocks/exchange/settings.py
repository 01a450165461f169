"""The settings of block exchange."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """How a fetch behaves. The defaults suit a LAN as well as a home line."""

    requests_per_provider: int = 2
    """Two, so that the next one is there when one ends."""
    request_size_bytes: int = 16 << 20
    window_total_bytes: int = 64 << 20
    """Blocks received and not yet stored, over all requests of one fetch."""
    leaf_budget_bytes: int = 1 << 20
    """Leaves that come along unasked: a small DAG takes one round trip."""
    silence_timeout_s: float = 15.0
    """A provider that brings nothing useful for so long is asked no more."""
    hedge_after_s: float = 2.0
    """An idle provider gets what another is so long silent about."""
    credit_timeout_s: float = 120.0
    """A requester that gives no credit for so long is served no more."""
    farewell_s: float = 1.0
    """How long a cancelled fetch takes to say so."""
