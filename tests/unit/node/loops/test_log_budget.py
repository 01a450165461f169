"""The log has a budget, and its operator is told in time."""

import pytest
from structlog.testing import capture_logs

from bftcluster.node.loops.log_budget import SOON_MS, WINDOW_MS, LogBudget

DAY_MS = 86_400_000
GB = 10**9


class Disk:
    """A log that grows, and the time."""

    def __init__(self) -> None:
        self.ms = 0
        self.size_bytes = GB

    def now_ms(self) -> int:
        return self.ms

    def wall_ms(self) -> int:
        return self.ms

    def pass_time(self, budget: LogBudget, days: int, *, grown_bytes: int) -> None:
        """Let so many days pass, and the log grow by so much in each."""
        for _ in range(days * 24):
            self.ms += DAY_MS // 24
            self.size_bytes += grown_bytes // 24
            budget.look()


@pytest.fixture
def disk() -> Disk:
    return Disk()


def budget_of(disk: Disk, size_bytes: int) -> LogBudget:
    return LogBudget(budget_bytes=size_bytes, size_bytes=lambda: disk.size_bytes, clock=disk)


def test_at_first_nothing_is_told_of_the_future(disk: Disk) -> None:
    use = budget_of(disk, 10 * GB).use()

    assert (use.size_bytes, use.budget_bytes, use.full_in_ms) == (GB, 10 * GB, None)


def test_a_log_that_does_not_grow_is_never_full(disk: Disk) -> None:
    budget = budget_of(disk, 10 * GB)

    disk.pass_time(budget, 3, grown_bytes=0)

    assert budget.use().full_in_ms is None


def test_the_end_is_estimated_from_the_growth_of_the_last_day(disk: Disk) -> None:
    budget = budget_of(disk, 100 * GB)
    disk.pass_time(budget, 2, grown_bytes=5 * GB)

    disk.pass_time(budget, 2, grown_bytes=GB)

    left_bytes = 100 * GB - disk.size_bytes
    assert budget.use().full_in_ms == pytest.approx(left_bytes * WINDOW_MS // GB, rel=0.01)


def test_an_operator_is_warned_in_time_and_once_a_day(disk: Disk) -> None:
    with capture_logs() as logs:
        budget = budget_of(disk, 31 * GB)
        disk.pass_time(budget, 10, grown_bytes=GB)
        early = list(logs)
        disk.pass_time(budget, 10, grown_bytes=GB)

    assert early == []
    assert {entry["log_level"] for entry in logs} == {"warning"}
    assert 3 <= len(logs) <= 5
    assert SOON_MS // 3_600_000 - 24 <= logs[0]["hours"] <= SOON_MS // 3_600_000


def test_at_the_budget_clients_are_told_why_nothing_is_taken(disk: Disk) -> None:
    with capture_logs() as logs:
        budget = budget_of(disk, GB)

    assert budget.use().is_full
    assert budget.use().full_in_ms == 0
    assert "storage.log_budget" in budget.problem()
    assert [entry["event"] for entry in logs] == ["the log's budget is used up"]


def test_below_the_budget_everything_is_taken(disk: Disk) -> None:
    assert budget_of(disk, GB + 1).problem() == ""
