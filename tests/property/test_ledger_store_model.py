"""The ledger store against a dict: any sequence of flushes, reads and restarts."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.storage.row_cache import RowCache

SPACES = st.sampled_from([Space.META, Space.PIN, Space.PEER])
NAMES = st.binary(min_size=1, max_size=3)
KEYS = st.tuples(SPACES, NAMES)
DELTAS = st.dictionaries(KEYS, st.none() | st.binary(max_size=40), max_size=12)


class StoreAgainstDict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.url = sqlite_url(Path(self.directory.name) / "ledger.db")
        self.rows: dict[tuple[Space, bytes], bytes] = {}
        self.log: list[bytes] = []
        self.store = self.open()

    def open(self) -> LedgerStore:
        cache = RowCache(rows_max=5, size_max_bytes=100)
        return LedgerStore.open(self.url, genesis=b"genesis", cache=cache)

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    @rule(delta=DELTAS, entries=st.lists(st.binary(max_size=10), max_size=3))
    def flush(self, delta: dict[tuple[Space, bytes], bytes | None], entries: list[bytes]) -> None:
        first = len(self.log) + 1
        self.log += entries
        numbered = [(Seq(first + index), entry) for index, entry in enumerate(entries)]
        self.store.flush(delta, numbered, Seq(len(self.log)))
        self.rows = {key: value for key, value in (self.rows | delta).items() if value is not None}

    @rule(key=KEYS)
    def get(self, key: tuple[Space, bytes]) -> None:
        assert self.store.get(*key) == self.rows.get(key)
        assert self.store.reader.get(*key) == self.rows.get(key)

    @rule(keys=st.lists(KEYS, max_size=10))
    def prefetch(self, keys: list[tuple[Space, bytes]]) -> None:
        self.store.prefetch(keys)
        for key in keys:
            assert self.store.get(*key) == self.rows.get(key)

    @rule(space=SPACES, names=st.lists(NAMES, max_size=10))
    def get_many(self, space: Space, names: list[bytes]) -> None:
        expected = {name: self.rows[space, name] for name in names if (space, name) in self.rows}
        assert self.store.reader.get_many(space, names) == expected

    @rule(space=SPACES, after=st.binary(max_size=3), limit=st.integers(0, 5))
    def iterate(self, space: Space, after: bytes, limit: int) -> None:
        rows = sorted((k, v) for (s, k), v in self.rows.items() if s == space and k > after)
        assert list(self.store.iterate(space, after, limit)) == rows[:limit]
        assert self.store.reader.iterate(space, after, limit) == rows[:limit]

    @rule(first=st.integers(1, 8), count=st.integers(0, 8))
    def read_log(self, first: int, count: int) -> None:
        assert self.store.reader.log(Seq(first), count) == self.log[first - 1 : first - 1 + count]

    @rule()
    def sync(self) -> None:
        assert self.store.sync() == len(self.log)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def position_and_counts_go_with_the_rows(self) -> None:
        assert self.store.position() == len(self.log)
        for space in (Space.META, Space.PIN, Space.PEER):
            assert self.store.reader.count(space) == sum(s == space for s, _ in self.rows)


StoreAgainstDict.TestCase.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None
)
TestStoreAgainstDict = StoreAgainstDict.TestCase
