"""Ordering and executing pins in one process: what the core itself costs.

Four replicas with real signatures, two approvals a pin, batches of 100, a network of queues, no
disk. All four verify each approval, so the limit is the rate of verifications divided by eight.
The goal is three quarters of it.
"""

import time
from collections.abc import Sequence

from benchmarks.bench_crypto import verifications_per_second
from benchmarks.clusters.memory_cluster import MemoryCluster
from benchmarks.result import Result
from benchmarks.workload import APPROVALS, blocks, genesis, pin_requests
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.node.process.interpreter import tune_collector
from bftcluster.signing.keys import Ed25519Verifier

PEERS = 4
PINS = 2000
RUNS = 3
NOW_MS = 1_700_000_000_000


def run() -> list[Result]:
    founding = genesis(peers=PEERS, created_ms=NOW_MS)
    cids = [cid for cid, _ in blocks(PINS, label="core")]
    requests = pin_requests(founding, cids, now_ms=NOW_MS + 60_000)
    tune_collector()
    seconds = min(_seconds(founding, requests) for _ in range(RUNS))
    return [
        Result(
            name="core_ops_per_second",
            value=PINS / seconds,
            unit="1/s",
            limit=verifications_per_second() / (PEERS * APPROVALS),
        )
    ]


def _seconds(founding: Genesis, requests: Sequence[bytes]) -> float:
    """Return the CPU time until every peer of a new cluster has executed all requests."""
    cluster = MemoryCluster(founding, Ed25519Verifier())
    start = time.process_time()
    cluster.submit(requests)
    cluster.settle()
    seconds = time.process_time() - start
    assert [peer.ledger.head.pins for peer in cluster.peers] == [PINS] * PEERS
    return seconds
