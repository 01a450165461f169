"""What a pin costs each replica in bytes sent, as the peers that only store become more (Linux).

Pins are held by one founding peer, so that the others do nothing for them but learn of them. What
the links send while nothing happens is measured, and left out. Bytes are those of TCP, by ``ss``.
"""

import re
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.bench_pins import submit
from benchmarks.clusters.processes import PEERS, Processes, command, running, started
from benchmarks.result import Result
from benchmarks.workload import blocks, pin_requests
from bftcluster.blocks.formats.block import Block
from bftcluster.ids import PeerId
from bftcluster.signing.keys import parse_peer_id
from bftcluster_cli.demo.ports import free_ports

STEPS = (0, 8, 16, 32)
"""Storage peers, in turn."""
PINS = 400
"""Of each step, in four bodies at once."""
IDLE_S = 10.0
WAIT_S = 300
GOAL_BYTES = 150
"""For each storage peer more."""
_SENT = re.compile(r"pid=(\d+).*?bytes_sent:(\d+)")


def run() -> list[Result]:
    made = [Block(cid, data) for cid, data in blocks(PINS * len(STEPS), label="followers")]
    results: list[Result] = []
    with running(blocks=made) as cluster, tempfile.TemporaryDirectory() as directory:
        volunteers = Volunteers(cluster, Path(directory))
        holder = parse_peer_id(str(cluster.status(0)["peer"]))
        requests = pin_requests(
            cluster.genesis,
            [block.cid for block in made],
            now_ms=time.time_ns() // 1_000_000,
            replication=1,
            allocations=(PeerId(holder),),
        )
        try:
            spent = {}
            for step, count in enumerate(STEPS):
                volunteers.grow_to(count)
                some = requests[step * PINS : (step + 1) * PINS]
                spent[count] = _bytes_a_pin(cluster, volunteers, some)
                views = cluster.status(0)["view"]
                results.append(Result(name=f"pin_bytes_sent_{count}", value=spent[count], unit="B"))
                results.append(Result(name=f"views_with_{count}", value=views, unit=""))
        finally:
            volunteers.stop()
    last = STEPS[-1]
    more = (spent[last] - spent[0]) / last
    goal = Result(name="pin_bytes_per_follower", value=more, unit="B", limit=GOAL_BYTES)
    return [*results, goal]


class Volunteers:
    """Peers that are admitted without a vote."""

    def __init__(self, cluster: Processes, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self._clients: list[httpx.Client] = []

    def grow_to(self, count: int) -> None:
        """Admit and start peers until there are so many; return when all have caught up."""
        while len(self._processes) < count:
            self._add(f"volunteer{len(self._processes)}")
        goal = int(self._cluster.status(0)["last_executed"])
        self._cluster.wait_until(lambda: self.have_executed(goal), seconds=WAIT_S)

    def have_executed(self, seq: int) -> bool:
        """Return whether each has executed so far."""
        try:
            statuses = [client.get("/status").json() for client in self._clients]
        except httpx.HTTPError:
            return False
        return all(status["last_executed"] >= seq for status in statuses)

    def stop(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.kill()
            process.wait()
        for client in self._clients:
            client.close()

    def _add(self, name: str) -> None:
        path, (port, api) = self._directory / name, free_ports(2)
        genesis = self._cluster.directories[0].parent / "genesis.cbor"
        bootstrap = [str(each / "peer.txt") for each in self._cluster.directories]
        words = ["peer", "init", str(path), "--quota", "1GiB", "--genesis", str(genesis)]
        words += ["--listen", f"/ip4/127.0.0.1/tcp/{port}", "--api", f"127.0.0.1:{api}"]
        for each in bootstrap:
            words += ["--bootstrap", each]
        command(*words)
        self._cluster.admit(path)
        self._processes.append(started(path))
        base_url = f"http://127.0.0.1:{api}"
        self._clients.append(httpx.Client(base_url=base_url, timeout=60, trust_env=False))


def _bytes_a_pin(cluster: Processes, volunteers: Volunteers, requests: list[bytes]) -> float:
    """Return what each replica sent for each pin, beyond what its links send anyway."""
    before, at_s = _sent(cluster), time.monotonic()
    time.sleep(IDLE_S)  # this is what is measured
    idle = (_sent(cluster) - before) / (time.monotonic() - at_s)
    before, at_s = _sent(cluster), time.monotonic()
    pins = cluster.status(0)["pins"] + len(requests)
    submit(cluster, requests)
    cluster.wait_until(cluster.everywhere(pins), seconds=WAIT_S)
    goal = int(cluster.status(0)["last_executed"])
    cluster.wait_until(lambda: volunteers.have_executed(goal), seconds=WAIT_S)
    spent = _sent(cluster) - before - idle * (time.monotonic() - at_s)
    return spent / len(requests) / PEERS


def _sent(cluster: Processes) -> int:
    """Return the bytes that the replicas' connections have sent, all together."""
    pids = {process.pid for process in cluster.processes}
    listed = subprocess.run(["ss", "-tinpOH"], check=True, capture_output=True, text=True).stdout
    found = (match for line in listed.splitlines() if (match := _SENT.search(line)))
    return sum(int(match[2]) for match in found if int(match[1]) in pids)
