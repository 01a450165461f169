"""From a plan that fails to a smaller one that fails alike: fewer faults, peers, moments."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from bftcluster_sim.cluster.faults.plans import RunPlan
from bftcluster_sim.cluster.runs.swarm import RunVerdict, run

_CHAOS_MS_MIN = 250


def shrink(plan: RunPlan, verdict: RunVerdict, *, attempts_max: int = 200) -> tuple[RunPlan, int]:
    """Return the smallest plan found that still ends in ``verdict``, and how many were tried."""
    return search(plan, lambda each: run(each)[0].verdict is verdict, attempts_max=attempts_max)


def search(
    plan: RunPlan, fails: Callable[[RunPlan], bool], *, attempts_max: int = 200
) -> tuple[RunPlan, int]:
    """Take the first smaller plan that fails, and go on from there until none does."""
    attempts = 0
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(plan):
            if attempts == attempts_max:
                return plan, attempts
            attempts += 1
            if fails(smaller):
                plan, progress = smaller, True
                break
    return plan, attempts


def _smaller(plan: RunPlan) -> Iterator[RunPlan]:
    """Yield plans one step smaller, the most useful steps first."""
    for gone in plan.ruins:
        yield replace(plan, ruins=tuple(other for other in plan.ruins if other is not gone))
    for fault in sorted(plan.faults, key=lambda fault: fault.name):
        fewer = replace(plan, faults=plan.faults - {fault})
        keys = fewer.n + fewer.spares
        yield replace(fewer, ruins=tuple(ruin for ruin in plan.ruins if ruin[0] < keys))
    for key, ruin, vices in plan.ruins:
        for vice in sorted(vices, key=lambda vice: vice.name):
            if len(vices) > 1:
                others = (r for r in plan.ruins if r[0] != key)
                yield replace(
                    plan, ruins=tuple(sorted((*others, (key, ruin, vices - {vice})), key=_key))
                )
    if plan.n > 4 and not plan.spares and all(key < plan.n - 1 for key, _, _ in plan.ruins):
        yield replace(plan, n=plan.n - 1)
    if plan.chaos_ms > _CHAOS_MS_MIN:
        yield replace(plan, chaos_ms=plan.chaos_ms // 2)
    if plan.requests > 1:
        yield replace(plan, requests=plan.requests // 2)


def _key(ruin: tuple[int, object, object]) -> int:
    return ruin[0]
