"""Four peers as users run them: one process each, made and started by the command, on loopback."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.workload import APPROVALS, MAINTAINERS, approved
from bftcluster import cid as cids
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import Cid
from bftcluster.ids import MaintainerId, PeerId
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.signing.keys import maintainer_text
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.descriptors import parse_descriptor

PEERS = 4
QUOTA_BYTES = 8 << 30
START_S = 240
"""On a busy machine; it is a bound, and not waited for."""
STOP_S = 30
POLL_S = 0.02


class Processes:
    """A running cluster."""

    def __init__(
        self, directory: Path, *, fsync: bool = True, overrides: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.directories = [directory / f"peer{index}" for index in range(PEERS)]
        ports = free_ports(2 * PEERS)
        self._urls = [f"http://127.0.0.1:{port}" for port in ports[PEERS:]]
        self.processes: list[subprocess.Popen[bytes]] = []
        self._down: set[int] = set()
        """Peers that were killed on purpose."""
        for path, url, port in zip(self.directories, self._urls, ports, strict=False):
            command(
                *("peer", "init", str(path), "--quota", "8GiB"),
                *("--listen", f"/ip4/127.0.0.1/tcp/{port}"),
                *("--api", url.removeprefix("http://")),
            )
            if not fsync:
                _configure(path, "# fsync = true", "fsync = false")
            _configure(path, '# level = "info"', 'level = "warning"')
            for default, setting in overrides:
                _configure(path, default, setting)
        genesis = directory / "genesis.cbor"
        command(
            *("cluster", "init", "--name", "benchmark", "--threshold", str(APPROVALS)),
            *("--rmin", "-1"),
            *(f"--maintainer=m{n}={_text(key.public_key)}" for n, key in enumerate(MAINTAINERS)),
            *(f"--peer={path / 'peer.txt'}" for path in self.directories),
            *("--output", str(genesis)),
        )
        for path in self.directories:
            command("peer", "init", str(path), "--genesis", str(genesis))
        self.genesis = Genesis.from_bytes(genesis.read_bytes())
        self.clients = [
            httpx.Client(base_url=url, timeout=120, trust_env=False) for url in self._urls
        ]

    def fill(self, blocks: Iterable[Block]) -> None:
        """Put blocks into every peer's store. Only before ``start``."""
        assert not self.processes, "a running peer has its store open"
        wanted = list(blocks)
        for path in self.directories:
            with EmbeddedStore(path / "blocks", QUOTA_BYTES) as store:
                store.put_many(wanted)

    def start(self) -> None:
        """Start every peer, and return when all are well and linked to one another."""
        self.processes = [started(path) for path in self.directories]
        self.wait_until(self._is_linked, seconds=START_S)

    def id_of(self, index: int) -> PeerId:
        """Return a peer's id."""
        return self.genesis.peers[index].peer

    def admit(self, directory: Path, *, is_light: bool = False) -> PeerId:
        """Let the peer of a directory in, without a vote; return its id."""
        operation = parse_descriptor(str(directory / "peer.txt")).admission(votes=False)
        if is_light:
            operation = replace(operation, terms=replace(operation.terms, is_light=True))
        now_ms = time.time_ns() // 1_000_000
        request = approved(self.genesis, operation, nonce=operation.peer, now_ms=now_ms)
        answer = self.clients[0].post("/operations", content=request)
        assert answer.json()["code"] == "committed", answer.text
        return operation.peer

    def kill(self, index: int) -> None:
        """End one peer as a power cut would."""
        self._down.add(index)
        self.processes[index].kill()
        self.processes[index].wait()

    def restart(self, index: int) -> None:
        """Start a peer that was killed."""
        self.processes[index] = started(self.directories[index])
        self._down.remove(index)

    def primary(self) -> int:
        """Return which peer is the primary, as far as one that runs knows."""
        running = min(set(range(PEERS)) - self._down)
        statuses = {self.status(i)["peer"]: i for i in range(PEERS) if i not in self._down}
        return statuses[self.status(running)["primary"]]

    def stop(self) -> None:
        """Stop every peer, as an operator does."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for client in self.clients:
            client.close()

    def status(self, index: int) -> dict[str, Any]:
        """Return a peer's ``/status``."""
        response = self.clients[index].get("/status")
        response.raise_for_status()
        status: dict[str, Any] = response.json()
        return status

    def wait_until(
        self, condition: Callable[[], bool], *, seconds: float, poll_s: float = POLL_S
    ) -> None:
        """Return when ``condition`` holds; the peers announce nothing, so they are asked.

        Raises:
            RuntimeError: A peer stopped, or the time is over; with the end of a peer's log.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            dead = [i for i, p in enumerate(self.processes) if p.poll() is not None]
            dead = [index for index in dead if index not in self._down]
            if dead or time.monotonic() > deadline:
                index = dead[0] if dead else 0
                log = (self.directories[index] / "log.txt").read_text(errors="replace")
                what = "a peer stopped" if dead else f"nothing happened in {seconds} s"
                raise RuntimeError(f"{what}:\n{log[-3000:]}")
            time.sleep(poll_s)  # between two questions; the condition ends the wait

    def held_by_all(self, cid: Cid) -> Callable[[], bool]:
        """Return whether every ledger knows from reports that every peer holds ``cid``."""
        path, behind = f"/pins/{cids.text(cid)}", set(range(PEERS))

        def holds() -> bool:
            for index in sorted(behind):
                answer = self.clients[index].get(path)
                answer.raise_for_status()
                statuses = [each["status"] for each in answer.json()["peer_map"].values()]
                if statuses == ["pinned"] * PEERS:
                    behind.discard(index)
            return not behind

        return holds

    def everywhere(self, pins: int) -> Callable[[], bool]:
        """Return whether every peer's ledger has ``pins`` pins; asks a peer only until it has.

        Peers that were killed do not count, and one that does not answer yet has none.
        """
        behind = set(range(PEERS)) - self._down

        def holds() -> bool:
            try:
                for index in sorted(behind):
                    if self.status(index)["pins"] >= pins:
                        behind.discard(index)
            except httpx.ConnectError:
                return False
            return not behind

        return holds

    def resident_mb(self) -> list[float]:
        """Return what each process holds in memory now, in units of 10^6 bytes (Linux)."""
        return [resident_mb(process.pid) for process in self.processes]

    def processor_seconds(self) -> list[float]:
        """Return the CPU time that each process has used so far (Linux)."""
        ticks = os.sysconf("SC_CLK_TCK")
        used = []
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            used.append((int(fields[11]) + int(fields[12])) / ticks)
        return used

    def _is_linked(self) -> bool:
        try:
            statuses = [self.status(index) for index in range(PEERS)]
        except httpx.HTTPError:
            return False
        return all(
            not status["problem"] and all(link["connected"] for link in status["links"])
            for status in statuses
        )


@contextmanager
def running(
    *,
    blocks: Iterable[Block] = (),
    fsync: bool = True,
    overrides: Iterable[tuple[str, str]] = (),
) -> Iterator[Processes]:
    """Run a cluster in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bftcluster-bench-") as directory:
        cluster = Processes(Path(directory), fsync=fsync, overrides=overrides)
        cluster.fill(blocks)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def resident_mb(pid: int) -> float:
    """Return what a process holds in memory now, in units of 10^6 bytes (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [resident] = [line for line in lines if line.startswith("VmRSS:")]
    return int(resident.split()[1]) * 1024 / 1e6


def started(directory: Path, *, noun: str = "peer") -> subprocess.Popen[bytes]:
    """Start the peer of a directory; ``light`` is one without a ledger."""
    with (directory / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "bftcluster_cli", noun, "run", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def command(*arguments: str) -> None:
    """Run the command with these words.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run(
        [sys.executable, "-m", "bftcluster_cli", *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _configure(directory: Path, old: str, new: str) -> None:
    path = directory / "config.toml"
    text = path.read_text()
    assert old in text, f"{path} shows the default {old!r}"
    path.write_text(text.replace(old, new, 1))


def _text(public_key: bytes) -> str:
    return maintainer_text(MaintainerId(public_key))
