import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from bftcluster import __version__, core_form
from bftcluster_cli.app import app
from bftcluster_cli.exits import EXIT_USAGE
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.main import main
from tests.unit.cli.conftest import Shell

VERSION = {"version": __version__, "core": core_form()}
HEAVY = {"libp2p", "sqlalchemy", "httpx", "rich", "nacl", "trio", "cbor2", "starlette", "structlog"}


def commands(*, are_leaves: bool = False) -> list[tuple[str, ...]]:
    """Return every command with the words that lead to it; the groups too, or the leaves only."""
    found: list[tuple[str, ...]] = []
    pending: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while pending:
        words, command = pending.pop(0)
        below = sorted(getattr(command, "commands", {}).items())
        if not (below and are_leaves):
            found.append(words)
        pending += [((*words, name), each) for name, each in below]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize("words", commands(are_leaves=True), ids=" ".join)
def test_every_command_shows_examples(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])

    assert f"  bftcluster {' '.join(words)}" in result.output.partition("Examples:")[2]


def test_nothing_heavy_is_imported_at_the_start() -> None:
    code = "import sys, bftcluster_cli.main; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert not HEAVY & {name.partition(".")[0] for name in run.stdout.split()}


def test_it_runs_as_a_program() -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-m", "bftcluster_cli", "version", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert (run.returncode, json.loads(run.stdout)) == (0, VERSION)
    assert run.stderr == ""


@pytest.mark.parametrize("line", ["--json version", "version --json"])
def test_global_options_may_stand_anywhere(shell: Shell, line: str) -> None:
    assert shell.ok(*line.split()).record == VERSION


@pytest.mark.parametrize(
    "line",
    [
        "pin nonsense",
        "pin ls --nonsense",
        "key show",
        "pin ls --timeout soon",
        "pin ls --timeout 0",
        "pin ls --timeout",
        "pin ls --api ftp://x",
        "pin add not-a-cid",
        "pin status --wait",
        "add nowhere",
        "cluster show nowhere",
    ],
)
def test_a_line_that_makes_no_sense_ends_with_2(shell: Shell, line: str) -> None:
    answer = shell(*line.split())

    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")


def test_a_noun_alone_shows_its_verbs(shell: Shell) -> None:
    answer = shell("pin")

    assert answer.code == 2
    assert answer.out == ""
    assert "approve" in answer.err


def test_a_noun_says_all_that_can_be_done_with_it(shell: Shell) -> None:
    nouns = shell.ok("--help").out
    cluster = shell.ok("cluster", "--help").out

    assert "Set up a cluster, change its members, and recover it." in nouns
    assert "Make a peer, run it, see how it is doing, and recover it." in nouns
    for line in (
        "before it runs    init, show",
        "while it runs     health, members; admit, remove, age-rules",
        "when it cannot    recover",
    ):
        assert line in cluster


def test_no_peer_is_not_reached_and_says_how_to_start_one(shell: Shell) -> None:
    answer = shell("id", "--api", "127.0.0.1:1")

    assert answer.code == 3
    assert answer.err == (
        "error: no peer answers at http://127.0.0.1:1\n"
        "\n"
        "hint: start one with `bftcluster peer run DIR`, or name another with --api\n"
    )


def test_a_bug_is_reported_without_a_stack(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bftcluster_cli.app.emit", lambda *_: 1 / 0)

    answer = shell("version")

    assert answer.code == 70
    assert "a bug in bftcluster: ZeroDivisionError" in answer.err
    assert "BFTCLUSTER_DEBUG=1" in answer.err
    assert "Traceback" not in answer.err


def test_a_bug_is_reported_with_its_stack_when_asked(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bftcluster_cli.app.emit", lambda *_: 1 / 0)
    monkeypatch.setenv("BFTCLUSTER_DEBUG", "1")

    assert "Traceback" in shell("version").err


def test_an_interrupted_command_ends_with_130(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bftcluster_cli.app.emit", interrupt)

    answer = shell("version")

    assert (answer.code, answer.out, answer.err) == (130, "", "")


def test_settings_have_the_documented_defaults() -> None:
    assert GlobalOptions().api == "http://127.0.0.1:9094"
    assert main(["version"]) == 0


def test_a_key_file_that_others_can_read_is_refused(shell: Shell, genesis: Path) -> None:
    (genesis.parent / "alice.key").chmod(0o644)

    answer = shell("pin", "add", "bafkqaaa", "--key", "alice.key", "--api", "127.0.0.1:1", "--yes")

    assert answer.code == 3


@pytest.mark.parametrize("line", ["peer run .", "demo", "sim cluster swarm --seeds 1", "--help"])
@pytest.mark.parametrize("switch", ["-O", "PYTHONOPTIMIZE=1"])
def test_nothing_runs_with_assertions_off(line: str, switch: str) -> None:
    flags = [switch] if switch.startswith("-") else []
    variables = dict([switch.split("=")]) if not flags else {}
    run = subprocess.run(
        [sys.executable, *flags, "-P", "-m", "bftcluster_cli", *line.split()],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), **variables},
    )

    assert (run.returncode, run.stdout) == (EXIT_USAGE, "")
    assert "assertions off" in run.stderr
    assert "hint: start Python without -O" in run.stderr
