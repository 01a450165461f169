"""A peer that fetches the state is killed, or has lost all but its keys: it comes back the same."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, made, tiny_blocks
from tests.e2e.load import Load
from tests.e2e.processes import Peer
from tests.e2e.said import Said

pytestmark = pytest.mark.slow

PINS = 400
INTERVAL_SEQS = 8
LATE = 3
OTHERS = range(3)
KEPT = {"config.toml", "identity.key", "peer.txt", "genesis.cbor", "frames.jsonl", "log.txt"}


def staged_rows(peer: Peer) -> int:
    """Return how many rows of a fetched state are on the disk and not yet in use."""
    path = peer.directory / "ledger.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        try:
            count = connection.execute("SELECT count(*) FROM staged")
        except sqlite3.OperationalError:  # It was only just made.
            return 0
        return int(count.fetchone()[0])


def pruning(cluster: Cluster) -> None:
    cluster.configure("storage", "keep_log", '"2"')
    cluster.configure("pbft", "batch_requests_max", "2")
    cluster.configure("log", "levels", '{ transfer = "info", node = "info" }', only=LATE)


def pin_all(cluster: Cluster, count: int, label: str) -> None:
    requests = [cluster.pin(block.cid) for block in tiny_blocks(count, label)]
    assert {each["code"] for each in cluster.submit_many(requests)} == {"committed"}


def test_killed_in_the_middle_of_a_transfer_it_ends_it_after_a_restart(tmp_path: Path) -> None:
    with made(tmp_path, checkpoint_interval=INTERVAL_SEQS) as cluster:
        pruning(cluster)
        cluster.configure("network", "state_rate_max", '"64KB"')
        for index in OTHERS:
            cluster.peers[index].start()
        cluster.wait_linked()
        pin_all(cluster, PINS, "before")
        late, behind = cluster.peers[LATE], cluster.peers[0].executed()
        late.start()
        cluster.wait_until(lambda: staged_rows(late) > 0)
        late.kill()
        assert "the state is here" not in late.log
        before = staged_rows(late)

        late.start()
        cluster.wait_until(lambda: late.executed() >= behind - 2 * INTERVAL_SEQS)
        cluster.wait_linked()
        pin_all(cluster, INTERVAL_SEQS, "after")
        cluster.stop_level()

        assert before > 0
        assert "installed the state that was fetched" in late.log
        assert len(set(cluster.states())) == 1


def test_a_peer_that_lost_all_but_its_keys_comes_back_and_contradicts_nothing(
    tmp_path: Path,
) -> None:
    with made(tmp_path, checkpoint_interval=INTERVAL_SEQS) as cluster:
        pruning(cluster)
        cluster.configure("log", "frames", '"frames.jsonl"')
        blocks = tiny_blocks(5 * PINS)
        cluster.fill(blocks, only=[0, 1, 2])
        cluster.start()
        wiped = cluster.peers[LATE]
        with Load(cluster, [block.cid for block in blocks], at=[0, 1]) as load:
            load.wait_for(50)
            wiped.kill()
            for path in wiped.directory.iterdir():
                if path.name not in KEPT:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            load.wait_for(100)
            behind = cluster.peers[0].executed()
            wiped.start()
            cluster.wait_until(lambda: wiped.executed() > behind)
            load.wait_for(100)
        cluster.wait_linked()
        cluster.wait_level()
        acknowledged = {cid for _, cid in load.acknowledged}
        assert acknowledged <= wiped.pinned()
        cluster.stop_level()
        said = Said()
        said.hear_all(peer.directory / "frames.jsonl" for peer in cluster.peers)

        assert "installed the state that was fetched" in wiped.log
        assert len(set(cluster.states())) == 1
        assert said.votes[cluster.genesis.peers[LATE].peer] > 0
        assert said.contradictions == []
