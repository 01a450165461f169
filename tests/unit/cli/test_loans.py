"""``bftcluster lend`` and ``bftcluster invite``, as far as they need no cluster."""

from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster.ids import ClusterId, PeerId
from bftcluster.ledger.wire.invitation_text import Invitation, invitation_from_text
from bftcluster.node.process.config import Config
from bftcluster.node.process.config_text import default_text
from bftcluster.node.process.loan_file import LOAN_FILE, LoanChoice
from bftcluster_cli.clusters import read_genesis
from bftcluster_cli.commands.invites import invite_line
from bftcluster_cli.commands.lend import unit_text
from bftcluster_cli.display.qr_code import qr_text
from bftcluster_cli.loans.newcomer import blocks_bytes_of
from tests.unit.cli.conftest import Shell
from tests.unit.cli.test_clusters_and_peers import init

GB = 10**9
WORD = Invitation(
    cluster_id=ClusterId(b"c" * 32),
    name="archive",
    expires_ms=4_000_000_000_000,
    seed=b"s" * 32,
    relays=((PeerId(b"p" * 32), ("/ip4/127.0.0.1/tcp/1",)),),
)


@pytest.fixture
def lent(shell: Shell, keys: Path) -> Path:
    """A directory from which 4 GB are lent, to a cluster that nobody runs."""
    assert init(shell, "--output", "genesis.cbor").code == 0
    place = keys / "lent"
    place.mkdir()
    (place / "genesis.cbor").write_bytes((keys / "genesis.cbor").read_bytes())
    (place / LOAN_FILE).write_bytes(LoanChoice(quota_bytes=4 * GB).to_bytes())
    text = default_text(storage={"quota": "1GB"}, api={"listen": ["127.0.0.1:1"]})
    (place / "config.toml").write_text(text)
    return place


def choice(place: Path) -> LoanChoice:
    found = LoanChoice.load(place)
    assert found is not None
    return found


def test_what_is_chosen_is_written_down_for_the_peer(shell: Shell, lent: Path) -> None:
    shell.ok("lend", "pause", "--dir", lent)
    assert choice(lent).is_paused
    shell.ok("lend", "resume", "--dir", lent)
    assert not choice(lent).is_paused

    shell.ok("lend", "leave", "--dir", lent)
    assert (choice(lent).leaves, choice(lent).leaves_now) == (True, False)
    shell.ok("lend", "leave", "--now", "--dir", lent)
    assert choice(lent).leaves_now


def test_limits_are_of_the_disk_and_of_traffic_each_way(shell: Shell, lent: Path) -> None:
    answer = shell.ok("lend", "limits", "--quota", "2GB", "--day-up", "5GB", "--dir", lent)

    assert "disk 2.0 GB; blocks: day up 5.0 GB" in answer.out
    assert choice(lent).traffic == {"day_up": 5 * GB, "day_down": 0, "month_up": 0, "month_down": 0}
    assert Config.load(lent).quota_bytes == blocks_bytes_of(2 * GB, is_light=False)
    again = shell.ok("lend", "limits", "--day-up", "0", "--dir", lent)
    assert "no bound on traffic" in again.out
    assert choice(lent).quota_bytes == 2 * GB


def test_more_than_the_disk_has_is_not_lent(shell: Shell, lent: Path) -> None:
    answer = shell("lend", "limits", "--quota", "900000TB", "--dir", lent)

    assert answer.code == 2
    assert "cannot be lent" in answer.err
    assert choice(lent).quota_bytes == 4 * GB


def test_a_peer_that_does_not_run_is_said_not_to(shell: Shell, lent: Path) -> None:
    shown = shell.ok("lend", "status", "--json", "--dir", lent).record

    assert (shown["state"], shown["is_running"], shown["quota_bytes"]) == ("lending", False, 4 * GB)
    assert "does not run" in shell.ok("lend", "status", "--dir", lent).out


@pytest.mark.parametrize("verb", ["status", "pause", "leave", "install", "start", "limits"])
def test_where_nothing_is_lent_the_next_step_is_said(
    shell: Shell, tmp_path: Path, verb: str
) -> None:
    answer = shell("lend", verb, "--dir", tmp_path)

    assert answer.code == 2
    assert "nothing is lent" in answer.err
    assert "bftcluster lend INVITE" in answer.err


def test_a_directory_is_lent_to_one_cluster(shell: Shell, lent: Path) -> None:
    answer = shell("lend", WORD.to_text(), "--quota", "2GB", "--dir", lent)

    assert answer.code == 2
    assert "to another cluster already" in answer.err


def test_how_much_is_asked_before_anything_is_done(shell: Shell, tmp_path: Path) -> None:
    place = tmp_path / "lent"

    answer = shell("lend", WORD.to_text(), "--dir", place)

    assert answer.code == 2
    assert "--quota 500GB" in answer.err
    assert not place.exists()


def test_a_second_try_goes_by_what_it_says(shell: Shell, tmp_path: Path) -> None:
    place = tmp_path / "lent"
    for quota in ("4GB", "2GB"):
        answer = shell("lend", WORD.to_text(), "--quota", quota, "--dir", place)
        assert "no peer of the invitation answers" in answer.err

    assert choice(place).quota_bytes == 2 * GB
    assert Config.load(place).quota_bytes == blocks_bytes_of(2 * GB, is_light=False)


def test_the_unit_runs_what_a_person_would_type(
    shell: Shell, lent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lent))

    answer = shell.ok("lend", "install", "--dir", lent)

    unit = Path(answer.out.strip()).read_text()
    assert unit == unit_text(unit.split('"')[1], lent.resolve())
    assert f'lend start --dir "{lent.resolve()}"' in unit
    assert "systemctl --user enable --now" in answer.err


def test_the_word_of_this_cluster_goes_on_where_it_was(
    shell: Shell, lent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setattr("bftcluster_cli.commands.lend._run", started.append)
    own = replace(WORD, cluster_id=read_genesis(lent / "genesis.cbor").cluster_id)

    shell.ok("lend", own.to_text(), "--month-down", "1TB", "--dir", lent)

    assert started == [lent.resolve()]
    assert choice(lent).month_down_bytes == 1000 * GB


def test_an_invitation_is_a_line_with_who_came() -> None:
    record = {
        "name": "00ff",
        "uses": 3,
        "uses_left": 2,
        "expires": "2026-12-24T00:00:00Z",
        "capacity_bytes": GB,
        "quota_class": "volunteer",
        "came": ["12D3a", "12D3b"],
    }

    line = invite_line(record, {"12D3a": "barn"})

    assert "2 uses left of 3" in line
    assert "came: barn, 12D3b (left)" in line
    assert "revoked of 3" in invite_line({**record, "revoked": True}, {})


def test_a_word_is_a_qr_code_that_a_terminal_has_room_for() -> None:
    lines = qr_text(WORD.to_text()).splitlines()

    assert 20 < len(lines) <= 44
    assert any("\u2580" in line or "\u2584" in line for line in lines)


def test_what_was_scanned_is_the_word_in_capitals() -> None:
    assert invitation_from_text(WORD.to_text().upper()) == WORD
