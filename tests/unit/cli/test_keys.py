import stat
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Shell

PASS = "first line\nsecond line\n"


def test_a_new_key_is_readable_by_its_owner_only(shell: Shell, home: Path) -> None:
    (home / "pass").write_text(PASS)

    shell.ok("key", "new", "alice", "--passphrase-file", "pass", "--strength", "interactive")

    assert stat.S_IMODE((home / "alice.key").stat().st_mode) == 0o600
    assert (home / "alice.pub").read_text().startswith("alice=z6Mk")
    assert sorted(path.name for path in home.iterdir()) == ["alice.key", "alice.pub", "pass"]


def test_the_public_half_needs_no_passphrase(shell: Shell, keys: Path) -> None:
    from_secret = shell.ok("key", "show", "alice.key", "--json").record
    from_public = shell.ok("key", "show", "alice.pub", "--json").record

    assert from_secret["key"] == from_public["key"]
    assert (from_secret["secret"], from_public["secret"]) == (True, False)
    assert shell.ok("key", "show", "alice.pub").out == f"alice={from_public['key']}\n"


def test_an_existing_key_is_never_overwritten(shell: Shell, keys: Path) -> None:
    before = (keys / "alice.key").read_bytes()

    answer = shell("key", "new", "alice", "--strength", "interactive")

    assert answer.code == 2
    assert "exists already" in answer.err
    assert (keys / "alice.key").read_bytes() == before


def test_without_a_terminal_the_passphrase_must_be_given(shell: Shell) -> None:
    told = shell.misused("key", "new", "alice")

    assert "hint: pass --passphrase-file FILE or set BFTCLUSTER_PASSPHRASE" in told


@pytest.mark.parametrize("name", ["", "a=b", "a/b", "a\nb", " a", "a" * 101])
def test_a_name_that_would_confuse_is_refused(shell: Shell, name: str) -> None:
    assert shell("key", "new", name, "--no-passphrase").code == 2


def test_what_is_not_a_key_file_is_said_to_be_none(shell: Shell, home: Path) -> None:
    (home / "bad.key").write_bytes(b"\x00" * 100)

    answer = shell("key", "show", "bad.key")

    assert answer.code == 1
    assert answer.err.startswith("error: not a key file")
