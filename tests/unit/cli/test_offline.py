import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster.signing.approvals import approve
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.proposal_file import ProposalFile
from bftcluster_cli.clusters import read_genesis
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer

CID = cids.of_block(b"what should be kept")
TEXT = cids.text(CID)


@pytest.fixture
def proposal(shell: Shell, genesis: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Proposed and signed by alice, with no peer in reach."""
    monkeypatch.setenv("BFTCLUSTER_GENESIS", str(genesis))
    monkeypatch.setenv("BFTCLUSTER_API", "127.0.0.1:1")
    shell.ok("pin", "propose", TEXT, "--name", "photos", "-o", "p", "--key", "alice.key", "--yes")
    return genesis.parent / "p"


def test_a_proposal_is_signed_by_file_and_submitted(
    shell: Shell, proposal: Path, peer: LedgerPeer
) -> None:
    signed = shell.ok("pin", "sign", "p", "--key", "bob.key", "--yes", "--json").record

    submitted = shell.ok("pin", "submit", "p", "--json").record

    assert (signed["signed"], signed["missing"], signed["complete"]) != ([], [], False)
    assert sorted(signed["signed"]) == ["alice", "bob"]
    assert submitted["code"] == "committed"
    record = peer.record(CID)
    assert record is not None
    assert record.name == "photos"


def test_copies_signed_apart_are_merged(shell: Shell, proposal: Path, peer: LedgerPeer) -> None:
    shutil.copy("p", "q")
    shell.ok("pin", "sign", "p", "--key", "bob.key", "--yes")
    shell.ok("pin", "sign", "q", "--key", "carol.key", "--yes")

    merged = shell.ok("pin", "merge", "p", "q", "--output", "all", "--json").record

    assert merged["signatures"] == 3
    assert shell.ok("pin", "submit", "all").code == 0


def test_one_signature_short_is_not_submitted(
    shell: Shell, proposal: Path, peer: LedgerPeer
) -> None:
    answer = shell("pin", "submit", "p")

    assert answer.code == 1
    assert "1 of 2 required signatures" in answer.err
    assert peer.record(CID) is None


def test_signing_twice_counts_once(shell: Shell, proposal: Path) -> None:
    record = shell.ok("pin", "sign", "p", "--key", "alice.key", "--yes", "--json").record

    assert (record["signed"], record["complete"]) == (["alice"], False)


def test_a_stranger_s_signature_in_the_file_does_not_count(shell: Shell, proposal: Path) -> None:
    content = ProposalFile.from_bytes(proposal.read_bytes())
    stranger = approve(content.intent.encoded, SigningKey(bytes(32)))
    proposal.write_bytes(content.with_approvals([stranger]).to_bytes())

    record = shell.ok("pin", "show", "p", "--json").record

    assert record["signed"] == ["alice"]


def test_a_proposal_for_another_cluster_is_not_signed(
    shell: Shell, proposal: Path, genesis: Path
) -> None:
    other = replace(read_genesis(genesis), nonce=b"\x01" * 32)
    genesis.write_bytes(other.to_bytes())

    answer = shell("pin", "sign", "p", "--key", "bob.key", "--yes")

    assert answer.code == 1
    assert "must not be signed: it is for another cluster" in answer.err


def test_different_proposals_are_not_merged(shell: Shell, proposal: Path) -> None:
    shell.ok("pin", "propose", TEXT, "--unpin", "--output", "other")

    answer = shell("pin", "merge", "p", "other", "--output", "all")

    assert answer.code == 2
    assert not Path("all").exists()


def test_what_is_signed_is_shown_in_plain_words(shell: Shell, proposal: Path) -> None:
    shown = shell.ok("pin", "show", "p").out

    assert 'name         "photos"' in shown
    assert "approved by  alice (1 of 2)" in shown


def test_without_a_genesis_nothing_is_signed(
    shell: Shell, proposal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BFTCLUSTER_GENESIS")

    told = shell.misused("pin", "sign", "p", "--key", "bob.key", "--yes")

    assert "this needs the cluster's genesis" in told


def test_what_is_no_proposal_file_is_said_to_be_none(shell: Shell, proposal: Path) -> None:
    told = shell.misused("pin", "show", "alice.pub")

    assert "alice.pub is not a proposal file" in told
