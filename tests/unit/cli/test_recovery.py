"""A recovery from the survivors' points to their directories, as people type it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster.ids import ReplicaId, Seq
from bftcluster.ledger.wire.operations import parse_operation
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.node.parts import open_parts
from bftcluster.node.process.config import Config
from bftcluster.node.recovery import AppliedRecovery
from bftcluster.pbft.records import Started
from bftcluster.signing.proposal_file import ProposalFile
from bftcluster.sync.recovery_point import RecoveryPoint
from bftcluster_cli.commands.recovery import applied_text
from tests.unit.cli.conftest import Shell

FOUNDERS = ("peer1", "peer2", "peer3", "peer4")
NEW = ("peer5", "peer6")
PEOPLE = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves what it has made, for the others to copy."""
    return tmp_path_factory.mktemp("stopped") / "cluster"


@pytest.fixture(autouse=True)
def logs_of_the_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging is set up for a process; this one goes on with other tests."""
    monkeypatch.setattr("bftcluster.node.process.logs.configure_logs", lambda **_: None)


@pytest.fixture
def cluster(shell: Shell, keys: Path, made_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four founders that ran once and ordered nothing, and two new peers."""
    monkeypatch.setenv("BFTCLUSTER_GENESIS", str(keys / "genesis.cbor"))
    if not made_once.exists():
        make(shell, keys)
        shutil.copytree(keys, made_once)
    shutil.copytree(made_once, keys, dirs_exist_ok=True)
    return keys


def make(shell: Shell, keys: Path) -> None:
    for name in FOUNDERS:
        shell.ok("peer", "init", name, "--quota", "64MB")
    words = [word for name in PEOPLE for word in ("--maintainer", f"{name}.pub")]
    words += [word for name in FOUNDERS for word in ("--peer", f"{name}/peer.txt")]
    shell.ok("cluster", "init", "--name", "archive", "--threshold", 2, *words)
    for name in FOUNDERS:
        shell.ok("peer", "init", name, "--genesis", "genesis.cbor")
    for name in NEW:
        shell.ok(
            "peer", "init", name, "--genesis", "genesis.cbor", "--bootstrap", "peer1/peer.txt"
        )  # fmt: skip
    for name in FOUNDERS[:2]:
        with open_parts(Config.load(keys / name)) as parts:
            started = Started(parts.genesis.cluster_id, ReplicaId(parts.me))
            parts.wal.append([started.to_bytes()])


def points(shell: Shell) -> list[str]:
    for name in FOUNDERS[:2]:
        shell.ok("peer", "recovery-point", name, "--output", f"{name}.point")
    return [f"{name}.point" for name in FOUNDERS[:2]]


def peer_id(cluster: Path, name: str) -> str:
    descriptor = (cluster / name / "peer.txt").read_text()
    return descriptor.partition("=")[2].partition("@")[0]


def written(shell: Shell, *more: object):
    """Return what becomes of the recovery that keeps two founders, and has two new peers."""
    return shell(
        "cluster", "recover", *points(shell), "--peer", "peer5/peer.txt", "--peer",
        "peer6/peer.txt", "--lost", "peer3", "--lost", "peer4", "--output", "our.recovery", *more,
    )  # fmt: skip


def test_a_recovery_goes_from_the_survivors_to_the_maintainers_and_back(
    shell: Shell, cluster: Path
) -> None:
    written(shell, "--key", "alice.key", "--yes")
    signed = shell.ok("pin", "sign", "our.recovery", "--key", "bob.key", "--yes", "--json").record

    applied = shell.ok("peer", "recover", "peer1", "our.recovery", "--yes", "--json").record
    again = shell.ok("peer", "recover", "peer1", "our.recovery", "--yes", "--json").record

    assert (signed["kind"], signed["complete"]) == ("recover", True)
    assert applied == {"applied": True, "seq": 0, "entries_set_aside": 0}
    assert again["applied"] is False


def test_who_signs_a_recovery_reads_what_it_does(shell: Shell, cluster: Path) -> None:
    shown = written(shell, "--key", "alice.key", "--yes").err
    point = RecoveryPoint.from_bytes((cluster / "peer1.point").read_bytes())

    assert "RECOVER      the cluster goes on from batch 0, certified by the genesis" in shown
    assert f"state root   {point.state_root.hex()}" in shown
    assert shown.count("as before") == 2
    for name in FOUNDERS[:2]:
        assert f'{peer_id(cluster, name)} "{name}", as before' in shown
    for name in FOUNDERS[2:]:
        assert f'{peer_id(cluster, name)} "{name}": its key never votes again' in shown
    assert "quorum       3 of 4 must agree, 1 may be faulty" in shown
    assert shown.count(', NEW\n  name         "peer') == 2
    assert shown.count("its key never votes again") == 2
    assert "if the cluster can still order, this splits it in two" in shown


def test_who_writes_a_recovery_reads_what_each_survivor_has(shell: Shell, cluster: Path) -> None:
    told = written(shell).err

    assert f'peer1.point: of {peer_id(cluster, "peer1")} "peer1", certified up to batch 0' in told
    assert f'peer2.point: of {peer_id(cluster, "peer2")} "peer2", certified up to batch 0' in told


def test_a_recovery_with_fewer_than_four_voters_is_not_written(shell: Shell, cluster: Path) -> None:
    answer = shell(
        "cluster", "recover", *points(shell), "--peer", "peer5/peer.txt", "--output",
        "few.recovery", "--lost", "peer3", "--lost", "peer4", "--key", "alice.key", "--yes",
    )  # fmt: skip

    assert answer.code == 2
    assert "3 replicas would vote, fewer than 4" in answer.err
    assert "make another peer with `bftcluster peer init`" in answer.err
    assert not (cluster / "few.recovery").exists()


def test_a_recovery_with_fewer_than_four_voters_is_not_signed(shell: Shell, cluster: Path) -> None:
    written(shell)
    content = ProposalFile.from_bytes((cluster / "our.recovery").read_bytes())
    operation = parse_operation(content.intent.operation)
    assert isinstance(operation, RecoverCluster)
    few = replace(operation, coming=operation.coming[:1])
    intent = replace(content.intent, operation=few.to_bytes(), encoded=b"")
    (cluster / "few.recovery").write_bytes(ProposalFile(intent=intent).to_bytes())

    answer = shell("pin", "sign", "few.recovery", "--key", "bob.key", "--yes")

    assert answer.code == 1
    assert "3 replicas would vote, fewer than 4" in answer.err
    assert "every peer refuses it" in answer.err
    assert ProposalFile.from_bytes((cluster / "few.recovery").read_bytes()).approvals == ()


def test_a_peer_that_lacks_the_state_is_said_to_fetch_it() -> None:
    newcomer = AppliedRecovery(is_new=True, seq=Seq(0), entries_set_aside=0, fetches=True)
    survivor = AppliedRecovery(is_new=True, seq=Seq(40), entries_set_aside=1, fetches=False)

    assert applied_text(newcomer) == (
        "at batch 0; it fetches what it lacks from the others once it runs"
    )
    assert applied_text(survivor) == "at batch 40, 1 batch to be ordered again"


def test_a_new_peer_says_how_it_gets_in_both_ways(shell: Shell, cluster: Path) -> None:
    newcomer = shell.ok("peer", "init", "peer5").err
    founder = shell.ok("peer", "init", "peer1").err

    assert "bftcluster cluster admit peer5/peer.txt" in newcomer
    assert "bftcluster cluster recover … --peer peer5/peer.txt" in newcomer
    assert founder == "start it: bftcluster peer run peer1\n"


def test_one_signature_does_not_recover_a_peer(shell: Shell, cluster: Path) -> None:
    written(shell, "--key", "alice.key", "--yes")

    answer = shell("peer", "recover", "peer1", "our.recovery", "--yes")

    assert answer.code == 1
    assert "1 of 2 required signatures" in answer.err


def test_without_consent_nothing_is_applied(shell: Shell, cluster: Path) -> None:
    written(shell, "--key", "alice.key", "--yes")
    shell.ok("pin", "sign", "our.recovery", "--key", "bob.key", "--yes")

    answer = shell("peer", "recover", "peer1", "our.recovery")

    assert answer.code == 2
    assert "this needs your consent" in answer.err
    applied = shell.ok("peer", "recover", "peer1", "our.recovery", "--yes", "--json").record
    assert applied["applied"] is True


def test_a_lost_key_does_not_come_back_as_a_new_peer(shell: Shell, cluster: Path) -> None:
    answer = written(shell, "--peer", "peer4/peer.txt")

    assert answer.code == 2
    assert "peer4 would vote under a key that has voted already" in answer.err
    assert "make a new peer" in answer.err


def test_a_name_that_nobody_has_is_not_lost(shell: Shell, cluster: Path) -> None:
    answer = written(shell, "--lost", "peer9")

    assert answer.code == 2
    assert "the genesis has no peer called 'peer9'" in answer.err


def test_a_point_of_another_cluster_is_refused(shell: Shell, cluster: Path) -> None:
    words = [word for name in PEOPLE for word in ("--maintainer", f"{name}.pub")]
    shell.ok(
        "cluster", "init", "--name", "other", "--threshold", 2, *words, "--peer",
        "peer1/peer.txt", "--output", "other.cbor",
    )  # fmt: skip

    answer = written(shell, "--genesis", "other.cbor")

    assert answer.code == 1
    assert "this recovery point is another cluster's" in answer.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("cluster", "recover", "genesis.cbor", "--output", "x"), "is not a recovery point"),
        (("peer", "recover", "peer1", "genesis.cbor"), "is not a proposal file"),
        (("peer", "recovery-point", "nowhere", "--output", "x"), "there is no peer in nowhere"),
    ],
)
def test_what_is_no_such_file_is_refused(
    shell: Shell, cluster: Path, words: tuple[str, ...], what: str
) -> None:
    told = shell.misused(*words)

    assert what in told
    assert "hint:" in told
