"""A light peer that comes to a cluster with 100,000 pins, and one that proves 10,000 of its own.

Real processes on Linux: four replicas, all of them relays, and one light peer that dials two. It is
admitted, and started for the first time; as soon as it has joined, a pin that names it is approved.
Its first duty is known when its log says so, and done when another replica knows from its report
that it holds it. Then it is given 10,000 pins, below a stable checkpoint: memory and disk are those
of a peer that holds all of them and has nothing more to do; the blocks, its quota, are left out.
Last it has lost what it knew, and proves all its duties anew. The first pin has a block to fetch;
the content of all others is in their CIDs, so that only what is said of them is measured.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.bench_pins import FRAMES
from benchmarks.clusters.processes import Processes, command, resident_mb, running, started
from benchmarks.result import Result
from benchmarks.workload import blocks, pin_requests
from bftcluster import cid as cids
from bftcluster.api.frames import write_frame
from bftcluster.blocks.formats.block import Block
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.signing.keys import peer_id_text

PINS = 100_000
"""Of one founder, before the light peer comes."""
OWN = 10_000
RELAYS = 2
PART = 1000
"""Pins that are in flight at once."""
CLOSING_PINS = 150
"""One in a batch: a checkpoint is among them, so that all before is proven by it."""
SAMPLES = 20
"""Of its pins that are asked for, spread over all of them."""
IDENTITY = b"\x01\x55\x00"
"""What a CID begins with that is raw content itself."""
IS_RELAY = ("# relay = false", "relay = true")
KNOWN = "duties changed"
"""What a light peer logs when it learns what it is to hold, or not any more."""
GOAL_DUTY_S = 10.0
GOAL_MEMORY_MB = 110.0
GOAL_DISK_MB = 5.0
WAIT_S = 600
POLL_S = 0.05


def run() -> list[Result]:
    [(first, block)] = blocks(1, label="light")
    with (
        running(blocks=[Block(first, block)], overrides=[IS_RELAY]) as cluster,
        tempfile.TemporaryDirectory(prefix="bftcluster-bench-") as directory,
    ):
        holder = cluster.id_of(0)
        pin(cluster, inline("old", PINS), (holder,))
        light = LightPeer(cluster, Path(directory) / "light")
        try:
            known_s, held_s = light.first_duty(first)
            own = inline("own", OWN)
            pin(cluster, own, (light.id, holder))
            for each in inline("last", CLOSING_PINS):
                pin(cluster, [each], (holder,))
            light.wait_until(light.holds_all(own))
            memory_mb, disk_mb = light.resident_mb(), light.disk_mb()
            proven_s = light.prove_again()
        finally:
            light.stop()
    return [
        Result(name="newcomer_first_duty_s", value=known_s, unit="s", limit=GOAL_DUTY_S),
        Result(name="newcomer_first_report_s", value=held_s, unit="s", limit=GOAL_DUTY_S),
        Result(name="light_proof_10000_s", value=proven_s, unit="s", limit=GOAL_DUTY_S),
        Result(name="light_rss_mb", value=memory_mb, unit="MB", limit=GOAL_MEMORY_MB),
        Result(name="light_disk_mb", value=disk_mb, unit="MB", limit=GOAL_DISK_MB),
    ]


def inline(label: str, count: int) -> list[Cid]:
    """Return CIDs, no two alike, that are their content's identity."""
    data = [b"%s %d" % (label.encode(), number) for number in range(count)]
    return [cids.from_bytes(IDENTITY + bytes((len(each),)) + each) for each in data]


def pin(cluster: Processes, wanted: Sequence[Cid], holders: Sequence[PeerId]) -> None:
    """Have contents pinned at these peers; what was not ordered in time is said again."""
    pins = cluster.status(0)["pins"]
    for start in range(0, len(wanted), PART):
        some = wanted[start : start + PART]
        requests = pin_requests(
            cluster.genesis,
            some,
            now_ms=time.time_ns() // 1_000_000,
            replication=len(holders),
            allocations=holders,
        )
        body = b"".join(map(write_frame, requests))
        pins += len(some)
        while cluster.status(0)["pins"] < pins:
            answer = cluster.clients[0].post(
                "/operations", content=body, headers={"content-type": FRAMES}
            )
            answer.raise_for_status()


class LightPeer:
    """One process without a ledger."""

    def __init__(self, cluster: Processes, directory: Path) -> None:
        """Make it, and have it admitted; it does not run yet."""
        self._cluster = cluster
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        words = ["peer", "init", str(directory), "--quota", "1GiB"]
        words += ["--genesis", str(cluster.directories[0].parent / "genesis.cbor")]
        for relay in cluster.directories[:RELAYS]:
            words += ["--bootstrap", str(relay / "peer.txt")]
        command(*words)
        self.id = cluster.admit(directory, is_light=True)
        self._text = peer_id_text(self.id)

    def first_duty(self, cid: Cid) -> tuple[float, float]:
        """Start it, and give it one pin at once; return the seconds until it knew, and held it."""
        begun_s = self._start()
        self.wait_until(self._has_joined)
        pin(self._cluster, [cid], (self.id, self._cluster.id_of(0)))
        self.wait_until(self._knows_duties)
        known_s = time.monotonic() - begun_s
        self.wait_until(self.holds_all([cid]))
        return known_s, time.monotonic() - begun_s

    def prove_again(self) -> float:
        """Start it without what it knew; return the seconds until it has proven its duties."""
        self.stop()
        (self._directory / "light.cbor").unlink()
        (self._directory / "log.txt").unlink()
        begun_s = self._start()
        self.wait_until(self._knows_duties)
        return time.monotonic() - begun_s

    def holds_all(self, wanted: Sequence[Cid]) -> Callable[[], bool]:
        """Return whether the last replica knows of some of these that the peer holds them."""
        left = [*wanted[:: max(1, len(wanted) // SAMPLES)], wanted[-1]]

        def holds() -> bool:
            while left:
                answer = self._cluster.clients[-1].get(f"/pins/{cids.text(left[-1])}")
                holders = answer.json()["peer_map"] if answer.is_success else {}
                if holders.get(self._text, {}).get("status") != "pinned":
                    return False
                left.pop()
            return True

        return holds

    def resident_mb(self) -> float:
        """Return what it holds in memory now, in units of 10^6 bytes."""
        assert self._process is not None, "it runs"
        return resident_mb(self._process.pid)

    def disk_mb(self) -> float:
        """Return the size of its files but for the blocks and what it logged, in 10^6 bytes."""
        files = [path for path in self._directory.iterdir() if path.is_file()]
        return sum(path.stat().st_size for path in files if path.name != "log.txt") / 1e6

    def stop(self) -> None:
        """End it, as an operator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when a condition holds; the peer announces nothing, so it is looked at."""
        self._cluster.wait_until(condition, seconds=WAIT_S, poll_s=POLL_S)

    def _start(self) -> float:
        begun_s = time.monotonic()
        self._process = started(self._directory, noun="light")
        return begun_s

    def _has_joined(self) -> bool:
        members = self._cluster.clients[0].get("/members").json()
        return any(each["id"] == self._text and each["joined"] for each in members)

    def _knows_duties(self) -> bool:
        return KNOWN in (self._directory / "log.txt").read_text(errors="replace")
