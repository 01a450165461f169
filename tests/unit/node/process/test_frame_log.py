"""The log of frames: whole lines whatever happens, and never in a peer's way."""

import json
from pathlib import Path

import pytest

from bftcluster.errors import ConfigError
from bftcluster.ids import PeerId
from bftcluster.node.process.frame_log import FrameLog
from bftcluster.signing.keys import peer_id_text

SENDER = PeerId(b"p" * 32)


class Noon:
    def wall_ms(self) -> int:
        return 12


def noted(path: Path, *frames: bytes, size_max_bytes: int = 1 << 20) -> None:
    log = FrameLog(path, Noon(), size_max_bytes=size_max_bytes)
    for frame in frames:
        log.note(SENDER, frame)
    log.close()


def test_a_line_says_who_when_and_what(tmp_path: Path) -> None:
    noted(tmp_path / "log", b"\x01\x02")

    assert json.loads((tmp_path / "log").read_text()) == {
        "wall_ms": 12,
        "from": peer_id_text(SENDER),
        "frame": "0102",
    }


def test_a_second_run_appends(tmp_path: Path) -> None:
    noted(tmp_path / "log", b"a")
    noted(tmp_path / "log", b"b")

    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == ["61", "62"]


def test_a_line_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    noted(tmp_path / "log", b"a")
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"wall_ms": 1')

    noted(tmp_path / "log", b"b")

    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["frame"] == "62"


def test_it_stops_at_its_bound_on_a_whole_line(tmp_path: Path) -> None:
    noted(tmp_path / "log", *[b"frame"] * 10, size_max_bytes=300)

    data = (tmp_path / "log").read_bytes()
    assert 200 < len(data) <= 300
    assert data.endswith(b"}\n")


def test_a_full_disk_ends_the_log_and_not_the_peer() -> None:
    noted(Path("/dev/full"), b"a", b"b")


def test_a_file_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot open log\.frames"):
        FrameLog(tmp_path / "missing" / "log", Noon())
