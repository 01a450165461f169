"""Whatever a proposer writes, the screen of an approver holds our lines and no others."""

import json
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from bftcluster import cid as cids
from bftcluster.errors import ClusterError
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import Operation, PinOperation, sorted_metadata
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.signing.approvals import Intent
from bftcluster.visible import visible
from bftcluster_cli.clusters import Cluster
from bftcluster_cli.commands.pins import pending_line
from bftcluster_cli.display.wording import operation_lines, proposal_text, subject_text
from bftcluster_cli.output import json_text
from bftcluster_cli.proposals import Proposal, new_intent
from bftcluster_cli.untrusted_text import cautions, label, quoted
from tests.unit.ledger.world import PEERS, World, peer_id

CLUSTER = Cluster(genesis=(GENESIS := World().genesis), policy=GENESIS.policy)
CID = cids.of_block(b"evil")
OUR_LABELS = (
    "pin",
    "name",
    "contents",
    "copies",
    "until",
    "cluster",
    "valid until",
    "approved by",
    "digest",
)
SCREEN_COLUMNS = 80

NASTY = st.sampled_from(
    "\n\r\t\x1b\x07\x00\x7f\x85\x9b\u2028\u2029\u200b\u200d\u202e\u2066\u2069\ufeff\u061c\u00ad"
    '\u3000\u00a0\u2800\u3164\u0301\u0489\ufe0f\U000e0041\U000e0100\ufdd0"\\ =…'
    "\u0440\u0410\u03b1"
)
CHARS = st.one_of(NASTY, st.sampled_from("ab "), st.characters(codec="utf-8"))
TEXTS = st.one_of(
    st.text(CHARS, max_size=120),
    st.just("").flatmap(lambda _: st.text(CHARS, max_size=12).map(lambda text: text * 20)),
    st.sampled_from(
        (
            " " * 65 + "  pin          bafkreigood".ljust(80) + "  name         report".ljust(80),
            "x\n  pin          bafkreigood\n  until        unpinned",
            "[y/N] sign and approve this?",
        )
    ),
)


def width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WFA" else 1 for char in line)


def is_harmless(char: str) -> bool:
    category = unicodedata.category(char)
    return char == " " or (category[0] in "LMNPS" and char not in "\u2800\u3164\u115f\u1160\uffa0")


def screen_of(operation: Operation) -> list[str]:
    intent: Intent = new_intent(CLUSTER, operation)
    proposal = Proposal(
        intent=intent, operation=operation, approvers=(), rejecters=(), state="pending"
    )
    return proposal_text(proposal, CLUSTER).split("\n")


@given(
    name=TEXTS.map(lambda text: text[:255]),
    metadata=st.dictionaries(
        TEXTS.map(lambda text: text[:128] or "key"), TEXTS.map(lambda text: text[:1024]), max_size=3
    ),
    origins=st.lists(TEXTS.map(lambda text: f"/dns/{text[:90]}/p2p/12D3"), max_size=2),
)
@example(name="", metadata={}, origins=[])
def test_the_screen_of_an_approver_is_written_by_us(
    name: str, metadata: dict[str, str], origins: list[str]
) -> None:
    operation = PinOperation(
        cid=CID, name=name, metadata=sorted_metadata(metadata), origins=tuple(origins)
    )

    lines = screen_of(operation)

    assert all(is_harmless(char) for line in lines for char in line)
    assert all(width(line) < SCREEN_COLUMNS for line in lines), "none is wrapped by the terminal"
    labels = [line[2:15].strip() for line in lines]
    assert [word for word in labels if word not in ("metadata", "origin", "careful")] == [
        *OUR_LABELS
    ]
    assert labels.count("metadata") == len(metadata)
    assert labels.count("origin") == len(origins)
    assert lines[0] == f"  pin          {cids.text(CID)}"


@given(name=TEXTS.map(lambda text: text[:100].strip()))
def test_whoever_lets_a_peer_in_reads_its_terms_on_a_screen_that_is_ours(name: str) -> None:
    try:
        terms = PeerTerms(capacity_bytes=10**12, domain=name, operator=name)
    except ClusterError:
        return  # Control characters are refused before anybody sees them.
    admission = AdmitPeer(peer=peer_id(PEERS[0]), name=name, addresses=(), votes=True, terms=terms)

    lines = operation_lines(admission, CLUSTER)

    labels = [line.partition(" ")[0] for line in lines]
    for word in ("capacity", "class", "domain", "operator"):
        assert labels.count(word) == 1
    assert all(map(is_harmless, "".join(lines)))
    assert "capacity     1.0 TB at most, whatever it says" in lines


@given(name=TEXTS.map(lambda text: text[:100] or "x"))
def test_the_question_ends_with_what_is_ours(name: str) -> None:
    for operation in (
        PinOperation(cid=CID, name=name[:255]),
        AdmitPeer(peer=peer_id(PEERS[0]), name="peer", addresses=(), votes=True),
    ):
        question = subject_text(operation)

        assert question.startswith(("pin ", "ADMIT PEER "))
        assert width(question.rpartition(" ")[0]) < SCREEN_COLUMNS - 20, "the name is not wrapped"
        assert question.rpartition(" ")[2].isascii()
        assert all(map(is_harmless, question))


@given(text=TEXTS, columns=st.integers(30, 100))
def test_quoted_text_fits_and_has_no_bare_quote(text: str, columns: int) -> None:
    shown = quoted(text, columns)

    assert width(shown) <= columns
    assert all(map(is_harmless, shown))
    assert shown.startswith('"')
    inner, closing, rest = shown[1:].rpartition('"')
    assert closing
    assert '"' not in inner.replace("\\\\", "").replace('\\"', "")
    assert rest in ("", f" ({len(text):,} characters)")
    assert "  " not in shown, "nothing is aligned by spaces"


@given(text=TEXTS)
def test_a_label_is_plain_or_quoted(text: str) -> None:
    assert label(text) in (text, quoted(text, 40))
    assert all(map(is_harmless, label(text)))


@given(text=TEXTS)
def test_what_is_visible_stays_so(text: str) -> None:
    shown = visible(text)

    assert all(map(is_harmless, shown))
    assert shown.isprintable()
    assert visible(shown) == shown


@given(value=st.dictionaries(TEXTS, TEXTS))
def test_json_holds_the_text_and_no_control_character(value: dict[str, str]) -> None:
    written = json_text(value)

    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written) == value


@given(text=TEXTS)
def test_a_list_of_proposals_has_one_line_for_each(text: str) -> None:
    record = {"digest": text, "kind": text, "cid": text, "name": text, "state": text}
    line = pending_line({**record, "threshold": text, "approvals": [{"name": text}]})

    assert all(map(is_harmless, line))


@given(texts=st.lists(TEXTS, max_size=5))
def test_cautions_are_few_and_short(texts: list[str]) -> None:
    found = cautions(texts)

    assert len(found) <= 5
    assert all(line.isascii() or "…" in line for line in found)
