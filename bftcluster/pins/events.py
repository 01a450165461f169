"""What the tracker is told, and what it asks for.

At most one operation runs for a CID. Each has a ticket, and each ends with exactly one of
``FetchDone``, ``FetchFailed``, ``DropDone``, ``DropFailed`` and ``Stopped``, cancelled or not.
"""

from dataclasses import dataclass
from enum import Enum

from bftcluster.cid import Cid
from bftcluster.pins.status import TrackerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The ledger wants this peer to hold ``cid``, or changed how."""

    cid: Cid
    since_ms: int
    """When the pin was ordered, unix; young pins go first."""
    is_held: bool = False
    """Whether the store was found to hold all of it, and keeps it: then nothing is fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDesired:
    """The ledger does not want this peer to hold ``cid`` any more."""

    cid: Cid


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The store holds all of ``cid`` and keeps it, whoever brought it."""

    cid: Cid


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The store found that it does not hold all of ``cid`` any more, which is still desired."""

    cid: Cid
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchDone:
    """The store holds all of ``cid`` and keeps it."""

    cid: Cid
    ticket: int
    fetched_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed:
    """Not all of ``cid`` could be had."""

    cid: Cid
    ticket: int
    reason: str
    is_transient: bool
    """Whether waiting may help. If not, it is retried as rarely as possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropDone:
    """The store does not keep ``cid`` any more."""

    cid: Cid
    ticket: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropFailed:
    """The store could not let go of ``cid``."""

    cid: Cid
    ticket: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A cancelled operation ended half-way."""

    cid: Cid
    ticket: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """More happened at once than the tracker could be told: what it was has to be looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover:
    """Somebody asks to retry ``cid`` now, if it failed."""

    cid: Cid


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverAll:
    """Somebody asks to retry everything that failed, and to look for what was missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The ledger executed a report of this peer with these lines."""

    lines: "tuple[ReportLine, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One CID as a scan found it."""

    cid: Cid
    is_desired: bool
    """Whether the ledger wants this peer to hold it."""
    is_present: bool
    """Whether the store holds all of it and keeps it."""
    is_reported: bool
    """Whether the ledger has this peer among its holders."""
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """The answer to ``Scan``."""

    observations: tuple[Observation, ...]
    next_after: bytes | None
    """Where the next page begins; None if this was the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerDeadlinePassed:
    """The deadline of the last ``Actions`` has passed."""


Event = (
    Desired | NotDesired | Present | Lost
    | FetchDone | FetchFailed | DropDone | DropFailed | Stopped
    | Missed | Recover | RecoverAll | Acknowledged | Scanned | TrackerDeadlinePassed
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFetch:
    """Get all of ``cid`` and keep it. What is here already is not fetched again."""

    cid: Cid
    ticket: int
    attempt: int
    """From 1: others first, if the ones asked before did not deliver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDrop:
    """Keep ``cid`` no longer."""

    cid: Cid
    ticket: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFetch:
    """Stop a fetch; it still ends with its event. Drops are short, and left to end."""

    cid: Cid
    ticket: int


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What this peer says about one pin."""

    cid: Cid
    status: TrackerStatus
    """``PINNED``, ``PIN_ERROR`` or ``UNPINNED``."""
    error: str = ""


class ScanOf(Enum):
    """Which collection a scan walks, in the order of CIDs."""

    DESIRED = "desired"
    """The ledger's pins that this peer is to hold."""
    KEPT = "kept"
    """What the store keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Look at up to ``limit`` CIDs behind ``after`` and answer with ``Scanned``."""

    of: ScanOf
    after: bytes
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What to do now, in any order; then call ``step`` again at an event or at the deadline."""

    fetches: tuple[StartFetch, ...] = ()
    drops: tuple[StartDrop, ...] = ()
    cancels: tuple[CancelFetch, ...] = ()
    report: tuple[ReportLine, ...] = ()
    """Sign and submit as one report; none if empty."""
    scan: Scan | None = None
    deadline_ms: int | None = None
    """When ``TrackerDeadlinePassed`` is due, monotonic; None: only events matter."""
