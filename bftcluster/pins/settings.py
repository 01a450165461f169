"""What an operator can set about the tracker: how much it does at once, and how often."""

from dataclasses import dataclass

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSettings:
    """Bounds and periods. The defaults are ipfs-cluster's where it has one."""

    fetches_max: int = 10
    """Fetches at once."""
    drops_max: int = 1
    """Drops at once."""
    items_max: int = 100_000
    """CIDs in memory, queued, running or failed. The rest is found again by scanning."""
    priority_age_max_ms: int = 24 * 60 * _MINUTE_MS
    priority_attempts_max: int = 5
    """A pin older, or tried more often, waits behind those that are not."""
    retry_min_ms: int = 2_000
    retry_max_ms: int = 30 * _MINUTE_MS
    """The pause after a failure doubles between these."""
    error_report_attempts: int = 3
    """Transient failures in a row before the ledger hears of one."""
    visit_interval_ms: int = 100
    """Visits to the store for new pins are so far apart: each syncs the disk, and pins to report
    wait for company anyway."""
    report_entries_max: int = 1_000
    report_delay_ms: int = 50
    """How long a line waits for company."""
    report_interval_ms: int = 1_000
    """Two reports are so far apart, unless one is full: ordering one costs as much as a pin."""
    report_retry_ms: int = 10_000
    """After this an unacknowledged report is sent again."""
    reports_max: int = 100_000
    """Lines in memory. The rest is found again by scanning."""
    scan_page_rows: int = 1_000
    scan_touched_max: int = 10_000
    """A page during whose reading more CIDs than this changed is read again."""
    scan_interval_ms: int = 12 * _MINUTE_MS
    """Pause between two scans."""

    def __post_init__(self) -> None:
        assert self.fetches_max >= 1, "something is fetched"
        assert self.drops_max >= 1, "something is dropped"
        assert self.items_max >= 2 * self.scan_page_rows, "a page fits in half of the memory"
        assert self.reports_max >= 2 * self.scan_page_rows, "a page fits in half of the reports"
        assert 0 < self.retry_min_ms <= self.retry_max_ms, "retries are apart, and come"
        assert self.report_entries_max >= 1, "a report has a line"
        assert self.scan_page_rows >= 1, "a page has a row"
