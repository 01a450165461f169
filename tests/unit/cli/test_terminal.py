"""What a person at a terminal sees: a real pseudo-terminal, and the command as its own process."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bftcluster import cid as cids
from tests.unit.cli.conftest import PASSPHRASE, Shell
from tests.unit.cli.ledger_peer import LedgerPeer

CID = cids.of_block(b"what should be kept")
TEXT = cids.text(CID)


def converse(
    *words: object, answers: tuple[tuple[str, str], ...] = (), **more: str
) -> tuple[int, str]:
    """Run the command at a terminal; give each answer once its question is asked."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if "PASSPHRASE" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "bftcluster_cli", *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, **more, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    os.close(theirs)
    pending, said = list(answers), ""
    while True:
        try:
            piece = os.read(ours, 4096).decode()
        except OSError:  # the far end is closed
            break
        if not piece:
            break
        said += piece
        if pending and pending[0][0] in said:
            os.write(ours, f"{pending.pop(0)[1]}\n".encode())
    os.close(ours)
    return process.wait(), said


@pytest.fixture
def proposed(shell: Shell, peer: LedgerPeer) -> LedgerPeer:
    """A pin that waits for one more signature."""
    shell.ok("pin", "add", TEXT, "--name", "photos", "--key", "alice.key", "--yes")
    return peer


def approve(answer: str, passphrase: str = PASSPHRASE) -> tuple[int, str]:
    questions = (("[y/N]", answer), ("passphrase of bob", passphrase))
    return converse("pin", "approve", TEXT, "--key", "bob.key", answers=questions)


def test_whoever_says_yes_signs(proposed: LedgerPeer) -> None:
    code, said = approve("y")

    assert code == 0, said
    assert said.index('name         "photos"') < said.index(
        f'sign and approve pin "photos" {TEXT}? [y/N]'
    )
    assert PASSPHRASE not in said
    assert proposed.record(CID) is not None


@pytest.mark.parametrize("answer", ["n", "", "maybe"])
def test_whoever_does_not_say_yes_signs_nothing(proposed: LedgerPeer, answer: str) -> None:
    code, said = approve(answer)

    assert code == 1
    assert "nothing was signed" in said
    assert proposed.record(CID) is None


def test_a_mistyped_passphrase_signs_nothing(proposed: LedgerPeer) -> None:
    code, said = approve("y", passphrase="open sesane")

    assert code == 1
    assert "wrong passphrase" in said
    assert proposed.record(CID) is None


def test_a_new_passphrase_is_typed_twice(home: Path) -> None:
    questions = (("new passphrase", "secret"), ("the same again", "secret"))

    code, said = converse("key", "new", "alice", "--strength", "interactive", answers=questions)

    assert code == 0, said
    assert "secret" not in said
    assert (home / "alice.key").exists()


def test_an_upload_shows_how_far_it_is(peer: LedgerPeer, home: Path) -> None:
    (home / "large").write_bytes(bytes(3_000_000))

    code, said = converse("add", "large", "--no-pin", TERM="xterm")

    assert code == 0, said
    assert "adding 1 file" in said


def test_colour_is_left_out_when_not_wanted(home: Path) -> None:
    plain = converse("key", "show", "nothing", NO_COLOR="1")[1]
    coloured = converse("key", "show", "nothing", NO_COLOR="", TERM="xterm")[1]

    assert "\x1b" not in plain
    assert "\x1b[31m" in coloured
    assert plain.startswith("error: ")
