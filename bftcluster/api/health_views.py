"""How the cluster is doing, as the API shows it: what is short, what is missing, what would be."""

from dataclasses import dataclass, field

from bftcluster.ids import PeerId, WordedNumber


class HealthGrade(WordedNumber):
    """How bad it is. The numbers are the exit codes of `cluster health`, as monitors know them."""

    HEALTHY = 0
    DEGRADED = 1
    """Somebody should look; nothing is lost yet."""
    ENDANGERED = 2
    """One failure more loses content or stops the order, or that has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    grade: HealthGrade
    code: str
    """A word for programs."""
    text: str
    """For people, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinCounts:
    """How many pins have as many copies as they need: those that live peers reported to have."""

    counted_ms: int
    """When the count began, in unix milliseconds."""
    pins: int = 0
    """How many were looked at."""
    enough: int = 0
    arriving: int = 0
    """Ordered within the last hour and not at their minimum yet."""
    short: int = 0
    """Older, and with fewer than their minimum, but two at least."""
    endangered: int = 0
    """Older, and with one copy of several."""
    missing: int = 0
    """Older, and with none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossView:
    """What would follow if one peer, or all of one domain, failed for good now."""

    name: str
    """The peer's, or the domain's."""
    peers: tuple[PeerId, ...]
    pins_short: int | None
    """Pins that would fall below their minimum; None: not counted yet."""
    moved_bytes: int
    """What others would have to fetch, as far as pins name their size."""
    room_bytes: int
    """What those others have free."""

    @property
    def fits(self) -> bool:
        """Whether the others have room for it."""
        return self.moved_bytes <= self.room_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealthView:
    """All of it, as one peer sees it."""

    pins: int
    waiting: int
    """Pins with too few live holders, which wait for others."""
    last_copies: int
    """Those of them with one live holder at most, counted up to a bound."""
    counts: PinCounts | None
    """None: the first count is under way."""
    members: int
    joined: int
    absent: tuple[str, ...]
    """Names."""
    suspended: tuple[str, ...]
    evictions_waiting: int
    voters: int
    reached: int
    """Voters that this peer reaches, itself included if it votes."""
    quorum: int
    period: int
    """That of the last batch."""
    beacon_period: int | None
    """The last one with a beacon; None: there was none yet."""
    capacity_bytes: int
    """Approved and announced, of those that are given pins."""
    free_bytes: int
    losses: tuple[LossView, ...]
    """The worst peer to lose, and the worst domain where there are several."""
    findings: tuple[Finding, ...] = ()
    """The worst first."""

    @property
    def grade(self) -> HealthGrade:
        """That of the worst finding."""
        return max((each.grade for each in self.findings), default=HealthGrade.HEALTHY)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFamily:
    """The samples of one metric, as Prometheus knows it."""

    name: str
    """With its unit last, and without ``_total``."""
    text: str
    """What it means."""
    is_counter: bool = False
    labels: tuple[str, ...] = ()
    samples: tuple[tuple[tuple[str, ...], float], ...] = field(default=())
    """The labels' values, and the value."""
