"""The demonstration as a user starts it: real processes, real sockets, real disks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROMISES = (
    "refused_under_threshold",
    "committed",
    "survived_kill",
    "caught_up",
    "content_identical",
)


MISDEEDS = b"bftcluster_cli.demo.volunteers."
"""What processes run that misbehave."""


def start(workdir: Path, *options: str, story: Sequence[str] = ()) -> subprocess.Popen[str]:
    line = ["demo", *story, "--json", "--workdir", str(workdir), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "bftcluster_cli", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )


def peers_in(workdir: Path) -> list[int]:
    """Return the processes whose command line names ``workdir``, but for the demo itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        is_peer = b"run" in words or b"lend" in words or any(MISDEEDS in word for word in words)
        if is_peer and any(str(workdir).encode() in word for word in words):
            found.append(int(path.parent.name))
    return found


def wait_until_gone(workdir: Path) -> None:
    end_s = time.monotonic() + 20
    while peers_in(workdir):
        assert time.monotonic() < end_s, "a peer outlives the demonstration"
        threading.Event().wait(0.1)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"the demo never said {words!r}")


def test_every_promise_is_kept(tmp_path: Path) -> None:
    out, err = start(tmp_path).communicate(timeout=200)

    record = json.loads(out)
    assert [record[promise] for promise in PROMISES] == [True] * len(PROMISES), err
    assert (record["peers"], record["threshold"], record["maintainers"]) == (4, 2, 3)
    assert (record["replicated"], record["wanted"]) == (3, 3)
    assert record["cid"].startswith("bafy")
    assert list(tmp_path.iterdir()) == []
    wait_until_gone(tmp_path)


def test_a_directory_of_the_user_is_pinned_and_everything_kept(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / ".hidden").write_bytes(os.urandom(300_000))
    (source / "deep" / "empty").mkdir()
    (source / "ö 100%.txt").write_text("text")
    (source / "link").symlink_to("deep/er/.hidden")
    workdir = tmp_path / "work"
    workdir.mkdir()

    process = start(workdir, "--path", str(source), "--keep")
    out, err = process.communicate(timeout=200)

    record = json.loads(out)
    assert record["content_identical"], err
    assert (record["files"], record["size_bytes"]) == (2, 300_004)
    assert (Path(record["directory"]) / "peer1" / "peer.log").exists()
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    read_until(process, "peer run peer4")

    process.send_signal(number)

    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    wait_until_gone(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_killed_outright_it_still_takes_its_peers_along(tmp_path: Path) -> None:
    process = start(tmp_path)
    read_until(process, "peer run peer4")

    process.kill()

    process.communicate(timeout=60)
    wait_until_gone(tmp_path)


def test_volunteers_keep_everything_though_one_votes_twice_some_drop_out_and_one_leaves(
    tmp_path: Path,
) -> None:
    """What audits and standings take minutes for is left to `bftcluster demo volunteers`."""
    options = ("--volunteers", "8", "--brief", "--timeout", "90")
    process = start(tmp_path, *options, story=("volunteers",))

    out, err = process.communicate(timeout=400)

    record = json.loads(out)
    counted = ("honest_suspended", "under_replicated", "bytes_over_quota", "lost")
    assert [record[name] for name in counted] == [0] * len(counted), err
    assert (record["replicas"], record["relays"], record["volunteers"]) == (4, 2, 8)
    assert (record["evicted"], record["dropped_out"], record["left"]) == (1, 2, True)
    assert record["time_scale"] == 4320
    [found] = record["liars"]
    assert (found["standing"], found["found_by"]) == ("evicted", "fraud")
    assert found["evidence"]["proof"]
    assert process.returncode == 0, err
    wait_until_gone(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_volunteers_told_to_stop_leave_nothing_behind(tmp_path: Path) -> None:
    process = start(tmp_path, "--volunteers", "8", story=("volunteers",))
    read_until(process, "lend")

    process.send_signal(signal.SIGINT)

    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    wait_until_gone(tmp_path)
    assert list(tmp_path.iterdir()) == []
