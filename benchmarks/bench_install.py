"""Installing a fetched state in place of an old one: how long a peer is away, and in what memory.

A million pins beside a million old ones, with used nonces and the pages of the tree. Made-up rows
of the real sizes: installing looks at none of them.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.result import Result
from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore

PINS: Final = 1_000_000
GOAL_S: Final = 10.0
CHUNK_ROWS: Final = 20_000
PIN_SIZE_BYTES: Final = 300
NODE_SIZE_BYTES: Final = 2_600
ROWS_PER_NODE: Final = 20
GENESIS: Final = b"genesis"


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        _fill(path)
        words = [sys.executable, "-m", "benchmarks.bench_install", str(path)]
        output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        taken_s, memory_mb = map(float, output.split())
    return [
        Result(name="state_install_s", value=taken_s, unit="s", limit=GOAL_S),
        Result(name="state_install_memory_mb", value=memory_mb, unit="MB"),
    ]


def _fill(path: Path) -> None:
    """Write an old state, and a whole new one into the stage."""
    store = LedgerStore.open(sqlite_url(path), genesis=GENESIS)
    for old in _chunks(b"old"):
        store.flush(old, (), Seq(0))
    store.flush({}, [(Seq(1), b"entry")], Seq(1))
    for new in _chunks(b"new"):
        store.stage.flush(new)
    store.stage.flush({}, (Seq(1_000), b"certificate"))
    store.sync()
    store.close()


def _chunks(label: bytes) -> Iterator[dict[Key, bytes]]:
    rows = _rows(label)
    while chunk := dict(islice(rows, CHUNK_ROWS)):
        yield chunk


def _rows(label: bytes) -> Iterator[tuple[Key, bytes]]:
    value = label.ljust(PIN_SIZE_BYTES)
    for number in range(PINS):
        name = number.to_bytes(36, "big")
        yield (Space.PIN, name), value
        yield (Space.NONCE, name + b"none"), name[:8]
        if number % (ROWS_PER_NODE // 2) == 0:
            yield (Space.TREE, b"/%05x" % number), label.ljust(NODE_SIZE_BYTES)


def _install(path: Path) -> None:
    """Open the store as a peer does, and print seconds and megabytes."""
    start = time.monotonic()
    store = LedgerStore.open(sqlite_url(path), genesis=GENESIS)
    assert store.stage.install() == 1_000, "a whole state was staged"
    store.sync()
    taken_s = time.monotonic() - start
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    assert store.reader.count(Space.PIN) == PINS, "all of it is there"
    store.close()
    print(taken_s, memory_mb)


if __name__ == "__main__":
    _install(Path(sys.argv[1]))
