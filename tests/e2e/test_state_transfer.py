"""A peer that starts with nothing gets the state itself: the others' logs do not reach back."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bftcluster_cli.demo.processes import PeerProcess, stop_all
from tests.e2e.cluster import Cluster, made, tiny_blocks
from tests.e2e.load import Load
from tests.e2e.membership_cluster import GrowingCluster, Trickle, new_cluster, stop_level
from tests.e2e.processes import Peer

pytestmark = pytest.mark.slow

PINS = 2_000
INTERVAL_SEQS = 8
"""A transfer takes longer than that, and the cluster moves on meanwhile."""
LATE = 3
OTHERS = range(3)


def log_of(peer: Peer | PeerProcess) -> tuple[int, int]:
    """Return the first entry of a stopped peer's log, and how many there are."""
    with closing(sqlite3.connect(peer.directory / "ledger.db")) as connection:
        first, last, count = connection.execute(
            "SELECT min(seq), max(seq), count(*) FROM log"
        ).fetchone()
    assert count == last - first + 1, "the log has no gaps"
    return first, count


def start_without_the_last(cluster: Cluster) -> None:
    cluster.configure("storage", "keep_log", '"2"')
    cluster.configure("pbft", "batch_requests_max", "2")
    cluster.configure("log", "levels", '{ transfer = "info", node = "info" }', only=LATE)
    for index in OTHERS:
        cluster.peers[index].start()
    cluster.wait_linked()


def test_an_empty_peer_reaches_the_same_state_under_load(tmp_path: Path) -> None:
    with made(tmp_path, checkpoint_interval=INTERVAL_SEQS) as cluster:
        blocks = tiny_blocks(PINS)
        cluster.fill(blocks)
        start_without_the_last(cluster)
        late = cluster.peers[LATE]
        replayed = cluster.pin(tiny_blocks(1, "replayed")[0].cid)
        assert cluster.submit(replayed)["code"] == "committed"
        with Load(cluster, [block.cid for block in blocks], at=[0, 1]) as load:
            load.wait_for(200)
            behind = cluster.peers[0].executed()
            late.start()
            cluster.wait_until(lambda: late.executed() > behind)
            load.wait_for(20)
        cluster.wait_level()
        cluster.stop()
        cluster.start()  # so that no pool remembers the request: only the state can
        again = cluster.submit(replayed, at=LATE)
        cluster.peers[0].stop()
        assert cluster.submit(cluster.pin(blocks[0].cid), at=LATE)["code"] == "committed"
        cluster.peers[0].start()
        cluster.wait_linked()
        cluster.wait_level()
        acknowledged = {cid for _, cid in load.acknowledged}
        assert acknowledged <= late.pinned()
        cluster.stop_level()

        assert load.count < PINS, "the load went on while the state was fetched"
        assert again["code"] == "replayed"
        assert "installed the state that was fetched" in late.log
        assert len(set(cluster.states())) == 1
        first, _ = log_of(late)
        assert first > 1
        assert all(log_of(peer)[1] <= 4 * INTERVAL_SEQS for peer in cluster.peers)


class PruningCluster(GrowingCluster):
    """Peers that keep little of their log."""

    def init(self, peer: PeerProcess, *options: str) -> None:
        super().init(peer, *options)
        path = peer.directory / "config.toml"
        path.write_text(path.read_text().replace('# keep_log = "all"', 'keep_log = "2"'))


def test_a_newcomer_learns_who_votes_though_no_log_says_it(tmp_path: Path) -> None:
    """Two changes of members are behind it; the state is of an epoch that it never heard of."""
    cluster = new_cluster(tmp_path, 6, kind=PruningCluster)
    first, leaver, third, _, replica, newcomer = cluster.peers
    cluster.found(4, checkpoint_interval=INTERVAL_SEQS)
    trickle = Trickle(cluster, [first, third])
    trickle.start()
    try:
        cluster.start_later(replica, first, third)
        cluster.decide(first, "admit", str(replica.directory / "peer.txt"))
        cluster.wait_for("voting", replica, lambda: cluster.role(replica) == "replica")
        cluster.decide(first, "remove", leaver.name)
        cluster.wait_for("leaving", leaver, lambda: cluster.role(leaver) == "removed")
        changed = cluster.executed(first)
        cluster.wait_for(
            "pruning", first, lambda: cluster.executed(first) > changed + 5 * INTERVAL_SEQS
        )

        cluster.start_later(newcomer, first, third)

        behind = cluster.executed(first)
        cluster.decide(first, "admit", str(newcomer.directory / "peer.txt"))
        cluster.wait_for("fetching", newcomer, lambda: cluster.executed(newcomer) > behind)
        trickle.stop()
        cluster.wait_for("voting", newcomer, lambda: cluster.role(newcomer) == "replica")
        remaining = [peer for peer in cluster.peers if peer is not leaver]
        states = stop_level(cluster, remaining)
    finally:
        trickle.stop()
        stop_all(cluster.peers)

    assert trickle.refused == []
    assert len(states) == 1
    assert log_of(newcomer)[0] > changed
