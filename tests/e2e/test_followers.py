"""Peers that do not vote follow, and a peer that stands still costs no view: real processes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster_cli.demo.processes import stop_all
from tests.e2e.cluster import filled
from tests.e2e.load import Load
from tests.e2e.membership_cluster import FOUNDERS, GrowingCluster, Trickle, new_cluster

pytestmark = pytest.mark.slow

STORAGE_PEERS = 8
PINS = 20


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[GrowingCluster]:
    cluster = new_cluster(tmp_path, FOUNDERS + STORAGE_PEERS)
    try:
        yield cluster
    finally:
        stop_all(cluster.peers)


def test_a_cluster_with_twice_as_many_storage_peers_orders_without_a_change_of_view(
    cluster: GrowingCluster,
) -> None:
    cluster.found(FOUNDERS, checkpoint_interval=128)
    first, volunteers = cluster.peers[0], cluster.peers[FOUNDERS:]
    for volunteer in volunteers:
        cluster.start_later(volunteer, first)
        cluster.decide(first, "admit", str(volunteer.directory / "peer.txt"), "--no-vote")
        cluster.wait_for("following", volunteer, lambda: cluster.role(volunteer) == "storage")  # noqa: B023

    trickle = Trickle(cluster, [first, volunteers[0]])
    trickle.start()
    try:
        cluster.wait_for("pins", first, lambda: len(trickle.acknowledged) >= PINS)
    finally:
        trickle.stop()

    assert trickle.refused == []
    wanted = {cids.text(cid) for cid in trickle.acknowledged}
    for peer in cluster.peers:
        with cluster.client(peer) as client:
            cluster.wait_for(
                "knowing all",
                peer,
                lambda: wanted <= {str(r["cid"]) for r in client.lines("/allocations")},
            )
        assert cluster.status(peer)["view"] == 0


def test_a_backup_that_stands_still_costs_no_view(tmp_path: Path) -> None:
    with filled(tmp_path, 50 * PINS) as (cluster, blocks):
        status = cluster.peers[0].status()
        names = {peer.status()["peer"]: peer for peer in cluster.peers}
        victim = next(p for p in cluster.peers[1:] if p is not names[status["primary"]])
        assert victim.process is not None
        with Load(cluster, [block.cid for block in blocks], at=[0]) as load:
            victim.process.send_signal(signal.SIGSTOP)
            load.wait_for(PINS)
            view = cluster.peers[0].status()["view"]
            victim.process.send_signal(signal.SIGCONT)

        assert view == status["view"] == 0
