"""More disks are lost than a cluster can bear, and it goes on: real processes and disks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bftcluster import cid as cids
from bftcluster_cli.demo.cluster import CommandFailedError, last
from bftcluster_cli.demo.processes import PeerProcess, stop_all
from tests.e2e.membership_cluster import GrowingCluster, Trickle, growing, stop_level

pytestmark = pytest.mark.slow

INTERVAL = 8
CONTENT = b"held by those who are left\n" * 100_000


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[GrowingCluster]:
    with growing(tmp_path) as cluster:
        yield cluster


def stop(*peers: PeerProcess) -> None:
    stop_all(peers)


def pinned(cluster: GrowingCluster, peer: PeerProcess) -> set[str]:
    with cluster.client(peer) as client:
        return {str(record["cid"]) for record in client.lines("/allocations")}


def is_healthy(cluster: GrowingCluster, peer: PeerProcess) -> bool:
    with cluster.client(peer) as client:
        return client.is_healthy()


def point_of(cluster: GrowingCluster, peer: PeerProcess) -> Path:
    path = cluster.directory / f"{peer.name}.point"
    cluster.run("peer", "recovery-point", str(peer.directory), "--output", str(path))
    return path


def offline(cluster: GrowingCluster, *words: str, by: str) -> None:
    cluster.run(*words, "--genesis", str(cluster.genesis), "--yes", by=by)


def ordered(cluster: GrowingCluster, at: PeerProcess, number: int) -> str:
    """Have one pin ordered; return its CID."""
    trickle = Trickle(cluster, [at])
    cid = cids.of_block(f"after {number}".encode())
    response = httpx.post(
        f"{at.api}/operations",
        params={"wait": "committed", "timeout": "30"},
        content=trickle.request(cid, number),
        timeout=40,
    )
    assert response.json().get("code") == "committed", response.text
    return cids.text(cid)


def held_by(cluster: GrowingCluster, *peers: PeerProcess, added_at: PeerProcess) -> str:
    """Have something pinned behind the last checkpoint that these peers hold; return its CID."""
    source = cluster.directory / "content"
    source.write_bytes(CONTENT)
    ids = ",".join(str(cluster.status(peer)["peer"]) for peer in peers)
    words = ("add", str(source), "--allocs", ids, "--yes")
    proposal = last(cluster.run(*words, by="alice", at=added_at))
    cluster.run("pin", "approve", str(proposal["proposal"])[:16], "--yes", by="bob", at=added_at)
    cid = str(proposal["cid"])
    cluster.run("pin", "status", cid, "--wait", at=added_at)
    return cid


def test_a_cluster_that_lost_two_of_five_disks_goes_on_with_two_new_keys(
    cluster: GrowingCluster,
) -> None:
    cluster.found(5, checkpoint_interval=INTERVAL)
    one, two, away, *lost, six, seven = cluster.peers
    before = {ordered(cluster, one, number) for number in range(1000, 1000 + INTERVAL)}
    stop(away)
    before |= {ordered(cluster, two, number) for number in range(2000, 2000 + INTERVAL + 5)}
    content = held_by(cluster, one, two, added_at=lost[0])
    for peer in lost:
        peer.kill()
        shutil.rmtree(peer.directory)
    stop(one, two)

    points = [str(point_of(cluster, peer)) for peer in (one, two)]
    for peer in (six, seven):
        cluster.init(
            peer, *("--genesis", str(cluster.genesis)),
            *("--bootstrap", str(one.directory / "peer.txt")),
            *("--bootstrap", str(two.directory / "peer.txt")),
        )  # fmt: skip
    recovery = cluster.directory / "our.recovery"
    offline(
        cluster, "cluster", "recover", *points, "--output", str(recovery),
        *("--peer", str(six.directory / "peer.txt"), "--peer", str(seven.directory / "peer.txt")),
        *("--lost", "peer4", "--lost", "peer5"), by="alice",
    )  # fmt: skip
    with pytest.raises(CommandFailedError, match="1 of 2 required signatures"):
        cluster.run("peer", "recover", str(one.directory), str(recovery), "--yes")
    offline(cluster, "pin", "sign", str(recovery), by="bob")
    voters = (one, two, six, seven)
    for peer in voters:
        [applied] = cluster.run("peer", "recover", str(peer.directory), str(recovery), "--yes")
        assert applied["applied"] is True
    [again] = cluster.run("peer", "recover", str(one.directory), str(recovery), "--yes")
    assert again["applied"] is False
    for peer in voters:
        peer.start()
    for peer in voters:
        cluster.wait_for("serving", peer, lambda peer=peer: is_healthy(cluster, peer))  # type: ignore[misc]

    after = ordered(cluster, six, 3000)
    away.start()
    everybody = (*voters, away)
    for peer in everybody:
        cluster.wait_for(
            "having every pin",
            peer,
            lambda peer=peer: before | {after} <= pinned(cluster, peer),  # type: ignore[misc]
        )
    cluster.run("pin", "status", content, "--wait", at=seven)
    for peer in everybody:
        got = cluster.directory / f"got from {peer.name}"
        cluster.run("get", content, "--output", str(got), at=peer)
        assert got.read_bytes() == CONTENT
    members = cluster.members(one)
    assert sorted(members) == ["peer1", "peer2", "peer3", "peer6", "peer7"]
    assert {name for name, each in members.items() if each["votes"]} == {
        peer.name for peer in voters
    }
    assert len(stop_level(cluster, everybody)) == 1
