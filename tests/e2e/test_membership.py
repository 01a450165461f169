"""Peers come and go while the cluster is used: real processes, real sockets, real disks."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bftcluster import cid as cids
from tests.e2e.membership_cluster import GrowingCluster, Trickle, growing, stop_level

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[GrowingCluster]:
    with growing(tmp_path) as cluster:
        yield cluster


def pinned(cluster: GrowingCluster, at: int) -> set[str]:
    with cluster.client(cluster.peers[at]) as client:
        return {str(record["cid"]) for record in client.lines("/allocations")}


def wait_for_role(cluster: GrowingCluster, number: int, role: str) -> None:
    peer = cluster.peers[number]
    cluster.wait_for(f"becoming {role}", peer, lambda: cluster.role(peer) == role)


def test_three_are_admitted_and_one_is_removed_while_pins_come_in(cluster: GrowingCluster) -> None:
    cluster.found(4, checkpoint_interval=16)
    first, leaver, *_ = cluster.peers
    trickle = Trickle(cluster, [first, cluster.peers[2]])
    trickle.start()
    try:
        for number in (4, 5, 6):
            newcomer = cluster.peers[number]
            cluster.start_later(newcomer, first, cluster.peers[2])
            outcome = cluster.decide(first, "admit", str(newcomer.directory / "peer.txt"))
            assert outcome["code"] == "committed"
            wait_for_role(cluster, number, "replica")
        assert cluster.decide(first, "remove", leaver.name)["code"] == "committed"
        wait_for_role(cluster, 1, "removed")
        gone = cluster.wait_for
        gone("leaving", first, lambda: leaver.name not in cluster.members(first))
    finally:
        trickle.stop()

    assert trickle.refused == []
    remaining = [peer for peer in cluster.peers if peer is not leaver]
    members = cluster.members(first)
    assert sorted(members) == sorted(peer.name for peer in remaining)
    assert all(each["votes"] for each in members.values())
    assert members["peer7"]["since_epoch"] == 3

    def agree() -> bool:
        return len({cluster.status(peer)["epoch"] for peer in remaining}) == 1

    cluster.wait_for("agreeing", first, agree)
    acknowledged = {cids.text(cid) for cid in trickle.acknowledged}
    assert acknowledged
    for number in range(7):
        if cluster.peers[number] is not leaver:
            assert acknowledged <= pinned(cluster, number)
    for record in httpx.get(f"{first.api}/allocations").text.splitlines():
        assert leaver.name not in record
    assert len(stop_level(cluster, remaining)) == 1


def test_a_storage_peer_joins_with_its_capacity_and_never_votes(cluster: GrowingCluster) -> None:
    cluster.found(4, checkpoint_interval=16)
    first, volunteer = cluster.peers[0], cluster.peers[4]
    cluster.start_later(volunteer, first)
    cluster.wait_for("following", volunteer, lambda: cluster.role(volunteer) == "not admitted")

    outcome = cluster.decide(first, "admit", str(volunteer.directory / "peer.txt"), "--no-vote")

    assert outcome["code"] == "committed"
    wait_for_role(cluster, 4, "storage")
    cluster.wait_for(
        "joining", first, lambda: bool(cluster.members(first)[volunteer.name]["joined"])
    )
    assert not cluster.members(first)[volunteer.name]["votes"]


def test_an_idle_cluster_takes_a_new_replica_in(cluster: GrowingCluster) -> None:
    cluster.found(4, checkpoint_interval=128)
    first, newcomer = cluster.peers[0], cluster.peers[4]
    cluster.start_later(newcomer, first)

    cluster.decide(first, "admit", str(newcomer.directory / "peer.txt"))

    wait_for_role(cluster, 4, "replica")
    assert cluster.status(newcomer)["epoch"] == 1
