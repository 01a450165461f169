"""Peers that stop, are killed, and come back, under load: nothing acknowledged is ever lost."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster import PEERS, Cluster, filled, made, tiny_blocks
from tests.e2e.load import Load
from tests.e2e.said import Said

pytestmark = pytest.mark.slow

BLOCKS = 3000
STOP_MAX_S = 5
ROUNDS = 50
STANDSTILLS = 4
FULL_AT_BYTES = 700_000


def check_nothing_lost(cluster: Cluster, load: Load) -> None:
    """Bring every peer up, and compare what was acknowledged, the pinsets and the states."""
    for peer in cluster.peers:
        if peer.process is None:
            peer.start()
    cluster.wait_linked()
    cluster.wait_level()
    acknowledged = {cid for _, cid in load.acknowledged}
    pinsets = [peer.pinned() for peer in cluster.peers]
    assert [len(acknowledged - pinset) for pinset in pinsets] == [0] * PEERS
    assert all(pinset == pinsets[0] for pinset in pinsets)
    cluster.stop_level()
    assert len(set(cluster.states())) == 1


def test_told_to_stop_under_load_all_peers_end_soon_and_lose_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with filled(tmp_path, BLOCKS) as (cluster, blocks):
        with Load(cluster, [block.cid for block in blocks], at=range(PEERS)) as load:
            load.wait_for(200)
            taken = cluster.stop()

        record_property("stopped_after_s", [round(each, 2) for each in taken])
        assert max(taken) < STOP_MAX_S, taken
        check_nothing_lost(cluster, load)


def test_a_killed_backup_catches_up(tmp_path: Path) -> None:
    with filled(tmp_path, BLOCKS) as (cluster, blocks):
        backup = next(p for p in cluster.peers if not is_primary(p.status()))
        others = [peer.index for peer in cluster.peers if peer is not backup]
        with Load(cluster, [block.cid for block in blocks], at=others) as load:
            load.wait_for(50)
            backup.kill()
            load.wait_for(200)
            backup.start()
            load.wait_for(50)

        check_nothing_lost(cluster, load)


def test_all_killed_at_once_under_load_lose_nothing_acknowledged(tmp_path: Path) -> None:
    with filled(tmp_path, BLOCKS) as (cluster, blocks):
        with Load(cluster, [block.cid for block in blocks], at=range(PEERS)) as load:
            load.wait_for(200)
            for peer in cluster.peers:
                assert peer.process is not None
                peer.process.kill()
            for peer in cluster.peers:
                peer.kill()

        assert load.count >= 200
        check_nothing_lost(cluster, load)


def test_a_killed_primary_is_replaced_while_clients_go_on(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """How long clients wait meanwhile is measured by ``benchmarks.bench_faults``."""
    with filled(tmp_path, BLOCKS) as (cluster, blocks):
        primary = next(p for p in cluster.peers if is_primary(p.status()))
        others = [peer.index for peer in cluster.peers if peer is not primary]
        with Load(cluster, [block.cid for block in blocks], at=others) as load:
            load.wait_for(100)
            killed, killed_at = primary.status()["peer"], time.monotonic()
            primary.kill()
            load.wait_for(100)
            gap_s = load.longest_gap_s(killed_at, time.monotonic())
            followed = [cluster.peers[index].status()["primary"] for index in others]

        record_property("gap_s", round(gap_s, 3))
        assert killed not in followed
        check_nothing_lost(cluster, load)


def test_processes_that_stand_still_hold_nobody_up_and_go_on_where_they_were(
    tmp_path: Path,
) -> None:
    with made(tmp_path) as cluster:
        blocks = tiny_blocks(2 * BLOCKS)
        cluster.fill(blocks)
        cluster.configure("log", "frames", '"frames.jsonl"')
        cluster.start()
        client = next(p for p in cluster.peers if not is_primary(p.status()))
        with Load(cluster, [block.cid for block in blocks], at=[client.index]) as load:
            for _ in range(STANDSTILLS):
                load.wait_for(20)
                primary = next(p for p in cluster.peers if is_primary(p.status()))
                victim = next(p for p in (primary, *cluster.peers) if p is not client)
                assert victim.process is not None
                victim.process.send_signal(signal.SIGSTOP)
                load.wait_for(60)
                victim.process.send_signal(signal.SIGCONT)

        check_nothing_lost(cluster, load)
        said = Said()
        said.hear_all(peer.directory / "frames.jsonl" for peer in cluster.peers)
        assert said.contradictions == []


def test_a_full_disk_stops_a_peer_and_space_brings_it_back(tmp_path: Path) -> None:
    with made(tmp_path) as cluster:
        blocks = tiny_blocks(BLOCKS)
        cluster.fill(blocks)
        *others, full = cluster.peers
        for peer in others:
            peer.start()
        cluster.wait_linked()
        full.start(file_size_max_bytes=FULL_AT_BYTES)
        with Load(cluster, [block.cid for block in blocks], at=[0, 1, 2]) as load:
            code = full.wait(120)
            load.wait_for(100)
            full_log = full.log
            full.start()
            load.wait_for(50)

        assert code == 1, full_log
        assert "error: cannot" in full_log
        assert "hint:" in full_log
        assert "Traceback" not in full_log
        check_nothing_lost(cluster, load)


@pytest.mark.timeout(1200)
def test_many_rounds_of_killing_and_restarting_at_random(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    choice = random.Random(4)
    with made(tmp_path) as cluster:
        blocks = tiny_blocks(6 * BLOCKS)
        cluster.configure("log", "frames", '"frames.jsonl"')
        cluster.start()
        with Load(cluster, [block.cid for block in blocks], at=range(PEERS)) as load:
            for _ in range(ROUNDS):
                load.wait_for(5)
                victim = choice.choice(cluster.peers)
                victim.kill()
                if choice.random() < 0.5:
                    load.wait_for(5)
                victim.start()

        check_nothing_lost(cluster, load)
        said = Said()
        said.hear_all(peer.directory / "frames.jsonl" for peer in cluster.peers)

    record_property("votes", sorted(said.votes.values()))
    assert set(said.votes) == {genesis.peer for genesis in cluster.genesis.peers}
    assert said.contradictions == []


def is_primary(status: dict[str, str]) -> bool:
    return status["primary"] == status["peer"]
