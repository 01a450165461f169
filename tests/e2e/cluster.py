"""Four peers as users run them: made by the command, one process each, on loopback."""

import ctypes
import hashlib
import io
import json
import os
import resource
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from bftcluster import cid as cids
from bftcluster.api.frames import write_frame
from bftcluster.blocks.block import Block
from bftcluster.blocks.store import EmbeddedStore
from bftcluster.cid import Cid
from bftcluster.ids import MaintainerId
from bftcluster.ledger.genesis import Genesis
from bftcluster.ledger.operations import EVERYWHERE, Operation, PinOperation
from bftcluster.ledger.requests import Submit
from bftcluster.ledger.spaces import Space
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.keys import SigningKey, maintainer_text
from bftcluster.signing.schemes import scheme_of
from bftcluster_cli.main import main

PEERS = 4
THRESHOLD = 2
START_S = 60
WAIT_S = 60
DAY_MS = 86_400_000
FRAMES = {"content-type": "application/vnd.bftcluster.frames"}
_PR_SET_PDEATHSIG = 1
_PORTS = range(12_000, 32_000)
"""Below those that the system gives to outgoing connections: nobody takes one between two runs."""


def maintainer(name: str) -> SigningKey:
    """Return the key that ``name`` always has."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


MAINTAINERS = {name: maintainer(name) for name in ("alice", "bob", "carol")}


@dataclass(slots=True)
class Peer:
    """One peer: a directory, two ports, and a process while it runs."""

    index: int
    directory: Path
    listen_port: int
    api_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def log(self) -> str:
        path = self.directory / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *, file_size_max_bytes: int = 0) -> None:
        """Start the process; ``file_size_max_bytes`` makes its disk full beyond that."""
        assert self.process is None, "it does not run"

        def before() -> None:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if file_size_max_bytes:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(
                    resource.RLIMIT_FSIZE, (file_size_max_bytes, resource.RLIM_INFINITY)
                )

        with (self.directory / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bftcluster_cli", "peer", "run", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                preexec_fn=before,  # noqa: PLW1509 - it calls the kernel only
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None, "it runs"
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> float:
        """Ask it to stop; return after how many seconds it had."""
        assert self.process is not None, "it runs"
        begin = time.monotonic()
        self.process.terminate()
        code = self.process.wait(30)
        taken_s = time.monotonic() - begin
        self.process = None
        assert code == 0, f"ended with {code}:\n{self.log[-2000:]}"
        return taken_s

    def wait(self, timeout_s: float = 30) -> int:
        """Return the exit code of a process that ends by itself."""
        assert self.process is not None, "it was started"
        code = self.process.wait(timeout_s)
        self.process = None
        return code

    def get(self, path: str) -> Any:
        response = httpx.get(self.url + path, timeout=20, trust_env=False)
        response.raise_for_status()
        return response.json()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("/status")
        return status

    def executed(self) -> int:
        return int(self.status()["last_executed"])

    def pinned(self) -> set[str]:
        """Return the CIDs of its pinset."""
        response = httpx.get(self.url + "/allocations", timeout=60, trust_env=False)
        response.raise_for_status()
        return {json.loads(line)["cid"] for line in response.text.splitlines() if line}


@dataclass(slots=True)
class Cluster:
    """Its peers, and what their maintainers sign."""

    directory: Path
    peers: list[Peer]
    genesis: Genesis
    nonces: Iterator[bytes] = field(
        default_factory=lambda: iter(lambda: secrets.token_bytes(16), b"")
    )

    def fill(self, blocks: Iterable[Block], *, only: Sequence[int] | None = None) -> None:
        """Put blocks into the stores of peers that do not run."""
        wanted = list(blocks)
        for peer in self.peers:
            if only is None or peer.index in only:
                with EmbeddedStore(peer.directory / "blocks", 1 << 30) as store:
                    store.put_many(wanted)

    def start(self) -> None:
        for peer in self.peers:
            peer.start()
        self.wait_linked()

    def wait_linked(self) -> None:
        """Return when every peer that runs is linked to every other that does."""
        running = [peer for peer in self.peers if peer.process is not None]

        def linked() -> bool:
            return all(
                sum(link["connected"] for link in peer.status()["links"]) >= len(running) - 1
                for peer in running
            )

        self.wait_until(linked, timeout_s=START_S)

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = WAIT_S) -> None:
        """Return when ``condition`` holds; a peer that does not answer yet means it does not."""
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                if condition():
                    return
            except (httpx.HTTPError, OSError):
                pass
            for peer in self.peers:
                if peer.process is not None and peer.process.poll() is not None:
                    raise AssertionError(f"peer {peer.index} ended:\n{peer.log[-3000:]}")
            if time.monotonic() > end_s:
                logs = "\n".join(f"--- {peer.index}\n{peer.log[-1500:]}" for peer in self.peers)
                raise AssertionError(f"did not happen in {timeout_s} s:\n{logs}")
            pause(0.05)

    def wait_level(self) -> int:
        """Return the position at which all running peers stand still together."""
        seen: list[set[int]] = []

        def level() -> bool:
            seen.append({peer.executed() for peer in self.peers if peer.process is not None})
            return len(seen) > 3 and len(seen[-1]) == 1 and seen[-1] == seen[-4]

        self.wait_until(level)
        return seen[-1].pop()

    def stop(self) -> list[float]:
        """Stop what runs, all at once; return how long each took."""
        running = [peer for peer in self.peers if peer.process is not None]
        begin = time.monotonic()
        for peer in running:
            assert peer.process is not None
            peer.process.terminate()
        taken = []
        for peer in running:
            assert peer.process is not None
            code = peer.process.wait(30)
            taken.append(time.monotonic() - begin)
            peer.process = None
            assert code == 0, f"peer {peer.index} ended with {code}:\n{peer.log[-2000:]}"
        return taken

    def certificate(
        self,
        operation: Operation,
        *,
        by: Sequence[str] = ("alice", "bob"),
        expires_in_ms: int = DAY_MS,
    ) -> bytes:
        """Return a complete request with the approvals of ``by``."""
        now_ms = time.time_ns() // 1_000_000
        policy = self.genesis.policy
        intent = Intent(
            cluster_id=self.genesis.cluster_id,
            policy_version=policy.version,
            policy_hash=policy.hash,
            operation=operation.to_bytes(),
            nonce=next(self.nonces),
            not_before_ms=now_ms + min(0, expires_in_ms) - 10_000,
            expires_ms=now_ms + expires_in_ms,
        ).to_bytes()
        votes = [approve(intent, MAINTAINERS[name]) for name in by]
        signatures = {vote.maintainer: vote.signature for vote in votes}
        certificate = scheme_of(policy).combine(intent, signatures, policy)
        return Submit(certificate=certificate).to_bytes()

    def pin(self, cid: Cid, **options: Any) -> bytes:
        """Return a request that pins ``cid`` everywhere, or where ``options`` say."""
        options = {"replication_min": EVERYWHERE, "replication_max": EVERYWHERE} | options
        return self.certificate(PinOperation(cid=cid, name="test", **options))

    def submit(self, request: bytes, *, at: int = 0, timeout_s: float = 20) -> dict[str, Any]:
        """Hand in one request; return what became of it."""
        response = httpx.post(
            f"{self.peers[at].url}/operations?timeout={timeout_s:.0f}",
            content=request,
            timeout=timeout_s + 10,
            trust_env=False,
        )
        response.raise_for_status()
        outcome: dict[str, Any] = response.json()
        return outcome

    def submit_many(self, requests: Sequence[bytes], *, at: int = 0) -> list[dict[str, Any]]:
        body = b"".join(map(write_frame, requests))
        response = httpx.post(
            f"{self.peers[at].url}/operations",
            content=body,
            headers=FRAMES,
            timeout=60,
            trust_env=False,
        )
        response.raise_for_status()
        return [json.loads(line) for line in response.text.splitlines()]

    def states(self) -> list[str]:
        """Return a hash of everything each (stopped) peer's ledger replicates."""
        return [_state_of(peer.directory / "ledger.db") for peer in self.peers]

    def configure(self, section: str, key: str, value: str, *, only: int | None = None) -> None:
        """Set one key in the config of peers that do not run."""
        for peer in self.peers:
            if only in (None, peer.index):
                path = peer.directory / "config.toml"
                lines = path.read_text().splitlines()
                start = lines.index(f"[{section}]")
                names = (f"{key} = ", f"# {key} = ")
                [place] = [
                    number
                    for number, line in enumerate(lines)
                    if number > start
                    and line.startswith(names)
                    and not any(other.startswith("[") for other in lines[start + 1 : number])
                ]
                lines[place] = f"{key} = {value}"
                path.write_text("\n".join(lines) + "\n")


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


@contextmanager
def made(directory: Path, *, quota: str = "1GB", quotas: Sequence[str] = ()) -> Iterator[Cluster]:
    """Make a cluster that does not run yet; whatever runs in the end is killed."""
    ports = free_ports(2 * PEERS)
    peers = [
        Peer(index, directory / f"peer{index}", ports[2 * index], ports[2 * index + 1])
        for index in range(PEERS)
    ]
    for peer in peers:
        size = quotas[peer.index] if quotas else quota
        command(
            *("peer", "init", str(peer.directory), "--quota", size),
            *("--listen", f"/ip4/127.0.0.1/tcp/{peer.listen_port}"),
            *("--api", f"127.0.0.1:{peer.api_port}"),
        )
    genesis = directory / "genesis.cbor"
    command(
        *("cluster", "init", "--name", "test", "--threshold", str(THRESHOLD)),
        *(f"--maintainer={name}={_text(key)}" for name, key in MAINTAINERS.items()),
        *(f"--peer={peer.directory / 'peer.txt'}" for peer in peers),
        *("--output", str(genesis)),
    )
    for peer in peers:
        command("peer", "init", str(peer.directory), "--genesis", str(genesis))
    cluster = Cluster(directory, peers, Genesis.from_bytes(genesis.read_bytes()))
    cluster.configure("log", "level", '"warning"')
    try:
        yield cluster
    finally:
        for peer in peers:
            if peer.process is not None:
                peer.kill()


def command(*words: str) -> list[dict[str, Any]]:
    """Run a command that must succeed, in this process; return its JSON."""
    code, out, err = tried(*words, "--json")
    assert code == 0, f"`bftcluster {' '.join(words)}` ended with {code}: {err}"
    return [json.loads(line) for line in out.splitlines()]


def tried(*words: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def run_peer(directory: Path, *, timeout_s: float = 30) -> tuple[int, str]:
    """Run a peer that should end by itself; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "bftcluster_cli", "peer", "run", str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(),
        check=False,
    )
    return done.returncode, done.stderr


def environment() -> dict[str, str]:
    """Return an environment in which a process finds the code under test, as this one does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BFTCLUSTER_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def tiny_blocks(count: int, label: str = "block") -> list[Block]:
    """Return small blocks, no two alike."""
    data = [f"{label} {number}".encode() for number in range(count)]
    return [Block(cids.of_block(each), each) for each in data]


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody uses."""
    found: set[int] = set()
    while len(found) < count:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)


def pause(seconds: float) -> None:
    """Wait between two looks at a process that cannot call back."""
    threading.Event().wait(seconds)


def _text(key: SigningKey) -> str:
    return maintainer_text(MaintainerId(key.public_key))


def _state_of(database: Path) -> str:
    digest = hashlib.sha256()
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT space, key, value FROM state WHERE space != ? ORDER BY space, key",
            (int(Space.TREE_PENDING),),  # how executions were grouped, which is each peer's own
        )
        for space, key, value in rows:
            digest.update(f"{space} {key.hex()} {value.hex()}\n".encode())
    return digest.hexdigest()
