import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.signing.approvals import approve
from bftcluster.signing.proposal_file import ProposalFile
from tests.unit.signing.people import ALICE, BOB, CAROL, intent_of

INTENT = intent_of()
DATA = INTENT.to_bytes()


def test_two_copies_of_a_file_merge_into_one_with_all_approvals() -> None:
    carried = ProposalFile(intent=INTENT)
    by_alice = carried.with_approvals([approve(DATA, ALICE)])
    by_others = carried.with_approvals([approve(DATA, CAROL), approve(DATA, BOB)])

    merged = by_alice.merge(by_others)

    assert len(merged.approvals) == 3
    assert merged == by_others.merge(by_alice)


def test_an_approval_that_is_in_both_files_is_kept_once() -> None:
    file = ProposalFile(intent=INTENT).with_approvals([approve(DATA, ALICE)])

    assert file.merge(file) == file


def test_a_file_survives_its_encoding() -> None:
    file = ProposalFile(intent=INTENT).with_approvals([approve(DATA, ALICE), approve(DATA, BOB)])

    assert ProposalFile.from_bytes(file.to_bytes()) == file


def test_files_for_different_intents_do_not_merge() -> None:
    with pytest.raises(UsageError, match="different things"):
        ProposalFile(intent=INTENT).merge(ProposalFile(intent=intent_of(nonce=2)))


@pytest.mark.parametrize(
    "items",
    [
        ["other", 1, DATA, []],
        ["bftcluster-proposal", 2, DATA, []],
        ["bftcluster-proposal", 1, b"", []],
        ["bftcluster-proposal", 1, DATA, [[b"key"]]],
        ["bftcluster-proposal", 1, DATA, [[bytes(32), bytes(64)]] * 257],
        [],
    ],
)
def test_bytes_that_are_no_proposal_file_are_refused(items: list) -> None:
    with pytest.raises(MalformedMessageError):
        ProposalFile.from_bytes(codec.encode(items))
