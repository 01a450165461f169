"""What the demonstration found out, for people and for machines."""

from dataclasses import asdict, dataclass, field

from bftcluster_cli.output import plural, size_text


@dataclass(slots=True, kw_only=True)
class DemoReport:
    """Filled in as the story goes; what was not shown stays false."""

    peers: int
    threshold: int
    maintainers: int
    cid: str = ""
    files: int = 0
    size_bytes: int = 0
    refused_under_threshold: bool = False
    """A certificate with one signature too few was refused, and the proposal stayed pending."""
    committed: bool = False
    replicated: int = 0
    """Peers that held the first pin in the end."""
    wanted: int = 0
    killed: str = ""
    """The peer that was killed."""
    killed_primary: bool = False
    """It was the one that proposed the order, so that the others had to replace it."""
    survived_kill: bool = False
    """A second pin was committed while one peer was dead."""
    caught_up: bool = False
    """The killed peer came back, executed what it had missed, and holds what it should."""
    content_identical: bool = False
    """Read from a peer that never had the source, byte for byte."""
    elapsed_s: float = 0.0
    chapters_s: dict[str, float] = field(default_factory=dict)
    directory: str = ""
    """Where everything was kept; empty if it is deleted."""

    @property
    def is_good(self) -> bool:
        """Whether everything was shown."""
        return (
            self.refused_under_threshold
            and self.committed
            and self.replicated == self.wanted > 0
            and self.survived_kill
            and self.caught_up
            and self.content_identical
        )

    def record(self) -> dict[str, object]:
        """Return the report as JSON."""
        return asdict(self)

    def text(self) -> str:
        """Return the report for people."""
        rows = (
            (self.refused_under_threshold, "too few signatures pin nothing"),
            (self.committed, f"{self.threshold} of {self.maintainers} signatures pin {self.cid}"),
            (self.replicated == self.wanted > 0, f"replicated {self.replicated}/{self.wanted}"),
            (self.survived_kill, f"a pin goes through with 1 of {self.peers} peers killed"),
            (self.caught_up, "the killed peer catches up by itself"),
            (self.content_identical, "the content comes back byte for byte"),
        )
        lines = [f"{'yes' if is_shown else 'NO '}  {what}" for is_shown, what in rows]
        content = f"{plural(self.files, 'file')}, {size_text(self.size_bytes)}"
        return "\n".join([*lines, f"{content}, in {self.elapsed_s:.1f} s"])
