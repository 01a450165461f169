"""SIGKILL in the middle of flushes and appends: all that was acknowledged is there, untorn."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bftcluster.ids import ClusterId, PeerId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.storage.disk import PosixDisk
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.storage.wal import Wal

CLUSTER = ClusterId(b"c" * 32)
PEER = PeerId(b"p" * 32)
KEYS = 40

PROGRAM = """
import sys
from pathlib import Path
from tests.unit.storage.test_killed_process import work
work(Path(sys.argv[1]))
"""


def work(directory: Path) -> None:
    """Append, flush, acknowledge, forever: the loop of a replica."""
    disk = PosixDisk(directory)
    store = LedgerStore.open(sqlite_url(directory / "ledger.db"), genesis=b"genesis")
    if disk.exists("votes.wal"):
        wal, _ = Wal.open(disk, cluster=CLUSTER, peer=PEER, nonce=os.urandom(16))
    else:
        wal = Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(16))
    seq = store.position()
    while True:
        seq = Seq(seq + 1)
        wal.append([b"%d" % seq, b"x" * 500])
        value = b"%d" % seq * 50
        store.flush({(Space.PIN, b"%d" % n): value for n in range(KEYS)}, [(seq, value)], seq)
        if seq % 7 == 0:
            store.sync()
            wal.rewrite([b"%d" % seq], nonce=seq.to_bytes(16, "big"))
        sys.stdout.write(f"{seq}\n")
        sys.stdout.flush()


@pytest.mark.parametrize("acknowledged_before_kill", [1, 6, 13])
def test_sigkill_loses_nothing_acknowledged(tmp_path: Path, acknowledged_before_kill: int) -> None:
    acknowledged = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(acknowledged_before_kill):
                acknowledged = int(process.stdout.readline())
            process.kill()

        store = LedgerStore.open(sqlite_url(tmp_path / "ledger.db"), genesis=b"genesis")
        position = store.position()
        wal, recovery = Wal.open(
            PosixDisk(tmp_path), cluster=CLUSTER, peer=PEER, nonce=os.urandom(16)
        )
        assert position >= acknowledged
        assert recovery.records
        assert {value for _, value in store.iterate(Space.PIN, b"", KEYS)} == {
            b"%d" % position * 50
        }
        assert len(store.reader.log(Seq(1), 10_000)) == position
        wal.close()
        store.close()
