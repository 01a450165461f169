"""A cluster of real processes that grows and shrinks while it is used."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bftcluster import cid as cids
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.requests import Submit
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.signing.approvals import approve
from bftcluster.signing.keyfile import unseal
from bftcluster.signing.keys import Ed25519Verifier, SigningKey
from bftcluster.signing.schemes import certify
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster_cli.demo.cluster import MAINTAINERS, DemoCluster, last, start
from bftcluster_cli.demo.narrator import Narrator
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerProcess, stop_all
from bftcluster_cli.main import main
from tests.e2e.cluster import LEVEL_STOPS_MAX, intent_of

FOUNDERS = 4
TIMEOUT_S = 90.0


class GrowingCluster(DemoCluster):
    """The demonstration's cluster, with peers that come later."""

    def found(self, count: int, *, checkpoint_interval: int) -> None:
        """Make keys, ``count`` founding peers and the genesis, and start them."""
        self.passphrase.parent.mkdir(mode=0o700)
        self.passphrase.write_text("correct horse battery staple\n")
        for name in MAINTAINERS:
            self.run("key", "new", name, "--output", str(self.key(name)), "--strength",
                     "interactive")  # fmt: skip
        everybody, self.peers = self.peers, self.peers[:count]
        words = ["cluster", "init", "--name", "growing", "--threshold", "2", "--rmin", "2",
                 "--rmax", "2", "--checkpoint-interval", str(checkpoint_interval)]  # fmt: skip
        for name in MAINTAINERS:
            words += ["--maintainer", str(self.key(name).with_suffix(".pub"))]
        for peer in self.peers:
            self.init(peer)
            words += ["--peer", str(peer.directory / "peer.txt")]
        self.run(*words, "--output", str(self.genesis))
        for peer in self.peers:
            self.init(peer, "--genesis", str(self.genesis))
        start(self)
        self.peers = everybody

    def init(self, peer: PeerProcess, *options: str) -> None:
        self.run(
            "peer", "init", str(peer.directory), "--name", peer.name, "--listen", peer.listen,
            "--api", f"127.0.0.1:{peer.api_port}", "--quota", "1GB", *options,
        )  # fmt: skip

    def start_later(self, peer: PeerProcess, *members: PeerProcess) -> None:
        """Make and start a peer that is not in the genesis."""
        options = ["--genesis", str(self.genesis)]
        for member in members:
            options += ["--bootstrap", str(member.directory / "peer.txt")]
        self.init(peer, *options)
        peer.start()

    def decide(self, at: PeerProcess, *words: str) -> dict[str, object]:
        """Have alice propose and bob approve; return what became of it."""
        proposed = last(self.run("cluster", *words, "--yes", by="alice", at=at))
        digest = str(proposed["proposal"])[:16]
        return last(self.run("pin", "approve", digest, "--yes", by="bob", at=at))

    def executed(self, peer: PeerProcess) -> int:
        return int(str(self.status(peer)["last_executed"]))

    def role(self, peer: PeerProcess) -> str:
        return str(self.status(peer)["role"])

    def members(self, at: PeerProcess) -> dict[str, dict[str, object]]:
        return {str(each["name"]): each for each in self.run("cluster", "members", at=at)}


def new_cluster(
    directory: Path, count: int, *, kind: type[GrowingCluster] = GrowingCluster
) -> GrowingCluster:
    ports = free_ports(2 * count)
    peers = tuple(
        PeerProcess(f"peer{i + 1}", directory / f"peer{i + 1}", ports[2 * i], ports[2 * i + 1])
        for i in range(count)
    )
    narrator = Narrator()
    return kind(
        directory=directory, peers=peers, narrator=narrator, timeout_s=TIMEOUT_S, command=main
    )


@contextmanager
def growing(directory: Path) -> Iterator[GrowingCluster]:
    """Make a cluster of seven peers that do not run yet; those that run in the end are stopped."""
    cluster = new_cluster(directory, 7)
    try:
        yield cluster
    finally:
        stop_all(cluster.peers)


class Trickle:
    """Pins, one after the other, from a thread of its own; remembers what was acknowledged."""

    def __init__(self, cluster: GrowingCluster, at: Sequence[PeerProcess]) -> None:
        self._genesis = Genesis.from_bytes(cluster.genesis.read_bytes())
        passphrase = cluster.passphrase.read_bytes().strip()
        self._keys = [
            SigningKey(unseal(cluster.key(name).read_bytes(), passphrase).secret)
            for name in MAINTAINERS[:2]
        ]
        self._apis = [peer.api for peer in at]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[cids.Cid] = []
        self.refused: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with httpx.Client(timeout=30) as client:
            while not self._stop.wait(0.05):
                number += 1
                cid = cids.of_block(f"trickle {number}".encode())
                api = self._apis[number % len(self._apis)]
                response = client.post(
                    f"{api}/operations",
                    params={"wait": "committed", "timeout": "20"},
                    content=self.request(cid, number),
                )
                code = response.json().get("code")
                if code == "committed":
                    self.acknowledged.append(cid)
                else:
                    self.refused.append(response.text)

    def request(self, cid: cids.Cid, number: int) -> bytes:
        policy = self._genesis.policy
        operation = PinOperation(cid=cid, name=f"trickle {number}")
        nonce = number.to_bytes(16, "big")
        data = intent_of(self._genesis, operation, nonce, expires_in_ms=3_600_000).to_bytes()
        approvals = [approve(data, key) for key in self._keys]
        return Submit(certificate=certify(data, approvals, policy, Ed25519Verifier())).to_bytes()


def stop_level(
    cluster: GrowingCluster, peers: Sequence[PeerProcess]
) -> set[tuple[Seq, Digest, Digest | None]]:
    """Stop ``peers`` at one position: start again, and wait, if an entry came in between.

    Returns:
        Their states there: one, if they agree.
    """
    for _ in range(LEVEL_STOPS_MAX):
        cluster.wait_for(
            "being level", peers[0], lambda: len({cluster.executed(peer) for peer in peers}) == 1
        )
        stop_all(peers)
        states = {_state_of(cluster, peer) for peer in peers}
        if len({seq for seq, _, _ in states}) == 1:
            return states
        for peer in peers:
            peer.start()
    raise AssertionError(f"something is ordered again and again: {states}")


def _state_of(cluster: GrowingCluster, peer: PeerProcess) -> tuple[Seq, Digest, Digest | None]:
    """Return how far a stopped peer is, its hash over the whole log, and its last state root."""
    genesis = Genesis.from_bytes(cluster.genesis.read_bytes())
    url = f"sqlite:///{peer.directory / 'ledger.db'}"
    store = LedgerStore.open(url, genesis=genesis.to_bytes())
    try:
        verifier = ApprovalVerifier(genesis.cluster_id, Ed25519Verifier())
        ledger = Ledger(genesis, store, verifier)
        return ledger.head.seq, ledger.head.chain, ledger.checkpoint_root()
    finally:
        store.close()
