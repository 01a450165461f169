"""What the demonstration with volunteers found out, for people and for machines."""

from dataclasses import asdict, dataclass, field
from typing import Final

from bftcluster_cli.output import plural

SHARE_RATIO_ERROR_MAX: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Conviction:
    """Somebody who was found out."""

    name: str
    misdeed: str
    """What it did."""
    standing: str = ""
    """What became of it; empty: it was not found."""
    found_by: str = ""
    """By what of the order."""
    evidence: dict[str, object] = field(default_factory=dict)
    """What on the log that goes back to."""
    seconds: float = 0.0
    """From the misdeed to the change of standing."""


@dataclass(slots=True, kw_only=True)
class VolunteersReport:
    """Filled in as the story goes; what was not measured stays -1."""

    replicas: int
    relays: int
    volunteers: int
    light: int
    """Of the volunteers, those that keep no ledger."""
    quota_ratio: int
    """Of the largest quota to the smallest."""
    evicted: int = -1
    honest_suspended: int = -1
    under_replicated: int = -1
    bytes_over_quota: int = -1
    lost: int = -1
    share_ratio_error: float = -1.0
    """Half the sum, over the classes of quota, of how far the class's part of all bytes that were
    allocated is from its part of all quota: 0 is exact, 1 is all of it elsewhere."""
    time_scale: float = 0.0
    """Seconds elsewhere that one second here stands for: 24 hours by the genesis's day."""
    minutes: float = 0.0
    files: int = 0
    period_s: float = 0.0
    day_s: float = 0.0
    dropped_out: int = 0
    """Who went at once and came back."""
    left: bool = False
    """Who left had handed over, and is no member any more."""
    liars: list[Conviction] = field(default_factory=list)
    chapters_s: dict[str, float] = field(default_factory=dict)
    directory: str = ""
    """Where everything was kept; empty if it is deleted."""

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return all(is_kept for is_kept, _ in self._promises())

    def record(self) -> dict[str, object]:
        """Return the report as JSON."""
        return asdict(self)

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"{'yes' if is_kept else 'NO '}  {what}" for is_kept, what in self._promises()]
        lines += [
            f"     {each.name} {each.misdeed}: {each.standing}, by {each.found_by}"
            for each in self.liars
        ]
        lines.append(f"{plural(self.files, 'file')}, in {self.minutes:.1f} minutes")
        return "\n".join(lines)

    def _promises(self) -> list[tuple[bool, str]]:
        count = plural(self.volunteers, "volunteer")
        found = [each for each in self.liars if each.standing]
        return [
            (len(found) == len(self.liars), f"{len(found)} of {len(self.liars)} liars are found"),
            (self.honest_suspended == 0, f"nobody honest of {count} is suspended"),
            (self.under_replicated == 0, "every pin has its copies"),
            (self.bytes_over_quota == 0, "nobody's disk holds more than was lent"),
            (self.lost == 0, f"all of {plural(self.files, 'file')} come back byte for byte"),
            (
                0 <= self.share_ratio_error <= SHARE_RATIO_ERROR_MAX,
                f"bytes go by quota, but for {100 * self.share_ratio_error:.1f} %",
            ),
            (self.left, "who left had handed over what it held"),
        ]
