import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bftcluster.errors import UsageError
from bftcluster_cli.demo.cluster import how_to_go_on, new_cluster
from bftcluster_cli.demo.content import first_difference, make_sample, measure
from bftcluster_cli.demo.narrator import Narrator
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerFailedError, stop_all
from bftcluster_cli.demo.report import DemoReport
from bftcluster_cli.main import main
from tests.unit.cli.conftest import Shell


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two directories with the same in them."""
    for name in ("left", "right"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").write_bytes(b"same")
        (tmp_path / name / "link").symlink_to("below/file")
    return tmp_path / "left", tmp_path / "right"


def test_the_same_twice_has_no_difference(pair: tuple[Path, Path]) -> None:
    assert first_difference(*pair) == ""


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda path: (path / "below" / "file").write_bytes(b"sane"), "below/file differs"),
        (lambda path: (path / "below" / "file").unlink(), "below/file is only in the source"),
        (lambda path: (path / "more").touch(), "more is only in what came back"),
        (lambda path: (path / "more").mkdir(), "more is only in what came back"),
        (
            lambda path: ((path / "link").unlink(), (path / "link").symlink_to("below")),
            "link differs",
        ),
    ],
)
def test_every_difference_is_found(pair: tuple[Path, Path], change, difference: str) -> None:
    change(pair[1])

    assert first_difference(*pair) == difference


def test_the_sample_has_what_is_awkward(tmp_path: Path) -> None:
    make_sample(tmp_path / "sample")

    files, size_bytes = measure(tmp_path / "sample")
    assert files >= 20
    assert size_bytes > 1_000_000
    assert any(not path.name.isascii() for path in tmp_path.rglob("*"))
    assert any(path.is_file() and not path.stat().st_size for path in tmp_path.rglob("*"))


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(8)

    assert len(set(ports)) == 8
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_a_port_that_somebody_was_given_is_not_given_again() -> None:
    (first,) = free_ports(1)
    few = range(first, first + 32)

    assert first not in free_ports(16, among=few)
    with pytest.raises(UsageError):
        free_ports(16, among=few)


FORKED = """
import os, signal
from bftcluster_cli.demo.processes import die_with_parent

signal.signal(signal.SIGTERM, lambda *_: None)
child = os.fork()
if not child:
    die_with_parent(os.getppid())
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_peer_told_to_end_before_it_has_become_one_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
    )

    assert int(done.stdout) == -signal.SIGTERM


def test_a_peer_that_cannot_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    cluster = new_cluster(tmp_path, Narrator(), 30, main)
    peer = cluster.peers[0]
    peer.directory.mkdir()
    peer.start()
    try:
        with pytest.raises(PeerFailedError, match="peer1 ended by itself with code 2") as caught:
            cluster.wait_for("starting", peer, lambda: False)
    finally:
        stop_all(cluster.peers)

    assert "hint: bftcluster peer init" in caught.value.log


def test_a_report_is_good_only_with_everything_shown() -> None:
    report = DemoReport(peers=4, threshold=2, maintainers=3)
    report.committed = report.survived_kill = report.caught_up = True
    report.refused_under_threshold = report.content_identical = True
    report.replicated = report.wanted = 3
    assert report.is_good

    report.replicated = 2

    assert not report.is_good
    assert "NO   replicated 2/3" in report.text()


def test_a_cluster_that_is_kept_comes_with_the_lines_that_start_it_again(tmp_path: Path) -> None:
    directory = tmp_path / "a demo"
    cluster = new_cluster(directory, Narrator(), 1.0, lambda _: 0)
    assert how_to_go_on(cluster) == "", "there is none yet"
    directory.mkdir()
    cluster.genesis.write_bytes(b"a genesis")

    told = how_to_go_on(cluster)

    for peer in cluster.peers:
        assert f"bftcluster peer run '{peer.directory}' 2>> '{peer.log_path}' &" in told
    assert f"export BFTCLUSTER_API={cluster.peers[0].api}" in told
    assert f"export BFTCLUSTER_GENESIS='{cluster.genesis}'" in told
    assert f"export BFTCLUSTER_PASSPHRASE_FILE='{cluster.passphrase}'" in told
    assert f"--key '{cluster.key('alice')}'" in told


@pytest.mark.parametrize("option", ["--path", "--workdir"])
def test_a_demo_of_nothing_is_refused(shell: Shell, option: str) -> None:
    assert shell("demo", option, "nowhere").code == 2


def test_a_demo_says_early_what_it_could_not_read_back(shell: Shell, home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "link").symlink_to(os.sep + "etc")

    told = shell.misused("demo", "--path", "mine")

    assert "mine/link leads outside" in told


def test_a_command_that_is_shown_has_no_escapes_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Narrator().show_command(["pin", "status", "a b", "\x1b[2J"])

    assert capsys.readouterr().err == f"{'':10}$ bftcluster pin status 'a b' '\\x1b[2J'\n"
