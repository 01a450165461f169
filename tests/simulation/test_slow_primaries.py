"""How slow a primary may be for ever: two strategies here, all of them in `make campaigns`."""

from bftcluster.pbft import ReplicaSettings
from bftcluster_sim.cluster.runs.slow_primaries import Strategy, measure

PATIENCE_MS = ReplicaSettings().request_timeout_ms + ReplicaSettings().view_change_timeout_ms


def test_a_primary_that_holds_requests_back_keeps_its_view_up_to_the_timeouts_only() -> None:
    row = measure(Strategy.HOLD)

    assert row.hold_ms is not None
    assert PATIENCE_MS - 100 < row.hold_ms <= row.median_ms <= row.worst_ms < PATIENCE_MS
    assert row.removed_worst_ms < PATIENCE_MS + 100


def test_null_batches_that_nobody_asks_for_cost_a_primary_its_view() -> None:
    assert measure(Strategy.NULLS).hold_ms is None
