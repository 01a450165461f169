from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster.api.views import SignerView
from bftcluster.ids import MaintainerId
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.pins.status import TrackerStatus
from bftcluster.signing.approvals import Intent
from bftcluster.signing.keys import peer_id_text
from bftcluster_cli.clusters import read_genesis
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer

CID = cids.of_block(b"what should be kept")
TEXT = cids.text(CID)
OTHER = cids.of_block(b"what nobody asked for")


def propose(shell: Shell, *more: object) -> dict[str, object]:
    return shell.ok("pin", "add", TEXT, "--key", "alice.key", "--yes", "--json", *more).record


def test_one_signature_of_two_leaves_a_pin_pending(shell: Shell, peer: LedgerPeer) -> None:
    record = propose(shell, "--name", "photos")

    assert (record["code"], record["approvals"], record["threshold"]) == ("pending", 1, 2)
    assert peer.record(CID) is None
    status = shell.ok("pin", "status", TEXT, "--json").record
    assert (status["committed"], status["state"]) == (False, "pending")


def test_two_signatures_of_two_commit_a_pin(shell: Shell, peer: LedgerPeer) -> None:
    digest = str(propose(shell, "--name", "photos", "--rmin", "2")["proposal"])

    answer = shell.ok("pin", "approve", digest[:12], "--key", "bob.key", "--yes", "--json")

    assert (answer.record["code"], answer.record["committed"]) == ("committed", True)
    record = peer.record(CID)
    assert record is not None
    assert (record.name, record.replication_min, record.replication_max) == ("photos", 2, 2)


def test_a_proposal_can_be_named_by_its_cid(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)

    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    assert peer.record(CID) is not None


def test_two_proposals_about_one_cid_must_be_told_apart(shell: Shell, peer: LedgerPeer) -> None:
    first, second = propose(shell)["proposal"], propose(shell)["proposal"]

    told = shell.misused("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    assert str(first)[:12] in told
    assert str(second)[:12] in told


def test_whoever_approves_reads_what_it_is_in_plain_words(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell, "--name", "photos", "--rmin", "2", "--rmax", "3", "--metadata", "source=attic")

    told = shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes").err

    assert f"pin          {TEXT}" in told
    assert 'name         "photos"' in told
    assert "copies       2 to 3 peers" in told
    assert 'metadata     "source"="attic"' in told
    assert "cluster      archive (" in told
    assert "approved by  alice (1 of 2)" in told


def test_nothing_is_signed_without_consent(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)

    answer = shell("pin", "approve", TEXT, "--key", "bob.key")

    assert answer.code == 2
    assert "hint: pass --yes" in answer.err
    assert peer.record(CID) is None


def test_a_stranger_s_key_signs_nothing(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)

    answer = shell("pin", "approve", TEXT, "--key", "mallory.key", "--yes")

    assert answer.code == 1
    assert "your key is not one of the maintainers of archive" in answer.err


def test_what_is_decided_is_not_signed_again(shell: Shell, peer: LedgerPeer) -> None:
    digest = propose(shell)["proposal"]
    shell.ok("pin", "approve", digest, "--key", "bob.key", "--yes")

    answer = shell("pin", "approve", digest, "--key", "carol.key", "--yes")

    assert answer.code == 1
    assert "this proposal has its approvals already: it was committed at batch " in answer.err
    assert "see `bftcluster pin status`" in answer.err


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_cid_that_is_pinned_by_then_is_said_to_be(
    shell: Shell, peer: LedgerPeer, verb: str
) -> None:
    propose(shell)
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    answer = shell("pin", verb, TEXT, "--key", "carol.key", "--yes")

    assert answer.code == 1
    assert f"{TEXT} is pinned already: its proposal has its approvals" in answer.err
    assert f"hint: see `bftcluster pin status {TEXT}`" in answer.err


def test_the_start_of_a_digest_that_is_decided_says_where_to_look(
    shell: Shell, peer: LedgerPeer
) -> None:
    digest = str(propose(shell)["proposal"])
    shell.ok("pin", "approve", digest, "--key", "bob.key", "--yes")

    told = shell.misused("pin", "approve", digest[:12], "--key", "carol.key", "--yes")

    assert f"no open proposal begins with {digest[:12]!r}" in told
    assert "it may have its approvals already: see `bftcluster pin status`" in told


def test_two_rejections_of_three_close_a_proposal(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)

    one = shell.ok("pin", "reject", TEXT, "--key", "bob.key", "--yes", "--json").record
    two = shell.ok("pin", "reject", TEXT, "--key", "carol.key", "--yes", "--json").record

    assert (one["code"], two["code"]) == ("rejection-counted", "rejected")
    assert shell.ok("pin", "pending").out == ""
    assert shell("pin", "status", TEXT).code == 1


def test_pending_lists_what_waits(shell: Shell, peer: LedgerPeer) -> None:
    digest = str(propose(shell, "--name", "photos")["proposal"])

    line = shell.ok("pin", "pending").out

    assert line.startswith(f"{digest[:12]}  pin {TEXT}  photos  pending: 1 of 2 approved (alice)")


def test_unpinning_needs_as_many_signatures(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    pending = shell.ok("pin", "rm", TEXT, "--key", "carol.key", "--yes", "--json").record
    assert peer.record(CID) is not None
    shell.ok("pin", "approve", str(pending["proposal"]), "--key", "bob.key", "--yes")

    assert peer.record(CID) is None


def test_one_line_says_who_is_behind_and_why(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell, "--name", "photos")
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")
    record = peer.record(CID)
    assert record is not None
    first, second, third = sorted(peer.names[each] for each in record.allocations)
    peer.holders = {
        (CID, first): (TrackerStatus.PINNED, ""),
        (CID, second): (TrackerStatus.PINNED, ""),
        (CID, third): (TrackerStatus.PIN_ERROR, "no peer has the block"),
    }

    listed = shell.ok("pin", "ls")

    assert listed.out == (
        f"{TEXT}  photos  committed  replicated 2/3  "
        f"behind: {third} pin_error: no peer has the block\n"
    )
    shown = shell.ok("pin", "status", TEXT)
    assert shown.out == listed.out
    for answer in (listed, shown, shell("pin", "status", TEXT, "--wait", "--timeout", "0.3")):
        assert "hint: a peer that failed tries again by itself" in answer.err
        assert "`bftcluster add PATH --no-pin`" in answer.err
    assert shell.ok("pin", "status", TEXT, "--json").err == ""


def test_a_peer_that_is_merely_behind_needs_no_advice(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    assert "hint" not in shell.ok("pin", "status", TEXT).err


def test_a_holder_without_a_link_is_unreachable(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell, "--allocs", peer_id_text(peer.genesis_of.peers[3].peer))
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")
    peer.down = ("peer4",)

    behind = shell.ok("pin", "status", TEXT).out
    peer.holders = {(CID, name): (TrackerStatus.PINNED, "") for name in peer.names.values()}
    held = shell.ok("pin", "status", TEXT).out

    assert "peer4 unreachable" in behind
    assert held == f"{TEXT}  committed  replicated 3/3  held but unreachable: peer4\n"


def test_waiting_ends_when_all_hold_it(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    peer.holders = {(CID, name): (TrackerStatus.PINNED, "") for name in peer.names.values()}

    answer = shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes", "--wait", "--json")

    assert (answer.record["replicated"], answer.record["wanted"]) == (3, 3)


def test_waiting_in_vain_ends_with_3_and_who_is_behind(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    answer = shell("pin", "status", TEXT, "--wait", "--timeout", "0.3")

    assert answer.code == 3
    assert "replicated 0/3  behind: peer" in answer.err


def test_waiting_for_what_nobody_proposed_says_how_to_propose_it(
    shell: Shell, peer: LedgerPeer
) -> None:
    answer = shell("pin", "status", TEXT, "--wait", "--timeout", "0.3")

    assert answer.code == 3
    assert "not replicated within 0 s: nobody has proposed it" in answer.err
    assert f"hint: propose it with `bftcluster pin add {TEXT}`" in answer.err


def test_waiting_for_what_lacks_approvals_says_whose_turn_it_is(
    shell: Shell, peer: LedgerPeer
) -> None:
    digest = str(propose(shell)["proposal"])

    answer = shell("pin", "status", TEXT, "--wait", "--timeout", "0.3")

    assert answer.code == 3
    assert "not replicated within 0 s: it waits for approvals" in answer.err
    assert f"hint: `bftcluster pin approve {digest[:12]}`" in answer.err


def test_no_decision_ends_with_3(shell: Shell, peer: LedgerPeer) -> None:
    peer.is_silent = True

    answer = shell("pin", "add", TEXT, "--key", "alice.key", "--yes", "--timeout", "1")

    assert answer.code == 3
    assert "did not decide" in answer.err


def test_a_refusal_says_why(shell: Shell, peer: LedgerPeer) -> None:
    digest = shell.ok("pin", "rm", TEXT, "--key", "alice.key", "--yes", "--json").record["proposal"]

    answer = shell("pin", "approve", digest, "--key", "bob.key", "--yes")

    assert answer.code == 1
    assert answer.err.endswith(
        "error: the cluster refused: pin is not part of the pinset (unknown pin)\n\n"
        "hint: see `bftcluster pin ls`\n"
    )


def test_a_list_that_breaks_off_is_no_whole_list(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes")
    peer.fails_after_pages = 1

    answer = shell("pin", "ls")

    assert answer.code == 3
    assert "the store stopped answering" in answer.err


def test_a_peer_cannot_pass_one_proposal_off_as_another(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    peer.intent_shown = intent(peer, OTHER).to_bytes()

    answer = shell("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    assert answer.code == 1
    assert "must not be signed: its bytes have another digest" in answer.err


def test_a_peer_cannot_show_a_proposal_about_another_cid(shell: Shell, peer: LedgerPeer) -> None:
    shell.ok("pin", "add", cids.text(OTHER), "--key", "alice.key", "--yes")
    peer.cid_shown = CID

    answer = shell("pin", "approve", TEXT, "--key", "bob.key", "--yes")

    assert answer.code == 1
    assert "a proposal about another CID than it says" in answer.err
    assert peer.record(OTHER) is None


def test_a_peer_of_another_cluster_is_refused(
    shell: Shell, peer: LedgerPeer, genesis: Path
) -> None:
    other = replace(read_genesis(genesis), nonce=b"\x01" * 32)
    (genesis.parent / "other.cbor").write_bytes(other.to_bytes())

    answer = shell("pin", "add", TEXT, "--key", "alice.key", "--yes", "--genesis", "other.cbor")

    assert answer.code == 1
    assert "is of cluster archive, not of that in other.cbor" in answer.err


def test_a_cluster_that_changes_behind_an_address_is_refused(
    shell: Shell, peer: LedgerPeer
) -> None:
    assert (
        "first contact with cluster archive"
        in shell("pin", "add", TEXT, "--key", "alice.key", "--yes").err
    )
    peer.genesis_of = replace(peer.genesis_of, nonce=b"\x01" * 32)

    answer = shell("pin", "add", TEXT, "--key", "alice.key", "--yes")

    assert answer.code == 1
    assert "belongs to another cluster than last time" in answer.err


def test_signatures_that_do_not_verify_are_not_named(shell: Shell, peer: LedgerPeer) -> None:
    propose(shell)
    peer._signer_of = lambda vote: forged(vote.maintainer)  # type: ignore[method-assign]

    told = shell("pin", "approve", TEXT, "--key", "bob.key", "--yes").err

    assert "approved by  nobody yet (0 of 2)" in told


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(
    shell: Shell, peer: LedgerPeer, genesis: Path, mode: int
) -> None:
    (genesis.parent / "alice.key").chmod(mode)

    answer = shell("pin", "add", TEXT, "--key", "alice.key", "--yes")

    assert answer.code == 1
    assert answer.err.endswith("hint: chmod 600 alice.key\n")


def test_a_wrong_passphrase_is_said_to_be_wrong(
    shell: Shell, peer: LedgerPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFTCLUSTER_PASSPHRASE", "wrong")

    answer = shell("pin", "add", TEXT, "--key", "alice.key", "--yes")

    assert answer.code == 1
    assert "wrong passphrase" in answer.err


def test_a_key_without_passphrase_asks_for_none(
    shell: Shell, peer: LedgerPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BFTCLUSTER_PASSPHRASE")
    shell.ok("key", "new", "dave", "--no-passphrase")

    answer = shell("pin", "add", TEXT, "--key", "dave.key", "--yes")

    assert "your key is not one of the maintainers" in answer.err


def intent(peer: LedgerPeer, cid: cids.Cid) -> Intent:
    genesis = peer.genesis_of
    return Intent(
        cluster_id=genesis.cluster_id,
        policy_version=genesis.policy.version,
        policy_hash=genesis.policy.hash,
        operation=PinOperation(cid=cid).to_bytes(),
        nonce=bytes(16),
        not_before_ms=1,
        expires_ms=86_400_000,
    )


def forged(maintainer: bytes) -> SignerView:
    return SignerView(maintainer=MaintainerId(maintainer), name="alice", signature=b"\x01" * 64)
