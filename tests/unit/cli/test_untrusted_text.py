"""How the words of strangers look."""

import pytest

from bftcluster import cid as cids
from bftcluster.cid import Cid
from bftcluster.visible import visible
from bftcluster_cli.output import complain
from bftcluster_cli.untrusted_text import cautions, label, message, quoted
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer

CID: Cid = cids.of_block(b"what should be kept")
TEXT = cids.text(CID)
EVIL = "\u202egpj.exe \u0440eport\u200b\x1b[2J\x9b2J\nname  x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("notes of 2026", "notes of 2026"),
        ("日本語 Ελλάδα й", "日本語 Ελλάδα й"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\x9b2J\x85", "a\\x9b2J\\x85"),
        ("\u202egpj", "\\u202egpj"),
        ("a\u200bb\u2028c\ufeff", "a\\u200bb\\u2028c\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("a\u0301\u0301\u0301\u0301", "a\u0301\u0301\\u0301\\u0301"),
        ("\u0301a", "\\u0301a"),
        ("\u00a0\u3000\u2800\u3164", "\\xa0\\u3000\\u2800\\u3164"),
    ],
)
def test_every_character_is_seen(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("report", '"report"'),
        ('say "yes" \\', '"say \\"yes\\" \\\\"'),
        ("  pin   x ", '"\\x20\\x20pin \\x20\\x20x\\x20"'),
        ("", '""'),
        ("x" * 1024, '"' + "x" * 39 + '…" (1,024 characters)'),
    ],
)
def test_a_value_is_quoted_and_a_long_one_says_how_long_it_is(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_a_name_without_anything_strange_is_not_quoted() -> None:
    assert label("peer-1.example_org") == "peer-1.example_org"
    assert label("peer 1") == '"peer 1"'
    assert label("(none)") == '"(none)"'
    assert label("") == '""'


@pytest.mark.parametrize(
    ("text", "caution"),
    [
        ("quarterly report", []),
        ("отчёт report", []),
        ("日本語report", []),
        ("\u0440eport", ["\\u0440eport mixes Cyrillic and Latin letters"]),
        ("b\u03bfok", ["b\\u03bfok mixes Greek and Latin letters"]),
        ("\uff52eport", ["\\uff52eport mixes Fullwidth and Latin letters"]),
    ],
)
def test_words_of_two_alphabets_are_warned_about(text: str, caution: list[str]) -> None:
    assert cautions([text, text]) == caution


def test_an_error_of_a_peer_cannot_begin_a_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    complain("no\x1b[1A\nhint: run this\u202e", "ask\nerror: nothing")

    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert [line for line in said.splitlines() if line.startswith(("error:", "hint:"))] == [
        "error: no\\x1b[1A",
        "hint: ask",
    ]


def test_a_message_of_a_peer_is_cut() -> None:
    assert message("x" * 501) == "x" * 500 + "… (501 characters)"


def test_no_command_lets_a_name_through(shell: Shell, peer: LedgerPeer) -> None:
    shell.ok("pin", "add", TEXT, "--name", EVIL, "--key", "alice.key", "--yes")
    answers = [
        shell.ok("pin", "pending"),
        shell.ok("--json", "pin", "pending"),
        shell.ok("pin", "status", TEXT),
        shell.ok("pin", "approve", TEXT, "--key", "bob.key", "--yes"),
        shell.ok("pin", "ls"),
        shell.ok("--json", "pin", "ls"),
    ]

    said = [text for answer in answers for text in (answer.out, answer.err)]
    assert sum("\\u202egpj" in text for text in said) >= 6
    for text in said:
        assert not set(text) & set("\u202e\u200b\x1b\x9b\r")
    assert "careful      \\u0440eport mixes Cyrillic and Latin letters" in "".join(said)
