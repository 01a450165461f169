"""Scenarios that a seed decides. Prints one line per scenario: its name and the hash of its trace.

Run twice with different PYTHONHASHSEED, the lines must be the same: the order of a set, or of
arrival, has not reached an output.
"""

import sys
from collections.abc import Iterable
from hashlib import sha256
from random import Random

from benchmarks.clusters.memory_cluster import MemoryCluster
from benchmarks.workload import blocks, genesis, pin_requests
from bftcluster.signing.keys import Ed25519Verifier
from bftcluster_sim.cluster.environment.traces import Trace
from bftcluster_sim.cluster.faults.plans import plan_of
from bftcluster_sim.cluster.runs.swarm import run as swarm_run
from tests.unit.ledger.test_one_history import fingerprint

NOW_MS = 1_700_000_000_000
PINS = 120
LIMIT_MS = 600_000
SEEDS = range(20)


def calm() -> str:
    """Four peers, every message arrives, in the order it was sent."""
    return _trace(peers=4, seed=None, loss_percent=0)


def shuffled() -> str:
    """Four peers, events in an order that the seed draws."""
    return _trace(peers=4, seed=1, loss_percent=0)


def lossy() -> str:
    """Seven peers, one message in ten is lost: retransmission, catch-up and new views."""
    return _trace(peers=7, seed=2, loss_percent=10)


def very_lossy() -> str:
    """Four peers, three messages in ten are lost."""
    return _trace(peers=4, seed=3, loss_percent=30)


def swarm() -> str:
    """Simulated clusters among liars, crashes and bad disks, every line of them."""
    return _digest(world.trace for _, world in (swarm_run(plan_of(seed)) for seed in SEEDS))


def forks() -> str:
    """The same with one faulty replica too many."""
    plans = [plan_of(seed, is_beyond_f=True) for seed in SEEDS]
    return _digest(world.trace for _, world in (swarm_run(plan) for plan in plans))


def history() -> str:
    """One ledger in which volunteers are invited, audited, evicted, repaired, and grow old."""
    return fingerprint()


def _digest(traces: Iterable[Trace]) -> str:
    return sha256(" ".join(trace.digest() for trace in traces).encode()).hexdigest()


def _trace(*, peers: int, seed: int | None, loss_percent: int) -> str:
    founding = genesis(peers=peers, created_ms=NOW_MS, checkpoint_interval=4)
    cids = [cid for cid, _ in blocks(PINS, label="determinism")]
    requests = pin_requests(founding, cids, now_ms=NOW_MS + 60_000)
    cluster = MemoryCluster(
        founding,
        Ed25519Verifier(),
        random=None if seed is None else Random(seed),
        loss_percent=loss_percent,
    )
    for index, request in enumerate(requests):
        cluster.submit([request], to=index % peers)
    cluster.run_until(PINS, limit_ms=LIMIT_MS)
    assert cluster.agrees(), "every peer has the same state"
    return cluster.digest()


SCENARIOS = (calm, shuffled, lossy, very_lossy, swarm, forks, history)

if __name__ == "__main__":
    for scenario in SCENARIOS:
        sys.stdout.write(f"{scenario.__name__} {scenario()}\n")
