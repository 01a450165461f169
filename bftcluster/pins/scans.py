"""A scan walks the pinset or the store in pages, so that neither has to fit in memory."""

from bftcluster.cid import Cid
from bftcluster.pins.events import Scan, ScanOf
from bftcluster.pins.settings import TrackerSettings


class Scanner:
    """Finds what events did not tell: after a start, a full queue, or damage.

    One scan walks what the ledger desires, then what the store keeps. A page was read a moment ago:
    what happened to a CID since it was asked for is newer, so the page says nothing about it.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._of: ScanOf | None = None
        self._after = b""
        self._is_asked = False
        self._is_wanted = True
        self._next_ms: int | None = None
        self._touched: set[Cid] = set()

    @property
    def is_running(self) -> bool:
        """Whether a scan is to begin or has not ended."""
        return self._of is not None or self._is_wanted

    def want(self) -> None:
        """Scan from the start once the present scan is through: something was passed over."""
        self._is_wanted = True

    def touch(self, cid: Cid) -> None:
        """Note that something newer than the page being read is known about ``cid``."""
        if self._is_asked:
            self._touched.add(cid)

    def ask(self, *, now_ms: int, has_room: bool) -> Scan | None:
        """Return the page to read now, if one is due and there is room for what it may bring."""
        if self._next_ms is not None and now_ms >= self._next_ms:
            self._is_wanted, self._next_ms = True, None
        if self._is_asked or not has_room or not self.is_running:
            return None
        if self._of is None:
            self._of, self._is_wanted, self._next_ms = ScanOf.DESIRED, False, None
        self._is_asked = True
        return Scan(of=self._of, after=self._after, limit=self._settings.scan_page_rows)

    def answer(self, next_after: bytes | None, *, now_ms: int) -> frozenset[Cid] | None:
        """Take a page's end; return the CIDs it is too old for, None if it is for all."""
        assert self._is_asked, "a page answers a question"
        assert self._of is not None, "a scan is under way"
        touched = frozenset(self._touched)
        self._is_asked = False
        self._touched.clear()
        if len(touched) > self._settings.scan_touched_max:
            return None
        if next_after is not None:
            assert next_after > self._after, "a scan goes forward"
            self._after = next_after
            return touched
        self._after = b""
        if self._of is ScanOf.DESIRED:
            self._of = ScanOf.KEPT
        else:
            self._of = None
            self._next_ms = now_ms + self._settings.scan_interval_ms
        return touched

    @property
    def deadline_ms(self) -> int | None:
        """When the next scan begins by itself."""
        return self._next_ms
