"""The simulator of clusters: how much history a second of processor time buys.

Events of swarm runs with everything they carry (replicas, logs on disk, ledgers, checkers), and
one decision of 64 replicas without faults. The limits are goals, not what the machine can do.
"""

import time

from benchmarks.result import Result
from bftcluster_sim.cluster.faults.plans import plan_of
from bftcluster_sim.cluster.runs import message_counts, swarm

SEEDS = range(60)
EVENTS_PER_SECOND_GOAL = 20_000
N = 64
DECISION_GOAL_S = 0.5


def run() -> list[Result]:
    swarm.run(plan_of(0))
    start = time.process_time()
    outcomes = [swarm.run(plan_of(seed))[0] for seed in SEEDS]
    seconds = time.process_time() - start

    assert all(outcome.verdict is swarm.RunVerdict.PASS for outcome in outcomes)
    return [
        Result(
            name="sim_events_per_second",
            value=sum(outcome.events for outcome in outcomes) / seconds,
            unit="1/s",
            limit=EVENTS_PER_SECOND_GOAL,
        ),
        Result(
            name=f"sim_n{N}_decision_s",
            value=message_counts.measure(N).cpu_s,
            unit="s",
            limit=DECISION_GOAL_S,
        ),
    ]
