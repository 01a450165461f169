"""What a peer says when it cannot start or will not do as asked: by exit code and by words."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bftcluster import cid as cids
from bftcluster import codec
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.ledger.wire.requests import Submit, parse_request, report
from bftcluster.node.process.identity import load_identity
from bftcluster.signing.envelope import Domain, sign
from bftcluster.signing.keys import SigningKey
from bftcluster.storage.wal import WAL_NAME
from tests.e2e.cluster import Cluster, made, tiny_blocks
from tests.e2e.processes import Peer, environment, run_peer, tried

USAGE = 2
REFUSED = 1


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with made(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with made(tmp_path_factory.mktemp("running")) as cluster:
        cluster.fill(tiny_blocks(20))
        cluster.start()
        yield cluster


def run_beside(peer: Peer, port: int) -> tuple[int, str]:
    """Run a peer while something else listens at a port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        return run_peer(peer.directory)


def test_a_swarm_port_in_use_stops_the_peer_with_its_address(made_cluster: Cluster) -> None:
    peer = made_cluster.peers[0]

    code, said = run_beside(peer, peer.listen_port)

    assert code == USAGE, said
    assert f"/ip4/127.0.0.1/tcp/{peer.listen_port}" in said
    assert "something else listens there" in said
    assert "Traceback" not in said


def test_an_api_port_in_use_stops_the_peer_with_its_address(made_cluster: Cluster) -> None:
    peer = made_cluster.peers[0]

    code, said = run_beside(peer, peer.api_port)

    assert code == USAGE, said
    assert f"127.0.0.1:{peer.api_port}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "change", "code", "said", "hint"),
    [
        ("config.toml", ("[pbft]", "[pbft"), USAGE, "is not TOML", "mend that line"),
        (
            "config.toml",
            ("[pbft]", "[pbft]\nbatch_request_max = 7"),
            USAGE,
            "unknown key in [pbft]: 'batch_request_max'",
            "did you mean 'batch_requests_max'?",
        ),
        ("config.toml", ('"1GB"', '"1kB"'), USAGE, "quota of 1000 bytes is too small", "32 MiB"),
        ("identity.key", None, REFUSED, "can be read by others", "chmod 600"),
    ],
    ids=["no TOML", "unknown key", "tiny quota", "open key file"],
)
def test_a_directory_that_is_wrong_stops_the_peer_before_it_makes_anything(
    made_cluster: Cluster,
    tmp_path: Path,
    name: str,
    change: tuple[str, str] | None,
    code: int,
    said: str,
    hint: str,
) -> None:
    directory = shutil.copytree(made_cluster.peers[2].directory, tmp_path / "peer")
    path = directory / name
    if change is None:
        path.chmod(0o644)
    else:
        assert change[0] in path.read_text()
        path.write_text(path.read_text().replace(*change, 1))

    ended, words = run_peer(directory)

    assert ended == code, words
    assert said in words
    assert hint in words.partition("hint: ")[2]
    assert not (directory / "ledger.db").exists()
    assert not list(directory.glob("wal/*"))


def test_a_vote_cut_short_on_the_disk_is_cut_off_and_the_peer_goes_on(running: Cluster) -> None:
    [block] = tiny_blocks(1, "cut short")
    peer = running.peers[3]
    assert running.submit(running.pin(block.cid))["code"] == "committed"
    running.wait_level()
    peer.kill()
    votes = peer.directory / "wal" / WAL_NAME
    votes.write_bytes(votes.read_bytes()[:-1])

    peer.start()

    running.wait_linked()
    [second] = tiny_blocks(1, "after the cut")
    assert running.submit(running.pin(second.cid), at=3)["code"] == "committed"
    assert "cut off a torn last append" in peer.log


def test_a_second_process_on_one_directory_is_refused(running: Cluster) -> None:
    peer = running.peers[0]
    assert peer.process is not None

    code, said = run_peer(peer.directory)

    assert code == USAGE, said
    assert f"in use by process {peer.process.pid}" in said
    assert peer.status()["problem"] == ""


def test_assertions_off_is_refused(made_cluster: Cluster) -> None:
    directory = str(made_cluster.peers[1].directory)

    done = subprocess.run(
        [sys.executable, "-O", "-m", "bftcluster_cli", "peer", "run", directory],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(),
        check=False,
    )

    assert done.returncode != 0
    assert "assertions" in done.stderr


def test_one_signature_too_few_is_refused_and_nothing_is_pinned(running: Cluster) -> None:
    [block] = tiny_blocks(1, "under threshold")
    request = running.certificate(PinOperation(cid=block.cid, name="x"), by=["alice"])

    outcome = running.submit(request)

    assert outcome["code"] != "committed"
    assert "1 of 2" in outcome["detail"], outcome
    assert cids.text(block.cid) not in running.peers[0].pinned()


def test_one_maintainer_who_signs_twice_is_one_signer(running: Cluster) -> None:
    [block] = tiny_blocks(1, "signed twice")
    operation = PinOperation(cid=block.cid, name="x")
    both = parse_request(running.certificate(operation, by=["alice", "bob"]))
    assert isinstance(both, Submit)
    one = both.certificate.signatures[:64]
    twice = replace(both.certificate, signatures=2 * one)

    outcome = running.submit(Submit(certificate=twice).to_bytes())
    too_few = running.submit(running.certificate(operation, by=["alice", "alice"]))

    assert (outcome["code"], too_few["code"]) == ("invalid", "invalid")
    assert "1 of 2" in too_few["detail"]
    assert cids.text(block.cid) not in running.peers[0].pinned()


def test_a_long_bulk_is_answered_in_its_order_and_what_is_here_already_is_reported(
    running: Cluster,
) -> None:
    here = tiny_blocks(20)[1:]
    elsewhere = tiny_blocks(230, "nobody has these")
    requests = [running.pin(block.cid) for block in (*elsewhere, *here)]
    for number in (0, 99, 100, 248):
        requests[number] = requests[number][:-1] + bytes([requests[number][-1] ^ 1])

    outcomes = running.submit_many(requests)

    refused = [number for number, outcome in enumerate(outcomes) if outcome["code"] == "invalid"]
    assert refused == [0, 99, 100, 248]
    accepted = [outcome for outcome in outcomes if outcome["code"] == "committed"]
    assert len(accepted) == len(requests) - len(refused)
    statuses = f"/pins/{cids.text(here[0].cid)}"
    running.wait_until(
        lambda: (
            {each["status"] for each in running.peers[3].get(statuses)["peer_map"].values()}
            == {"pinned"}
        )
    )


def test_an_expired_approval_is_refused(running: Cluster) -> None:
    [block] = tiny_blocks(1, "expired")
    request = running.certificate(PinOperation(cid=block.cid, name="x"), expires_in_ms=-1000)

    outcome = running.submit(request)

    assert outcome["code"] == "expired", outcome
    assert cids.text(block.cid) not in running.peers[0].pinned()


def test_a_replayed_approval_changes_nothing_and_is_told(running: Cluster) -> None:
    block = tiny_blocks(20)[0]
    pin = running.pin(block.cid)
    unpin = running.certificate(UnpinOperation(cid=block.cid))
    used = running.submit(pin)
    assert used["code"] == "committed"
    assert running.submit(unpin, at=1)["code"] == "committed"

    outcomes = [running.submit(pin, at=peer) for peer in (0, 2)]

    assert [outcome["code"] for outcome in outcomes] == ["replayed"] * 2, outcomes
    assert {outcome["seq"] for outcome in outcomes} == {used["seq"]}
    assert f"in batch {used['seq']}" in outcomes[0]["detail"]
    running.wait_until(
        lambda: running.peers[2].status()["pins"] == running.peers[0].status()["pins"]
    )
    assert cids.text(block.cid) not in running.peers[2].pinned()


def test_a_maintainer_not_in_the_policy_is_refused(running: Cluster, tmp_path: Path) -> None:
    [block] = tiny_blocks(1, "mallory")
    key = tmp_path / "mallory.key"
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a long passphrase\n")
    passphrase.chmod(0o600)
    code, _, said = tried(
        *("key", "new", "mallory", "--output", str(key), "--strength", "interactive"),
        *("--passphrase-file", str(passphrase)),
    )
    assert code == 0, said

    code, _, said = tried(
        *("pin", "add", cids.text(block.cid), "--key", str(key), "--yes"),
        *("--passphrase-file", str(passphrase), "--api", running.peers[0].url),
    )

    assert code == REFUSED, said
    assert "hint:" in said
    assert cids.text(block.cid) not in running.peers[0].pinned()


def test_a_wrong_passphrase_and_an_open_key_file_are_refused(
    running: Cluster, tmp_path: Path
) -> None:
    key, right, wrong = tmp_path / "k.key", tmp_path / "right", tmp_path / "wrong"
    for path in (right, wrong):
        path.write_text(f"the passphrase {path.name}\n")
        path.chmod(0o600)
    tried(
        *("key", "new", "k", "--output", str(key), "--strength", "interactive"),
        *("--passphrase-file", str(right)),
    )
    pin = ("pin", "add", cids.text(tiny_blocks(1)[0].cid), "--key", str(key), "--yes")
    pin += ("--api", running.peers[0].url)

    code, _, said = tried(*pin, "--passphrase-file", str(wrong))
    key.chmod(0o644)
    code_open, _, said_open = tried(*pin, "--passphrase-file", str(right))

    assert code == REFUSED, said
    assert "passphrase" in said
    assert code_open in (REFUSED, USAGE), said_open
    assert "chmod 600" in said_open


def test_a_malformed_cid_is_refused_before_anything_is_signed(
    running: Cluster, tmp_path: Path
) -> None:
    code, _, said = tried("pin", "status", "notacid", "--api", running.peers[0].url)
    key = ("--key", str(tmp_path / "no.key"), "--yes", "--api", running.peers[0].url)
    code_add, _, said_add = tried("pin", "add", "notacid", *key)

    assert (code, code_add) == (USAGE, USAGE), said + said_add
    for words in (said, said_add):
        assert "not a CID: 'notacid'" in words
        assert "hint: a CID looks like" in words


def test_a_request_for_another_cluster_is_refused_at_once(
    running: Cluster, made_cluster: Cluster
) -> None:
    foreign = made_cluster.pin(tiny_blocks(1)[0].cid)

    outcome = running.submit(foreign)

    assert outcome["code"] == "invalid", outcome
    assert "another cluster" in outcome["detail"]


def test_a_peer_without_room_says_so_and_the_others_hold_the_pin(tmp_path: Path) -> None:
    quotas = ("1GB", "1GB", "40MB", "1GB")
    pieces = [bytes([number]) * (1 << 20) for number in range(60)]
    with made(tmp_path, quotas=quotas) as cluster:
        source = tmp_path / "big.bin"
        source.write_bytes(b"".join(pieces))
        cluster.start()
        cid = upload(cluster, source)
        assert cluster.submit(cluster.pin(cid))["code"] == "committed"

        def settled() -> bool:
            shown = cluster.peers[2].get(f"/pins/{cids.text(cid)}")["peer_map"]
            words = sorted(each["status"] for each in shown.values())
            return words == ["pin_error", "pinned", "pinned", "pinned"]

        cluster.wait_until(settled)
        shown = cluster.peers[2].get(f"/pins/{cids.text(cid)}")["peer_map"]
        [error] = [each["error"] for each in shown.values() if each["status"] == "pin_error"]
        assert "quota" in error, error
        status = cluster.peers[2].status()["storage"]
        assert status["used_bytes"] <= 40_000_000
        on_disk = sum(
            path.stat().st_size
            for path in (cluster.peers[2].directory / "blocks").rglob("*")
            if path.is_file()
        )
        assert on_disk <= 60_000_000, "with index and journal"


def upload(cluster: Cluster, source: Path) -> cids.Cid:
    """Add a file to peer 0 without pinning; return its CID."""
    with source.open("rb") as file:
        response = httpx.post(
            f"{cluster.peers[0].url}/add?no-pin=true&cid-version=1",
            files={"file": ("big.bin", file)},
            timeout=60,
            trust_env=False,
        )
    response.raise_for_status()
    return cids.parse(json.loads(response.text.splitlines()[-1])["cid"])


def test_an_announcement_that_no_peer_could_bear_ends_none(running: Cluster) -> None:
    key = load_identity(running.peers[3].directory / "identity.key")
    cluster_id, counter = running.genesis.cluster_id, time.time_ns() // 1_000_000 + 60_000
    items = [cluster_id, key.public_key, counter, "peer4", ["/unix/etc/passwd"], 1, 1, [], b""]
    payload = codec.encode(items)
    request = codec.encode([int(RequestKind.JOIN), payload, sign(key, Domain.JOIN, payload)])

    outcome = running.submit(request, at=1)

    assert outcome["code"] == "invalid", outcome
    assert [
        running.submit(running.pin(cids.of_block(b"borne %d" % n)), at=n)["code"] for n in range(4)
    ] == ["committed"] * 4


def test_a_stranger_orders_nothing(running: Cluster) -> None:
    stranger = SigningKey(bytes(range(32)))
    reports = [
        report(
            stranger,
            cluster_id=running.genesis.cluster_id,
            counter=counter,
            entries=(),
            free_bytes=0,
        ).to_bytes()
        for counter in range(1, 101)
    ]

    outcomes = running.submit_many(reports, at=2)

    assert {outcome["code"] for outcome in outcomes} == {"not-admitted"}
    assert {outcome["seq"] for outcome in outcomes} == {0}
