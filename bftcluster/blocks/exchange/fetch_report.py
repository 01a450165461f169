"""How far a fetch is, and the report that it ends with."""

from dataclasses import dataclass

from bftcluster.blocks.exchange.fetch_plan import ProviderFault
from bftcluster.cid import Cid, text
from bftcluster.errors import NotReachedError
from bftcluster.ids import PeerId


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
