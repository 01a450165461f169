"""The real disk, and the lock on a directory of it."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from bftcluster.errors import ConfigError
from bftcluster.ids import ClusterId, PeerId
from bftcluster.storage.disk import PosixDisk
from bftcluster.storage.lock import LOCK_NAME, DirectoryLock
from bftcluster.storage.wal import WAL_NAME, Wal

CLUSTER = ClusterId(b"c" * 32)
PEER = PeerId(b"p" * 32)


def test_a_log_on_a_real_disk_survives_being_reopened(tmp_path: Path) -> None:
    disk = PosixDisk(tmp_path / "new" / "data")
    wal = Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(16))
    wal.append([b"one", b"two" * 10_000])
    wal.rewrite([b"two"], nonce=bytes(15) + b"1")
    wal.append([b"three"])
    wal.close()

    wal, recovery = Wal.open(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(15) + b"2")

    assert recovery.records == (b"two", b"three")
    assert [entry.name for entry in (tmp_path / "new" / "data").iterdir()] == [WAL_NAME]
    wal.close()


def test_a_torn_tail_is_cut_off_the_real_file(tmp_path: Path) -> None:
    disk = PosixDisk(tmp_path)
    wal = Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(16))
    wal.append([b"one"])
    wal.close()
    size = (tmp_path / WAL_NAME).stat().st_size
    with (tmp_path / WAL_NAME).open("ab") as file:
        file.write(b"\xf7WAL half a frame")
    (tmp_path / "votes.wal.new").write_bytes(b"left behind")

    wal, recovery = Wal.open(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(15) + b"2")

    assert recovery.records == (b"one",)
    assert (tmp_path / WAL_NAME).stat().st_size == size
    assert not (tmp_path / "votes.wal.new").exists()
    wal.close()


def test_the_log_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    disk = PosixDisk(tmp_path)
    Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(16)).close()

    assert (tmp_path / WAL_NAME).stat().st_mode & 0o777 == 0o600


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as refusal:
        PosixDisk(tmp_path).read("nothing")
    assert refusal.value.errno == errno.ENOENT


def test_a_second_process_is_refused_and_told_who_holds_the_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bftcluster.storage.lock import DirectoryLock\n"
        "lock = DirectoryLock.acquire(Path(sys.argv[1])); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

        with pytest.raises(ConfigError, match=f"in use by process {process.pid}"):
            DirectoryLock.acquire(tmp_path)
        process.kill()

    with DirectoryLock.acquire(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()


def test_a_lock_that_was_released_can_be_taken_again(tmp_path: Path) -> None:
    DirectoryLock.acquire(tmp_path).close()

    with DirectoryLock.acquire(tmp_path), pytest.raises(ConfigError):
        DirectoryLock.acquire(tmp_path)


def test_a_directory_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigError, match="cannot lock"):
        DirectoryLock.acquire(tmp_path / "file" / "data")
