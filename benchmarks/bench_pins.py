"""Pins through four processes, from a signed request at the HTTP API to every peer's ledger.

Every pin carries two approvals, which every peer checks: on C cores the limit is C times the rate
of verifications, divided by eight. The blocks lie in every store already, as in the figures for
ipfs-cluster that one wants to compare with; peers report them as held meanwhile. What else runs on
the machine weighs on the rate; `pin_cpu_ms`, of all four processes together, hardly feels it, and
`pin_cpu_to_report_ms` goes on until every peer's report of what it holds is executed. The flood is
too short for a checkpoint; the sustained rate is that of one with a checkpoint in it. Latency at
saturation is that of a closed loop: few pins are in flight, but enough to keep both cores busy.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

from benchmarks.bench_crypto import verifications_per_second
from benchmarks.clusters.processes import PEERS, Processes, running
from benchmarks.result import Result
from benchmarks.workload import APPROVALS, blocks, pin_requests
from bftcluster.api.frames import write_frame
from bftcluster.blocks.formats.block import Block

PINS = 4000
SUSTAINED_PINS = 16_000
"""More than a checkpoint interval of full batches."""
WARM_UP_PINS = 100
LATENCY_PINS = 200
SATURATED_PINS = 2000
PINS_PER_POST = 16
CONNECTIONS = 4
WAIT_S = 120
P50_GOAL_MS = 8
P99_GOAL_MS = 250
SATURATED_P50_GOAL_MS = 60
REPORT_POLL_S = 0.25
"""Rarely enough that asking hardly counts among what the peers use."""
FRAMES = "application/vnd.bftcluster.frames"


def run() -> list[Result]:
    verifying_ms = 1000 * PEERS * APPROVALS / verifications_per_second()
    limit = 1000 * (os.cpu_count() or 1) / verifying_ms
    more = [Block(cid, data) for cid, data in blocks(SUSTAINED_PINS, label="sustained")]
    with running(blocks=[*_blocks(), *more], fsync=True) as cluster:
        resident_mb = max(cluster.resident_mb())
        requests = _requests(cluster, _blocks())
        cuts = quantiles(_latencies_ms(cluster, requests), n=100)
        saturated_ms, saturated_rate = _saturated(cluster, requests)
        saturated = _blocks()[-PINS - 1].cid
        cluster.wait_until(cluster.held_by_all(saturated), seconds=WAIT_S, poll_s=REPORT_POLL_S)
        used_s = sum(cluster.processor_seconds())
        rate = _pins_per_second(cluster, requests[-PINS:])
        known_s = sum(cluster.processor_seconds()) - used_s
        last = _blocks()[-1].cid
        cluster.wait_until(cluster.held_by_all(last), seconds=WAIT_S, poll_s=REPORT_POLL_S)
        reported_s = sum(cluster.processor_seconds()) - used_s
        sustained = _pins_per_second(cluster, _requests(cluster, more))
    with running(blocks=_blocks(), fsync=False) as cluster:
        rate_without = _pins_per_second(cluster, _requests(cluster, _blocks())[-PINS:])
    return [
        Result(name="pins_per_second", value=rate, unit="1/s", limit=limit),
        Result(name="pins_per_second_sustained", value=sustained, unit="1/s", limit=limit),
        Result(name="pins_per_second_no_fsync", value=rate_without, unit="1/s", limit=limit),
        Result(name="pin_cpu_ms", value=known_s / PINS * 1000, unit="ms", limit=verifying_ms),
        Result(
            name="pin_cpu_to_report_ms",
            value=reported_s / PINS * 1000,
            unit="ms",
            limit=verifying_ms,
        ),
        Result(name="pin_latency_p50", value=cuts[49], unit="ms", limit=P50_GOAL_MS),
        Result(name="pin_latency_p99", value=cuts[98], unit="ms", limit=P99_GOAL_MS),
        Result(
            name="pin_latency_saturated_p50",
            value=saturated_ms,
            unit="ms",
            limit=SATURATED_P50_GOAL_MS,
        ),
        Result(name="pins_per_second_closed_loop", value=saturated_rate, unit="1/s", limit=limit),
        Result(name="idle_rss_mb", value=resident_mb, unit="MB"),
    ]


def _blocks() -> list[Block]:
    made = blocks(WARM_UP_PINS + LATENCY_PINS + SATURATED_PINS + PINS, label="pins")
    return [Block(cid, data) for cid, data in made]


def _requests(cluster: Processes, wanted: list[Block]) -> list[bytes]:
    cids = [block.cid for block in wanted]
    return pin_requests(cluster.genesis, cids, now_ms=time.time_ns() // 1_000_000)


def _latencies_ms(cluster: Processes, requests: list[bytes]) -> list[float]:
    """Return how long one client waits for each of some pins, one after the other."""
    submit(cluster, requests[:WARM_UP_PINS])
    cluster.wait_until(cluster.everywhere(WARM_UP_PINS), seconds=WAIT_S)
    some = requests[WARM_UP_PINS : WARM_UP_PINS + LATENCY_PINS]
    return [_submit_one(cluster, each) for each in some]


def _saturated(cluster: Processes, requests: list[bytes]) -> tuple[float, float]:
    """Return the median wait for a few pins, and their rate, with 64 pins in flight all the time.

    Each connection posts ``PINS_PER_POST`` pins and waits for all of them before it posts more.
    """
    start = WARM_UP_PINS + LATENCY_PINS
    some = requests[start : start + SATURATED_PINS]
    posts = [some[at : at + PINS_PER_POST] for at in range(0, len(some), PINS_PER_POST)]
    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        waits_s = list(pool.map(lambda post: _post(cluster, post), posts))
    return median(waits_s) * 1000, len(some) / (time.monotonic() - began)


def _pins_per_second(cluster: Processes, requests: list[bytes]) -> float:
    """Return the rate of many pins, counted when the last is in every peer's ledger."""
    before = cluster.status(0)["pins"]
    start = time.monotonic()
    submit(cluster, requests)
    cluster.wait_until(cluster.everywhere(before + len(requests)), seconds=WAIT_S)
    return len(requests) / (time.monotonic() - start)


def submit(cluster: Processes, requests: list[bytes]) -> None:
    """Send requests to the primary over a few connections, and check that each was committed."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = [requests[start::CONNECTIONS] for start in range(CONNECTIONS)]
        for done in [pool.submit(_post, cluster, part) for part in parts]:
            done.result()


def _post(cluster: Processes, requests: list[bytes]) -> float:
    """Send requests in one body; return how long it took until all were committed, in seconds."""
    start = time.perf_counter()
    body = b"".join(map(write_frame, requests))
    response = cluster.clients[0].post(
        "/operations", content=body, headers={"content-type": FRAMES}
    )
    response.raise_for_status()
    assert response.text.count('"committed"') == len(requests), response.text[-500:]
    return time.perf_counter() - start


def _submit_one(cluster: Processes, request: bytes) -> float:
    start = time.perf_counter()
    response = cluster.clients[0].post("/operations", content=request)
    milliseconds = (time.perf_counter() - start) * 1000
    response.raise_for_status()
    assert response.json()["code"] == "committed", response.text
    return milliseconds
