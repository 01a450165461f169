"""Many runs, and one record that sums them up: what the commands print."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial

from bftcluster_sim.cluster.faults.plans import plan_of
from bftcluster_sim.cluster.runs import crash_points, message_counts, slow_primaries, swarm, twins
from bftcluster_sim.cluster.runs.parallel import run_all
from bftcluster_sim.cluster.runs.swarm import RunOutcome, RunVerdict

Watcher = Callable[[RunOutcome], None]


@dataclass(slots=True)
class Tally:
    """What a campaign counted."""

    runs: int = 0
    verdicts: dict[RunVerdict, int] = field(default_factory=lambda: dict.fromkeys(RunVerdict, 0))
    splits: int = 0
    """Runs in which two correct peers decided differently."""
    culprits_named: int = 0
    """Of those, how many in which at least f + 1 members are proven guilty."""
    honest_named: int = 0
    events: int = 0
    simulated_ms: int = 0
    breaches: dict[str, int] = field(default_factory=dict)
    """By invariant: S1, S5, bug, ..."""

    def add(self, outcome: RunOutcome) -> None:
        """Count one run."""
        self.runs += 1
        self.verdicts[outcome.verdict] += 1
        self.splits += outcome.is_split
        self.culprits_named += outcome.is_split and outcome.culprits >= outcome.weak_quorum
        self.honest_named += outcome.honest_named
        self.events += outcome.events
        self.simulated_ms += outcome.duration_ms
        for kind in {breach.split(" ", 1)[0].rstrip(":") for breach in outcome.breaches}:
            self.breaches[kind] = self.breaches.get(kind, 0) + 1


def tally(outcomes: Iterable[RunOutcome], watch: Watcher) -> tuple[Tally, dict[str, object]]:
    """Count ``outcomes`` as they come; return the count and how long it took."""
    begun_s = time.monotonic()
    counted = Tally()
    for outcome in outcomes:
        counted.add(outcome)
        watch(outcome)
    seconds = time.monotonic() - begun_s
    spent: dict[str, object] = {
        "events": counted.events,
        "simulated_s": counted.simulated_ms // 1000,
        "seconds": round(seconds, 1),
        "events_per_s": round(counted.events / max(seconds, 1e-9)),
    }
    return counted, spent


def run_swarm(
    seeds: int, first_seed: int, *, is_beyond_f: bool, workers: int, watch: Watcher
) -> dict[str, object]:
    """Run consecutive seeds, none left out."""
    work = partial(_run_seed, is_beyond_f=is_beyond_f)
    outcomes = run_all(work, range(first_seed, first_seed + seeds), workers=workers)
    counted, spent = tally(outcomes, watch)
    record: dict[str, object] = {"seeds": counted.runs, "first_seed": first_seed}
    if is_beyond_f:
        # More than f faults: to stop for good is right, so only a fork counts as divergence.
        record |= {
            "faults": "f+1",
            "diverged": counted.splits,
            "culprits_named": counted.culprits_named,
            "honest_named": counted.honest_named,
        }
    else:
        record |= {
            "faults": "f",
            "diverged": counted.verdicts[RunVerdict.DIVERGED],
            "no_progress": counted.verdicts[RunVerdict.NO_PROGRESS],
            "honest_named": counted.honest_named,
            "breaches": counted.breaches,
        }
    return record | spent


def run_twins(replicas: int, views: int, *, workers: int, watch: Watcher) -> dict[str, object]:
    """Run every script of so many views."""
    outcomes = run_all(_run_script, twins.scripts(replicas, views), workers=workers)
    counted, spent = tally(outcomes, watch)
    return {
        "replicas": replicas,
        "views": views,
        "scenarios": counted.runs,
        "diverged": counted.verdicts[RunVerdict.DIVERGED],
        "no_progress": counted.verdicts[RunVerdict.NO_PROGRESS],
        "honest_named": counted.honest_named,
        **spent,
    }


def run_crash_points(replicas: int, *, workers: int, watch: Watcher) -> dict[str, object]:
    """Tell the story once per peer, boundary and kind of loss."""
    points = list(crash_points.points(replicas))
    counted, spent = tally(run_all(_run_point, points, workers=workers), watch)
    return {
        "replicas": replicas,
        "decisions": crash_points.DECISIONS,
        "points": len({(point.peer, point.boundary) for point in points}),
        "runs": counted.runs,
        "equivocations": counted.breaches.get("S5", 0),
        "acknowledged_lost": counted.breaches.get("S7", 0),
        "diverged": counted.verdicts[RunVerdict.DIVERGED],
        "no_progress": counted.verdicts[RunVerdict.NO_PROGRESS],
        **spent,
    }


def count_messages(sizes: Iterable[int]) -> dict[str, object]:
    """Return what one fault-free decision costs, for each size of cluster."""
    rows = [message_counts.measure(n) for n in sizes]
    return {
        "rows": [asdict(row) for row in rows],
        "is_optimal": all(
            row.messages == row.messages_expected
            and row.delays == message_counts.DELAYS
            and row.verifies <= row.verifies_max
            for row in rows
        ),
    }


def measure_slow_primaries(*, workers: int) -> dict[str, object]:
    """Return how long the slowest primaries that keep their view make clients wait."""
    begun_s = time.monotonic()
    rows = list(run_all(slow_primaries.measure, list(slow_primaries.Strategy), workers=workers))
    worst_ms = max(max(row.worst_ms, row.removed_worst_ms) for row in rows)
    median_ms = max(row.median_ms for row in rows)
    limits = {"median_ms": slow_primaries.MEDIAN_MAX_MS, "worst_ms": slow_primaries.WORST_MAX_MS}
    return {
        "rows": [asdict(row) for row in rows],
        "median_ms": median_ms,
        "worst_ms": worst_ms,
        "limits": limits,
        "over": sum((median_ms > limits["median_ms"], worst_ms > limits["worst_ms"])),
        "seconds": round(time.monotonic() - begun_s, 1),
    }


def _run_seed(seed: int, *, is_beyond_f: bool) -> RunOutcome:
    return swarm.run(plan_of(seed, is_beyond_f=is_beyond_f))[0]


def _run_point(point: crash_points.Point) -> RunOutcome:
    return crash_points.run(point)[0]


def _run_script(script: twins.Script) -> RunOutcome:
    return twins.run(script)[0]
