"""A replica that was away for ten thousand log entries comes back while the others work on."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, made, tiny_blocks
from tests.e2e.load import SteadyLoad

pytestmark = pytest.mark.slow

ENTRIES = 10_000
CONTENTS = 20
CONNECTIONS = 4
REQUESTS_A_POST = 250
PART_OF_CAPACITY = 0.5
CAUGHT_UP_AFTER_MAX_S = 240
CLOSE_ENTRIES = 100
"""Under load nobody is level with anybody: this near counts, for the last answer and the window."""


@pytest.mark.timeout(600)
def test_ten_thousand_entries_behind_it_catches_up_under_half_the_load_they_can_take(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with made(tmp_path) as cluster:
        blocks = tiny_blocks(CONTENTS)
        cluster.fill(blocks)
        cluster.configure("pbft", "batch_requests_max", "1")
        cluster.configure("pbft", "slots_in_flight_max", "32")
        requests = (cluster.pin(block.cid) for block in cycle(blocks))
        cluster.start()
        away = next(p for p in cluster.peers if p.status()["primary"] != p.status()["peer"])
        others = [peer for peer in cluster.peers if peer is not away]
        away.stop()
        began_at = others[0].executed()

        capacity = entries_per_second(cluster, requests, at=others[0].index)
        assert others[0].executed() >= began_at + ENTRIES
        with SteadyLoad(
            cluster, requests, at=others[0].index, per_second=PART_OF_CAPACITY * capacity
        ) as load:
            away.start()
            start_s = time.monotonic()
            cluster.wait_until(
                lambda: away.executed() >= max(p.executed() for p in others) - CLOSE_ENTRIES,
                timeout_s=CAUGHT_UP_AFTER_MAX_S,
            )
            taken_s = time.monotonic() - start_s
            behind = away.executed() - began_at

        record_property("capacity_entries_per_s", round(capacity))
        record_property("load_per_s", round(load.per_second))
        record_property("entries", behind)
        record_property("caught_up_after_s", round(taken_s, 1))
        assert load.refused == []
        assert load.count == load.asked > 0
        cluster.stop_level()
        assert len(set(cluster.states())) == 1


def entries_per_second(cluster: Cluster, requests: Iterator[bytes], *, at: int) -> float:
    """Have ``ENTRIES`` requests ordered as fast as it goes; return how fast that was."""
    posts = [
        [next(requests) for _ in range(REQUESTS_A_POST)] for _ in range(ENTRIES // REQUESTS_A_POST)
    ]
    start_s = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for outcomes in pool.map(lambda post: cluster.submit_many(post, at=at), posts):
            assert {each["code"] for each in outcomes} == {"committed"}
    return ENTRIES / (time.monotonic() - start_s)
