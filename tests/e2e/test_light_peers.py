"""A peer without a ledger keeps pins, and is seen to: real processes, real sockets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bftcluster_cli.demo.cluster import last
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerProcess, stop_all
from tests.e2e.membership_cluster import FOUNDERS, GrowingCluster, new_cluster

pytestmark = pytest.mark.slow

INTERVAL = 256


@dataclass(slots=True)
class LightCluster(GrowingCluster):
    """Four founders, of which two are relays, and a light peer that dials these."""

    def init(self, peer: PeerProcess, *options: str) -> None:
        is_relay = peer in self.peers[:2]
        GrowingCluster.init(self, peer, *options, *(["--relay"] if is_relay else []))

    def start_light(self, light: PeerProcess, *relays: PeerProcess) -> None:
        """Make a light peer, have it admitted, and start it."""
        options = ["--genesis", str(self.genesis)]
        for relay in relays:
            options += ["--bootstrap", str(relay.directory / "peer.txt")]
        GrowingCluster.init(self, light, *options)
        self.decide(self.peers[0], "admit", str(light.directory / "peer.txt"), "--light")
        light.start()

    def has_joined(self, name: str) -> bool:
        members = self.run("cluster", "members", at=self.peers[0])
        return any(each["name"] == name and each.get("joined") for each in members)

    def holders(self, names: list[str]) -> list[str]:
        """Return the options of a pin that these are to hold, and nobody else."""
        members = self.run("cluster", "members", at=self.peers[0])
        ids = {str(each["name"]): str(each["id"]) for each in members}
        count = str(len(names))
        chosen = ",".join(ids[name] for name in names)
        return ["--rmin", count, "--rmax", count, "--allocations", chosen]

    def approved(self, *words: str, at: PeerProcess | None = None) -> str:
        """Have alice propose a pin and bob approve it; return its CID."""
        peer = at or self.peers[0]
        proposed = last(self.run(*words, "--yes", by="alice", at=peer))
        digest = str(proposed["proposal"])[:16]
        last(self.run("pin", "approve", digest, "--yes", by="bob", at=peer))
        return str(proposed["cid"])

    def pin(self, path: Path, names: list[str], *, at: PeerProcess | None = None) -> str:
        """Add and approve a file for these holders; return its CID."""
        return self.approved("add", str(path), *self.holders(names), at=at)

    def is_pinned(self, cid: str, name: str) -> bool:
        """Return whether a peer has reported a pin, as another one knows."""
        with self.client(self.peers[3]) as client:
            record = client.get(f"/pins/{cid}")
        statuses = {p["peername"]: p["status"] for p in record["peer_map"].values()}
        return statuses.get(name) == "pinned"

    def has_blocks(self, peer: PeerProcess) -> bool:
        return bool(self.status(peer)["storage"]["blocks"])


def light_process(directory: Path, number: int = 1) -> PeerProcess:
    listen, api = free_ports(2)
    name = f"light{number}"
    return PeerProcess(name, directory / name, listen, api, noun="light")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LightCluster]:
    cluster = new_cluster(tmp_path, FOUNDERS, kind=LightCluster)
    try:
        yield cluster
    finally:
        stop_all(cluster.peers)


def test_a_light_peer_keeps_a_pin_and_is_seen_to(cluster: LightCluster, tmp_path: Path) -> None:
    cluster.found(FOUNDERS, checkpoint_interval=INTERVAL)
    light = light_process(tmp_path)
    try:
        cluster.start_light(light, *cluster.peers[:2])
        cluster.wait_for("joining", light, lambda: cluster.has_joined("light1"))
        content = tmp_path / "content"
        content.write_bytes(b"kept by a peer without a ledger" * 30_000)

        cid = cluster.pin(content, ["light1", "peer1"])

        cluster.wait_for("pinning", light, lambda: cluster.is_pinned(cid, "light1"))
        stop_all([light])
        assert (light.directory / "light.cbor").exists()
        light.start()
        again = tmp_path / "again"
        again.write_bytes(b"kept after a restart" * 1_000)
        cid = cluster.pin(again, ["light1", "peer4"])
        cluster.wait_for("pinning again", light, lambda: cluster.is_pinned(cid, "light1"))
    finally:
        stop_all([light])


def test_what_light_peers_alone_hold_is_read_through_their_relays(
    cluster: LightCluster, tmp_path: Path
) -> None:
    """One dials the first relay only, the other the second; nobody else is to hold anything."""
    cluster.found(FOUNDERS, checkpoint_interval=INTERVAL)
    first, second = lights = [light_process(tmp_path, number) for number in (1, 2)]
    uploader = cluster.peers[2]
    try:
        for light, relay in zip(lights, cluster.peers, strict=False):
            cluster.start_light(light, relay)
        for light in lights:
            cluster.wait_for("joining", light, lambda: cluster.has_joined(light.name))  # noqa: B023
        content = tmp_path / "content"
        content.write_bytes(bytes(range(256)) * 4_000)

        cid = cluster.pin(content, ["light1"], at=uploader)
        cluster.wait_for("pinning", first, lambda: cluster.is_pinned(cid, "light1"))
        cluster.wait_for("giving up", uploader, lambda: not cluster.has_blocks(uploader))

        cluster.approved("pin", "add", cid, *cluster.holders(["light1", "light2"]))
        cluster.wait_for("moving", second, lambda: cluster.is_pinned(cid, "light2"))
    finally:
        stop_all(lights)
