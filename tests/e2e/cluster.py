"""Four peers as users run them: made by the command, one process each, on loopback."""

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bftcluster import cid as cids
from bftcluster.api.frames import write_frame
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import Cid
from bftcluster.ids import MaintainerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import EVERYWHERE, Operation, PinOperation
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import CHECKPOINT_INTERVAL_SEQS
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.keys import SigningKey, maintainer_text
from bftcluster.signing.schemes import scheme_of
from bftcluster_cli.demo.ports import free_ports
from tests.e2e.processes import Peer, command, pause

PEERS = 4
THRESHOLD = 2
START_S = 60
WAIT_S = 60
STILL_S = 1.5
LEVEL_STOPS_MAX = 5
"""Longer than `tracker.report_interval_ms`, which is a second."""
DAY_MS = 86_400_000
FRAMES = {"content-type": "application/vnd.bftcluster.frames"}


def maintainer(name: str) -> SigningKey:
    """Return the key that ``name`` always has."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


MAINTAINERS = {name: maintainer(name) for name in ("alice", "bob", "carol")}


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
        """Return the position at which all running peers stand still together.

        For longer than the pause between two reports: one that is ordered while they are being
        stopped would leave some with it and some without.
        """
        seen: set[int] = set()
        since_s = time.monotonic()

        def level() -> bool:
            nonlocal seen, since_s
            now = {peer.executed() for peer in self.peers if peer.process is not None}
            if now != seen:
                seen, since_s = now, time.monotonic()
            return len(now) == 1 and time.monotonic() - since_s > STILL_S

        self.wait_until(level)
        return seen.pop()

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

    def stop_level(self) -> None:
        """Stop all peers at one position: start again, and wait, if an entry came in between."""
        for _ in range(LEVEL_STOPS_MAX):
            self.wait_level()
            self.stop()
            if len(set(self.positions())) == 1:
                return
            self.start()
        raise AssertionError(f"something is ordered again and again: {self.positions()}")

    def positions(self) -> list[int]:
        """Return the last entry that each (stopped) peer's ledger has executed."""
        return [_position_of(peer.directory / "ledger.db") for peer in self.peers]

    def certificate(
        self,
        operation: Operation,
        *,
        by: Sequence[str] = ("alice", "bob"),
        expires_in_ms: int = DAY_MS,
    ) -> bytes:
        """Return a complete request with the approvals of ``by``."""
        policy, nonce = self.genesis.policy, next(self.nonces)
        of = intent_of(self.genesis, operation, nonce, expires_in_ms=expires_in_ms)
        intent = of.to_bytes()
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
        """Return a hash of everything each peer's ledger replicates, after `stop_level`."""
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


@contextmanager
def made(
    directory: Path,
    *,
    quota: str = "1GB",
    quotas: Sequence[str] = (),
    checkpoint_interval: int = CHECKPOINT_INTERVAL_SEQS,
) -> Iterator[Cluster]:
    """Make a cluster that keeps all at every peer and does not run yet; in the end it is killed."""
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
        *("--checkpoint-interval", str(checkpoint_interval)),
        *("--rmin", "-1"),
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


def intent_of(
    genesis: Genesis, operation: Operation, nonce: bytes, *, expires_in_ms: int
) -> Intent:
    """Return an intent that is valid already, or was, if it has expired."""
    now_ms = time.time_ns() // 1_000_000
    return Intent(
        cluster_id=genesis.cluster_id,
        policy_version=genesis.policy.version,
        policy_hash=genesis.policy.hash,
        operation=operation.to_bytes(),
        nonce=nonce,
        not_before_ms=now_ms + min(0, expires_in_ms) - 10_000,
        expires_ms=now_ms + expires_in_ms,
    )


@contextmanager
def filled(directory: Path, count: int) -> Iterator[tuple[Cluster, list[Block]]]:
    """Make a cluster that runs, and whose peers hold so many small blocks, which nobody pinned."""
    with made(directory) as cluster:
        blocks = tiny_blocks(count)
        cluster.fill(blocks)
        cluster.start()
        yield cluster, blocks


def tiny_blocks(count: int, label: str = "block") -> list[Block]:
    """Return small blocks, no two alike."""
    data = [f"{label} {number}".encode() for number in range(count)]
    return [Block(cids.of_block(each), each) for each in data]


def _text(key: SigningKey) -> str:
    return maintainer_text(MaintainerId(key.public_key))


def _position_of(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        [(value,)] = connection.execute("SELECT value FROM meta WHERE name = 'position'")
        return int.from_bytes(value, "big")


def _state_of(database: Path) -> str:
    digest = hashlib.sha256()
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT space, key, value FROM state WHERE space NOT IN (?, ?, ?) ORDER BY space, key",
            # How executions were grouped, who signed, and what is kept for whoever fetches, is
            # each peer's own.
            (int(Space.TREE_PENDING), int(Space.EPOCH_LINK), int(Space.EARLIER)),
        )
        for space, key, value in rows:
            digest.update(f"{space} {key.hex()} {value.hex()}\n".encode())
    return digest.hexdigest()
