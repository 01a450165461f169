"""What a crashed peer costs those who stay, and how soon it is back.

Three processes of four make exactly a quorum, so nothing hides a slow one. The gap is what a client
sees that pins without pause at a surviving peer while the primary is killed.
"""

import threading
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from statistics import median

import httpx

from benchmarks.bench_pins import submit
from benchmarks.clusters.processes import PEERS, Processes, running
from benchmarks.result import Result
from benchmarks.workload import blocks, pin_requests
from bftcluster.blocks.formats.block import Block

WARM_UP_PINS = 100
PINS = 800
"""Of one measurement of the rate."""
ROUNDS = 3
"""How often each rate is measured, in turns: whatever else runs weighs on both alike."""
KILLS = 2
PINS_AROUND_KILL = 50
"""Before a kill, and again after it."""
ENTRIES_BEHIND = 1500
SPARE_PINS = 1000
"""What a client uses up between kills."""
WAIT_S = 120
RATIO_GOAL = 0.9
GAP_GOAL_S = 1.5
REQUESTS_A_POST = 200
"""With one request in a batch, as many as are surely ordered before the client gives up."""
ONE_A_BATCH = (
    ("# batch_requests_max = 100", "batch_requests_max = 1"),
    ("# slots_in_flight_max = 4", "slots_in_flight_max = 32"),
)


def run() -> list[Result]:
    pins = WARM_UP_PINS + 2 * ROUNDS * PINS + SPARE_PINS
    with running(blocks=_blocks(pins)) as cluster:
        requests = _requests(cluster, pins)
        _pins_per_second(cluster, requests, WARM_UP_PINS)
        ratio = _one_down_ratio(cluster, requests)
        gap_s = max(_kill_gap_s(cluster, requests) for _ in range(KILLS))
    with running(blocks=_blocks(ENTRIES_BEHIND), overrides=ONE_A_BATCH) as cluster:
        rate = _catch_up_rate(cluster, _requests(cluster, ENTRIES_BEHIND))
    return [
        Result(name="throughput_one_down_ratio", value=ratio, unit="", limit=RATIO_GOAL),
        Result(name="primary_kill_gap_s", value=gap_s, unit="s", limit=GAP_GOAL_S),
        Result(name="catch_up_entries_per_second", value=rate, unit="1/s"),
    ]


def _blocks(count: int) -> list[Block]:
    return [Block(cid, data) for cid, data in blocks(count, label="faults")]


def _requests(cluster: Processes, count: int) -> Iterator[bytes]:
    cids = [block.cid for block in _blocks(count)]
    return iter(pin_requests(cluster.genesis, cids, now_ms=time.time_ns() // 1_000_000))


def _one_down_ratio(cluster: Processes, requests: Iterator[bytes]) -> float:
    """Return the rate with a backup down as a part of that with all peers up."""
    backup = next(i for i in range(PEERS) if i not in (0, cluster.primary()))
    all_up, one_down = [], []
    for _ in range(ROUNDS):
        all_up.append(_pins_per_second(cluster, requests, PINS))
        cluster.kill(backup)
        one_down.append(_pins_per_second(cluster, requests, PINS))
        _bring_back(cluster, backup)
    return median(one_down) / median(all_up)


def _pins_per_second(cluster: Processes, requests: Iterator[bytes], count: int) -> float:
    """Return the rate of ``count`` pins, known to every peer that runs."""
    before = cluster.status(0)["pins"]
    some = list(islice(requests, count))
    start = time.monotonic()
    submit(cluster, some)
    cluster.wait_until(cluster.everywhere(before + count), seconds=WAIT_S)
    return count / (time.monotonic() - start)


def _bring_back(cluster: Processes, index: int) -> None:
    """Restart a peer, and return when it has what the others have."""
    others = [each for each in range(PEERS) if each != index]
    cluster.restart(index)
    cluster.wait_until(
        cluster.everywhere(max(cluster.status(each)["pins"] for each in others)), seconds=WAIT_S
    )


def _kill_gap_s(cluster: Processes, requests: Iterator[bytes]) -> float:
    """Return how long one client saw nothing acknowledged, the primary having been killed."""
    primary = cluster.primary()
    client = cluster.clients[(primary + 1) % PEERS]
    times: list[float] = []
    stop = threading.Event()

    def pin() -> None:
        while not stop.is_set():
            response = client.post("/operations", content=next(requests))
            if response.json()["code"] == "committed":
                times.append(time.monotonic())

    def after(count: int) -> None:
        goal = len(times) + count
        cluster.wait_until(lambda: len(times) >= goal, seconds=WAIT_S)

    thread = threading.Thread(target=pin)
    thread.start()
    try:
        after(PINS_AROUND_KILL)
        killed_at = time.monotonic()
        cluster.kill(primary)
        after(PINS_AROUND_KILL)
    finally:
        stop.set()
        thread.join()
    _bring_back(cluster, primary)
    return max(later - earlier for earlier, later in pairwise(times) if later > killed_at)


def _catch_up_rate(cluster: Processes, requests: Iterator[bytes]) -> float:
    """Return how fast a peer that was away takes log entries in, from its first answer on."""
    backup = next(i for i in range(PEERS) if i not in (0, cluster.primary()))
    cluster.kill(backup)
    while some := list(islice(requests, REQUESTS_A_POST)):
        submit(cluster, some)
    goal = int(cluster.status(0)["last_executed"])
    cluster.restart(backup)
    executed: list[tuple[float, int]] = []

    def has_caught_up() -> bool:
        try:
            position = int(cluster.status(backup)["last_executed"])
        except httpx.ConnectError:
            return False
        executed.append((time.monotonic(), position))
        return position >= goal

    cluster.wait_until(has_caught_up, seconds=WAIT_S)
    (start, first), (end, last) = executed[0], executed[-1]
    return (last - first) / (end - start)
