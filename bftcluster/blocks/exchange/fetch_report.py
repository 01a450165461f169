"""The settings that a fetch is given, and the report that it ends with."""

from dataclasses import dataclass

from bftcluster.blocks.exchange.fetch_plan import ProviderFault
from bftcluster.cid import Cid, text
from bftcluster.errors import NotReachedError
from bftcluster.ids import PeerId


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """How far a fetch is."""

    blocks_stored: int
    bytes_stored: int
    """Durable, and brought by this fetch."""
    blocks_missing: int
    """Known to be missing; more may become known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """What one provider did."""

    peer: PeerId
    fault: ProviderFault | None
    blocks: int
    content_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchReport:
    """A fetch that is done: the DAG is here, durable and kept."""

    root: Cid
    blocks: int
    content_bytes: int
    """Brought by this fetch; less than the DAG if some of it was here."""
    providers: tuple[ProviderReport, ...]


class FetchFailedError(NotReachedError):
    """The providers together did not bring the DAG. What they brought stays, for the next try.

    Attributes:
        missing: How many blocks are known to be missing.
        providers: What each did.
    """

    hint = "check that a peer which has the content is online"

    def __init__(self, root: Cid, missing: int, providers: tuple[ProviderReport, ...]) -> None:
        super().__init__(f"{missing} blocks of {text(root)} were not to be had")
        self.missing = missing
        self.providers = providers
