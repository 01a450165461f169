"""Clients that keep a cluster busy."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx

from bftcluster import cid as cids
from bftcluster.cid import Cid
from tests.e2e.cluster import WAIT_S, Cluster
from tests.e2e.processes import pause

PACE_S = 0.1
"""How often a steady load hands in what is due."""
POSTS_MAX = 16
"""Its posts that may wait for an answer at once."""


class Load:
    """Clients that pin without pause, and remember what was acknowledged."""

    def __init__(self, cluster: Cluster, cid_list: Sequence[Cid], *, at: Sequence[int]) -> None:
        self._cluster = cluster
        self._cids = list(cid_list)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(index,)) for index in at]
        self.acknowledged: list[tuple[float, str]] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        return len(self.acknowledged)

    def wait_for(self, count: int, *, timeout_s: float = WAIT_S) -> None:
        """Return when so many more pins were acknowledged."""
        goal, end_s = self.count + count, time.monotonic() + timeout_s
        while self.count < goal:
            if time.monotonic() > end_s:
                logs = "\n".join(f"--- {p.index}\n{p.log[-1500:]}" for p in self._cluster.peers)
                raise AssertionError(f"{goal - self.count} of {count} pins not made:\n{logs}")
            pause(0.01)

    def longest_gap_s(self, begin: float, end: float) -> float:
        """Return the longest time between two acknowledgements among ``begin`` and ``end``."""
        times = [begin, *sorted(at for at, _ in self.acknowledged if begin < at < end), end]
        return max(later - earlier for earlier, later in pairwise(times))

    def _run(self, index: int) -> None:
        peer = self._cluster.peers[index]
        with httpx.Client(base_url=peer.url, timeout=20, trust_env=False) as client:
            while not self._stop.is_set():
                with self._lock:
                    cid = self._cids.pop()
                request = self._cluster.pin(cid)
                try:
                    response = client.post("/operations?timeout=15", content=request)
                    is_committed = response.json().get("code") == "committed"
                except (httpx.HTTPError, ValueError):
                    pause(0.05)
                    continue
                if is_committed:
                    self.acknowledged.append((time.monotonic(), cids.text(cid)))


class SteadyLoad:
    """One client that hands in so many requests a second, whatever becomes of them."""

    def __init__(
        self, cluster: Cluster, requests: Iterator[bytes], *, at: int, per_second: float
    ) -> None:
        self._cluster = cluster
        self._requests = requests
        self._at = at
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(POSTS_MAX)
        self._posts: list[Future[list[dict[str, Any]]]] = []
        self._thread = threading.Thread(target=self._run)
        self.per_second = per_second
        self.asked = 0

    def __enter__(self) -> "SteadyLoad":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()

    @property
    def count(self) -> int:
        """How many were committed; after the end only."""
        return len(self._codes()) - len(self.refused)

    @property
    def refused(self) -> list[str]:
        """What became of the others."""
        return [code for code in self._codes() if code != "committed"]

    def _codes(self) -> list[str]:
        return [outcome["code"] for post in self._posts for outcome in post.result()]

    def _run(self) -> None:
        begin_s = time.monotonic()
        while not self._stop.wait(PACE_S):
            due = int((time.monotonic() - begin_s) * self.per_second) - self.asked
            if due:
                batch = [next(self._requests) for _ in range(due)]
                self._posts.append(self._pool.submit(self._cluster.submit_many, batch, at=self._at))
                self.asked += due
