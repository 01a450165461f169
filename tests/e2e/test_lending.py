"""Somebody lends room with one command, keeps what the cluster asks for, and leaves again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster.ledger.wire.invitation_text import invitation_from_text
from bftcluster.node.process.loan_file import LoanChoice
from bftcluster_cli.demo.cluster import last
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerProcess, stop_all
from tests.e2e.membership_cluster import FOUNDERS, GrowingCluster, growing, new_cluster
from tests.e2e.processes import environment, tried
from tests.e2e.test_light_peers import LightCluster

pytestmark = pytest.mark.slow

QUOTA = "2GB"
RESERVE_BYTES = 512_000_000
"""What is not for blocks of 2 GB."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[GrowingCluster]:
    with growing(tmp_path) as cluster:
        cluster.found(4, checkpoint_interval=16)
        yield cluster


@contextmanager
def lender(directory: Path, *words: str) -> Iterator[PeerProcess]:
    """Run `bftcluster lend`, as a person types it; stop it in the end."""
    ports = free_ports(2)
    peer = PeerProcess("lender", directory / "lent", *ports)
    options = ("--listen", peer.listen, "--api", f"127.0.0.1:{peer.api_port}", "--name", "lender")
    line = ["lend", *words, *options, "--dir", str(peer.directory)]
    log = directory / "lend.log"
    with log.open("ab") as out:
        peer.process = subprocess.Popen(
            [sys.executable, "-m", "bftcluster_cli", *line],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment(),
        )
    try:
        yield peer
    finally:
        if peer.process.poll() is None:
            peer.process.terminate()
        assert peer.process.wait(30) in {0, -15}, log.read_text()


def invite(cluster: GrowingCluster, *words: str) -> str:
    """Have alice invite and bob approve; return the word."""
    first = cluster.peers[0]
    made = last(
        cluster.run("invite", "new", "--capacity", "1GB", *words, "--yes", by="alice", at=first)
    )
    digest = str(made["proposal"])[:16]
    approved = last(cluster.run("pin", "approve", digest, "--yes", by="bob", at=first))
    assert approved["code"] == "committed"
    return str(made["invitation"])


def invites(cluster: GrowingCluster) -> list[dict[str, object]]:
    return cluster.run("invite", "ls", at=cluster.peers[0])


def refused(word: str, directory: Path, *, quota: str = QUOTA) -> str:
    """Run `bftcluster lend`, which should end at once; return what it says."""
    code, _, err = tried("lend", word, "--quota", quota, "--dir", str(directory))
    assert code in {1, 2, 3}
    return err


def test_one_command_from_an_invitation_to_a_pinned_file_and_out_again(
    cluster: GrowingCluster, tmp_path: Path
) -> None:
    first = cluster.peers[0]
    word = invite(cluster, "--domain", "elsewhere")
    file = tmp_path / "file.txt"
    file.write_text("what somebody lends room for")

    with lender(tmp_path, word, "--quota", QUOTA) as peer:
        cluster.wait_for("joining", peer, lambda: cluster.role(peer) == "storage")
        cluster.wait_for("joining", first, lambda: bool(cluster.members(first)["lender"]["joined"]))
        [shown] = invites(cluster)
        assert (shown["uses_left"], len(shown["came"])) == (0, 1)
        added = last(
            cluster.run(
                "add", str(file), "--rmin", "1", "--rmax", "5", "--yes", by="alice", at=first
            )
        )
        cluster.run("pin", "approve", str(added["proposal"])[:16], "--yes", by="bob", at=first)
        cluster.wait_for("pinning", peer, lambda: _holds(cluster, peer, str(added["cid"])))

        again = refused(word, tmp_path / "another")
        assert "used up: it let in 1" in again
        assert "ask whoever sent the invitation for a new one" in again

        lent = tmp_path / "lent"
        assert _status(lent)["is_running"] is True
        assert tried("lend", "pause", "--dir", str(lent))[0] == 0
        assert _status(lent)["state"] == "paused"
        assert tried("lend", "resume", "--dir", str(lent))[0] == 0
        assert tried("lend", "leave", "--dir", str(lent))[0] == 0
        assert peer.process is not None
        assert peer.process.wait(60) == 0
    assert "lender" not in cluster.members(first)


def test_a_light_peer_is_lent_by_the_same_command_and_leaves(tmp_path: Path) -> None:
    cluster = new_cluster(tmp_path, FOUNDERS, kind=LightCluster)
    try:
        cluster.found(FOUNDERS, checkpoint_interval=256)
        first, lent = cluster.peers[0], tmp_path / "lent"
        word = invite(cluster, "--light", "--domain", "elsewhere")
        file = tmp_path / "file.txt"
        file.write_text("what somebody lends room for")

        with lender(tmp_path, word, "--quota", QUOTA) as peer:
            cluster.wait_for("joining", first, lambda: cluster.has_joined("lender"))
            cid = cluster.pin(file, ["lender", "peer1"])
            cluster.wait_for("pinning", peer, lambda: cluster.is_pinned(cid, "lender"))
            status = _status(lent)
            assert (status["is_running"], status["state"]) == (True, "lending")
            assert str(status["role"]).startswith("light, at ")
            assert tried("lend", "leave", "--dir", str(lent))[0] == 0
            assert peer.process is not None
            assert peer.process.wait(90) == 0
        assert "lender" not in cluster.members(first)
        assert _status(lent)["state"] == "left"
        code, _, err = tried("lend", "start", "--dir", str(lent))
        assert code in {1, 2, 3}
        assert "take another directory" in err
    finally:
        stop_all(cluster.peers)


def test_what_does_not_work_says_why_and_what_to_do(
    cluster: GrowingCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cluster.peers[0]
    word = invite(cluster)
    good = invitation_from_text(word)
    place = tmp_path / "lent"

    assert "mistyped" in refused(word[:-1] + ("a" if word[-1] != "a" else "b"), place)
    assert "cannot be lent" in refused(word, place, quota="900000TB")
    assert "too little" in refused(word, place, quota="1MB")
    expired = replace(good, expires_ms=1)
    assert "has expired" in refused(expired.to_text(), place)
    wrong = replace(good, cluster_id=bytes(32))
    assert "of another cluster than this invitation" in refused(wrong.to_text(), place)
    unknown = replace(good, seed=bytes(32))
    assert "does not know this invitation" in refused(unknown.to_text(), place)
    nowhere = replace(good, relays=((good.relays[0][0], ("/ip4/127.0.0.1/tcp/1",)),))
    assert "no peer of the invitation answers" in refused(nowhere.to_text(), place)

    with monkeypatch.context() as patch:
        patch.setattr("bftcluster_cli.loans.newcomer._CLOCK_OFF_MAX_MS", -1)
        assert "clock is" in refused(word, place)

    name = str(invites(cluster)[0]["name"])
    proposed = last(cluster.run("invite", "revoke", name, "--yes", by="alice", at=first))
    digest = str(proposed["proposal"])[:16]
    cluster.run("pin", "approve", digest, "--yes", by="bob", at=first)
    assert "revoked" in refused(word, place)
    assert not (place / "genesis.cbor").exists()
    assert LoanChoice.load(place) is not None


def _holds(cluster: GrowingCluster, peer: PeerProcess, cid: str) -> bool:
    with cluster.client(peer) as client:
        record = client.get(f"/pins/{cid}?local=true")
    return any(each["status"] == "pinned" for each in record["peer_map"].values())


def _status(directory: Path) -> dict[str, object]:
    code, out, err = tried("lend", "status", "--json", "--dir", str(directory))
    assert code == 0, err
    status: dict[str, object] = json.loads(out)
    return status
