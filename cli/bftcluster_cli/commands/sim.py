"""``bftcluster sim cluster``: the cluster's own code on simulated networks, disks and clocks."""

import time
from collections.abc import Callable, Mapping
from enum import Enum
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bftcluster.errors import ClusterError, UsageError
from bftcluster_cli.framework import GlobalOptions, noun, settings_of, verb
from bftcluster_cli.output import emit, say

if TYPE_CHECKING:
    from bftcluster_sim.cluster.faults.plans import RunPlan
    from bftcluster_sim.cluster.runs.swarm import RunOutcome
    from bftcluster_sim.cluster.runs.volunteers import VolunteerCosts

app = noun("sim", "Simulate clusters: every run is decided by its seed.")
cluster = noun("cluster", "The real consensus and ledger among liars, crashes and bad disks.")
app.add_typer(cluster)

T = TypeVar("T")
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=0, help="Processes; 0: one per processor.")
]


class FaultCount(Enum):
    """How many replicas may be faulty."""

    WITHIN = "f"
    BEYOND = "f+1"


@verb(cluster, "twins", "bftcluster sim cluster twins --replicas 4 --views 2")
def twins(
    ctx: typer.Context,
    *,
    replicas: Annotated[int, typer.Option(min=4, help="Keys; one of them runs twice.")] = 4,
    views: Annotated[int, typer.Option(min=1, max=4, help="Views that are scripted.")] = 2,
    workers: Workers = 0,
) -> None:
    """Run one key twice, and try every script of primaries and partitions of so many views."""
    from bftcluster_sim.cluster.runs.campaigns import run_twins

    settings = settings_of(ctx)
    record = run_twins(replicas, views, workers=workers, watch=_watch)
    _finish(settings, record, must_be_zero=("diverged", "no_progress", "honest_named"))


@verb(
    cluster,
    "swarm",
    "bftcluster sim cluster swarm --seeds 2000",
    "bftcluster sim cluster swarm --seeds 200 --faults f+1",
)
def swarm(
    ctx: typer.Context,
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 200,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    faults: Annotated[
        FaultCount,
        typer.Option(help="Up to f replicas faulty, or f + 1: then forks must be found."),
    ] = FaultCount.WITHIN,
    workers: Workers = 0,
) -> None:
    """Run random faults from consecutive seeds, then heal a quorum and demand progress."""
    from bftcluster_sim.cluster.runs.campaigns import run_swarm

    settings, is_beyond = settings_of(ctx), faults is FaultCount.BEYOND
    watch = _ignore if is_beyond else _watch
    record = run_swarm(seeds, first_seed, is_beyond_f=is_beyond, workers=workers, watch=watch)
    must_be_zero = ("honest_named",) if is_beyond else ("diverged", "no_progress", "honest_named")
    _finish(settings, record, must_be_zero=must_be_zero)
    if is_beyond and not record["diverged"]:
        raise ClusterError("no fork was found", hint="more seeds find some: `--seeds 100`")
    if is_beyond and record["culprits_named"] != record["diverged"]:
        raise typer.Exit(1)


@verb(cluster, "crash-points", "bftcluster sim cluster crash-points --json")
def crash_points(
    ctx: typer.Context,
    *,
    replicas: Annotated[int, typer.Option(min=4, help="How many.")] = 4,
    workers: Workers = 0,
) -> None:
    """Kill a process at every boundary between two effects, in a run with a change of view."""
    from bftcluster_sim.cluster.runs.campaigns import run_crash_points

    settings = settings_of(ctx)
    record = run_crash_points(replicas, workers=workers, watch=_watch)
    zeros = ("equivocations", "acknowledged_lost", "diverged", "no_progress")
    _finish(settings, record, must_be_zero=zeros)


@verb(cluster, "messages", "bftcluster sim cluster messages --replicas 4,7,10,16,31,64")
def messages(
    ctx: typer.Context,
    *,
    replicas: Annotated[
        str, typer.Option(metavar="N,N,...", help="Sizes of cluster.")
    ] = "4,7,10,16,31,64",
) -> None:
    """Count the messages, delays and signature checks of a decision without faults."""
    from bftcluster_sim.cluster.runs.campaigns import count_messages

    settings = settings_of(ctx)
    record = count_messages(_sizes(replicas))
    _finish(settings, record, must_be_zero=())
    if not record["is_optimal"]:
        raise typer.Exit(1)


@verb(cluster, "slow", "bftcluster sim cluster slow --json")
def slow(ctx: typer.Context, *, workers: Workers = 0) -> None:
    """Look for the slowest primary that keeps its view, and measure what clients then wait."""
    from bftcluster_sim.cluster.runs.campaigns import measure_slow_primaries

    settings = settings_of(ctx)
    record = measure_slow_primaries(workers=workers)
    _finish(settings, record, must_be_zero=("over",))


@verb(
    cluster,
    "replay",
    "bftcluster sim cluster replay --seed 8",
    "bftcluster sim cluster replay --seed 8 --shrink",
    "bftcluster sim cluster replay --twins 0-00011,3-00001",
    "bftcluster sim cluster replay --crash 4:0:60:TORN",
)
def replay(
    ctx: typer.Context,
    *,
    seed: Annotated[int | None, typer.Option(min=0, help="Which run of `swarm`.")] = None,
    faults: Annotated[FaultCount, typer.Option(help="As given to `swarm`.")] = FaultCount.WITHIN,
    twins: Annotated[
        str | None,
        typer.Option(metavar="SCRIPT", help="Which run of `twins`: PRIMARY-GROUPS of each view."),
    ] = None,
    crash: Annotated[
        str | None,
        typer.Option(metavar="POINT", help="Which run of `crash-points`: N:PEER:BOUNDARY:LOSS."),
    ] = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Look for a smaller seed run that ends alike first.")
    ] = False,
) -> None:
    """Show one run, line by line: the same lines each time."""
    settings = settings_of(ctx)
    if sum(which is not None for which in (seed, twins, crash)) != 1:
        raise UsageError("say which run: one of --seed, --twins and --crash")
    if shrink and seed is None:
        raise UsageError("only the runs of a seed can be shrunk")
    if seed is not None:
        plan = _plan(seed, faults, shrink=shrink)
        outcome, lines = _run_plan(plan)
        what = plan.describe()
    else:
        outcome, lines = _run_twins(twins) if twins is not None else _run_crash(crash or "")
        what = outcome.name
    for line in lines:
        emit(settings, {"trace": line}, line)
    record = {
        "seed": seed,
        "plan": what,
        "verdict": outcome.verdict.value,
        "breaches": list(outcome.breaches),
        "events": outcome.events,
        "simulated_ms": outcome.duration_ms,
        "digest": outcome.digest,
    }
    _finish(settings, record, must_be_zero=())


@verb(cluster, "volunteers", "bftcluster sim cluster volunteers --volunteers 1000 --json")
def volunteers(
    ctx: typer.Context,
    *,
    count: Annotated[
        int, typer.Option("--volunteers", min=2, max=10_000, help="Light peers, at two relays.")
    ] = 32,
    pins: Annotated[
        int, typer.Option(min=1, max=3600, help="One a second, each with two copies.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is not scripted.")] = 0,
) -> None:
    """Pin past light peers without faults: how soon they know, and what replicas and relays pay.

    First at 100 and at 1,000 light peers, as far as these are fewer. Times are simulated, with a
    delay of a millisecond for each frame; CPU time is this machine's.
    """
    from bftcluster_sim.cluster.runs.volunteers import count_volunteers_of_real_sizes

    settings = settings_of(ctx)
    sizes = [size for size in (100, 1_000) if size < count]
    records = []
    for size in (*sizes, count):
        begun = time.perf_counter()
        costs = count_volunteers_of_real_sizes(size, pins, seed=seed)
        record = _costs_of(size, costs) | {
            "wall_s": round(time.perf_counter() - begun, 1),
            "rss_max_mb": getrusage(RUSAGE_SELF).ru_maxrss >> 10,
        }
        records.append(record)
        if len(sizes) > 0:
            say(", ".join(f"{name} {value}" for name, value in record.items()))
    least, most = records[0], records[-1]
    growth = {
        f"{name}_growth": round(most[name] / least[name], 3)
        for name in ("replica_sent_bytes_per_hour", "replica_cpu_ms_per_hour")
    }
    _finish(settings, most | {"pins": pins} | growth | {"sizes": records}, must_be_zero=())


def _costs_of(volunteers: int, costs: "VolunteerCosts") -> dict[str, float]:
    known, hour = costs.known_ms, costs.hour()
    return {
        "volunteers": volunteers,
        "known_ms_p50": known[len(known) // 2],
        "known_ms_p99": known[len(known) * 99 // 100],
        "newcomer_ms": costs.newcomer_ms,
        "newcomer_bytes": costs.newcomer_bytes,
        "replica_sent_bytes_per_hour": hour.sent_bytes,
        "replica_cpu_ms_per_hour": round(hour.cpu_ms),
        "period_sent_bytes": costs.period.sent_bytes,
        "period_cpu_ms": round(costs.period.cpu_ms),
        "relay_cpu_ms_per_pin": round(costs.relay.cpu_ms / (len(known) / 2), 2),
        "relay_bytes_per_light_peer_and_minute": round(
            costs.relay_bytes * 60_000 / costs.window_ms / volunteers
        ),
        "batches": costs.batches,
    }


def _plan(seed: int, faults: FaultCount, *, shrink: bool) -> "RunPlan":
    from bftcluster_sim.cluster.faults.plans import plan_of
    from bftcluster_sim.cluster.runs.shrinker import shrink as shrink_plan

    plan = plan_of(seed, is_beyond_f=faults is FaultCount.BEYOND)
    if shrink:
        plan, attempts = shrink_plan(plan, _run_plan(plan)[0].verdict)
        say(f"shrunk in {attempts} attempts to: {plan.describe()}")
    return plan


def _run_plan(plan: "RunPlan") -> "tuple[RunOutcome, list[str]]":
    from bftcluster_sim.cluster.runs.swarm import run

    outcome, world = run(plan, is_traced=True)
    return outcome, world.trace.lines


def _run_twins(text: str) -> "tuple[RunOutcome, list[str]]":
    from bftcluster_sim.cluster.runs.twins import Script, run

    script = _parsed(Script.parse, text, "script of twins", "0-00011,3-00001")
    outcome, world = run(script, is_traced=True)
    return outcome, world.trace.lines


def _run_crash(text: str) -> "tuple[RunOutcome, list[str]]":
    from bftcluster_sim.cluster.runs.crash_points import Point, run

    point = _parsed(Point.parse, text, "crash point", "4:0:60:TORN")
    outcome, world = run(point, is_traced=True)
    return outcome, world.trace.lines


def _parsed(parse: Callable[[str], T], text: str, what: str, example: str) -> T:
    try:
        return parse(text)
    except ValueError:
        raise UsageError(f"no {what}: {text!r}; one is {example}") from None


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--replicas takes numbers with commas, not {text!r}") from None
    if not all(size >= 4 for size in sizes):
        raise UsageError("a cluster that bears a fault has 4 replicas or more")
    return sizes


def _watch(outcome: "RunOutcome") -> None:
    """Tell of a run that did not pass, and how to see it again."""
    from bftcluster_sim.cluster.runs.swarm import RunVerdict

    if outcome.verdict is not RunVerdict.PASS:
        why = "; ".join(outcome.breaches[:3])
        say(f"{outcome.verdict.value}: {outcome.name}{': ' if why else ''}{why}")
        say(f"  bftcluster sim cluster replay --{outcome.name}")


def _ignore(_outcome: "RunOutcome") -> None:
    """Say nothing of a run that is expected to end badly."""


def _finish(
    settings: GlobalOptions, record: Mapping[str, object], *, must_be_zero: tuple[str, ...]
) -> None:
    """Print the record; the exit code says whether all is well."""
    emit(settings, record, "\n".join(f"{name}: {value}" for name, value in record.items()))
    if any(record[name] for name in must_be_zero):
        raise typer.Exit(1)
