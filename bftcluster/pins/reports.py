"""What the ledger has yet to hear from this peer: batched, and repeated until it has."""

from collections import OrderedDict
from collections.abc import Sequence

from bftcluster.cid import Cid
from bftcluster.pins.events import ReportLine
from bftcluster.pins.settings import TrackerSettings


class Reports:
    """One report at a time is on its way; newer lines wait and replace older ones."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._pending: OrderedDict[Cid, ReportLine] = OrderedDict()
        self._pending_since_ms = 0
        self._taken_ms: int | None = None
        self._sent: dict[Cid, ReportLine] = {}
        self._resend_ms = 0

    def __len__(self) -> int:
        return len(self._pending) + len(self._sent)

    def add(self, line: ReportLine, *, now_ms: int) -> bool:
        """Queue ``line`` in the place of what was to be said before; False if there is no room."""
        if line.cid not in self._pending:
            if self._sent.get(line.cid) == line:
                return True
            if len(self) >= self._settings.reports_max:
                return False
            if not self._pending:
                self._pending_since_ms = now_ms
        self._pending[line.cid] = line
        return True

    def withdraw(self, cid: Cid) -> None:
        """Say nothing about ``cid``."""
        self._pending.pop(cid, None)
        self._sent.pop(cid, None)

    def acknowledge(self, lines: Sequence[ReportLine]) -> None:
        """Note what the ledger has heard."""
        for line in lines:
            if self._sent.get(line.cid) == line:
                del self._sent[line.cid]
            if self._pending.get(line.cid) == line:
                del self._pending[line.cid]

    def take(self, *, now_ms: int) -> tuple[ReportLine, ...]:
        """Return the report to send now, if one is due."""
        if self._sent and now_ms >= self._resend_ms:
            self._return_sent(now_ms)
        if not self._is_due(now_ms):
            return ()
        for _ in range(min(len(self._pending), self._settings.report_entries_max)):
            cid, line = self._pending.popitem(last=False)
            self._sent[cid] = line
        self._pending_since_ms = self._taken_ms = now_ms
        self._resend_ms = now_ms + self._settings.report_retry_ms
        return tuple(self._sent.values())

    @property
    def deadline_ms(self) -> int | None:
        """When ``take`` has something next, if nothing happens."""
        if self._sent:
            return self._resend_ms
        return self._due_ms if self._pending else None

    @property
    def _due_ms(self) -> int:
        """When the lines that wait have waited long enough."""
        due_ms = self._pending_since_ms + self._settings.report_delay_ms
        if self._taken_ms is None:
            return due_ms
        return max(due_ms, self._taken_ms + self._settings.report_interval_ms)

    def _is_due(self, now_ms: int) -> bool:
        if self._sent or not self._pending:
            return False
        return len(self._pending) >= self._settings.report_entries_max or now_ms >= self._due_ms

    def _return_sent(self, now_ms: int) -> None:
        """Put back what was not acknowledged, first in line, unless newer news overtook it."""
        for cid, line in reversed(self._sent.items()):
            if cid not in self._pending:
                self._pending[cid] = line
                self._pending.move_to_end(cid, last=False)
        self._sent.clear()
        self._pending_since_ms = now_ms - self._settings.report_delay_ms
