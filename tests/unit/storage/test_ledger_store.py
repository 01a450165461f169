"""The ledger store: rows, log and position go forward together or not at all."""

import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql

from bftcluster.errors import ConfigError, FatalStorageError, SchemaVersionError
from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta, StatePort
from bftcluster.storage import schema
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.storage.row_cache import RowCache

GENESIS = b"genesis"
PIN = Space.PIN


@pytest.fixture
def store(url: str) -> Iterator[LedgerStore]:
    store = LedgerStore.open(url, genesis=GENESIS)
    yield store
    store.close()


def pin(number: int) -> tuple[Space, bytes]:
    return PIN, b"cid %04d" % number


def flush(store: LedgerStore, seq: int, delta: Delta) -> None:
    store.flush(delta, [(Seq(seq), b"entry %d" % seq)], Seq(seq))


def test_it_is_the_ledgers_port(store: LedgerStore) -> None:
    port: StatePort = store

    assert port.get(PIN, b"nothing") is None


def test_a_new_store_is_empty_at_position_zero(store: LedgerStore) -> None:
    assert store.position() == 0
    assert store.iterate(PIN, b"", 1) == []
    assert store.reader.log(Seq(1), 10) == []
    assert store.reader.checkpoint() is None
    assert store.reader.count(PIN) == 0


def test_the_genesis_state_is_flushed_at_position_zero(store: LedgerStore) -> None:
    store.flush({(Space.META, b"genesis"): GENESIS}, [], Seq(0))

    assert store.get(Space.META, b"genesis") == GENESIS
    assert store.position() == 0


def test_what_was_flushed_is_there_after_reopening(store: LedgerStore, url: str) -> None:
    flush(store, 1, {pin(1): b"one", pin(2): b"two"})
    flush(store, 2, {pin(1): None, pin(2): b"zwei"})
    store.close()

    again = LedgerStore.open(url, genesis=GENESIS)

    assert again.get(*pin(1)) is None
    assert again.get(*pin(2)) == b"zwei"
    assert again.position() == 2
    assert again.reader.log(Seq(1), 10) == [b"entry 1", b"entry 2"]
    assert again.reader.count(PIN) == 1
    again.close()


def test_spaces_do_not_mix(store: LedgerStore) -> None:
    flush(store, 1, {(Space.PIN, b"k"): b"pin", (Space.PEER, b"k"): b"peer"})

    assert store.get(Space.PEER, b"k") == b"peer"
    assert store.iterate(Space.PIN, b"", 10) == [(b"k", b"pin")]


def test_iterate_ascends_by_unsigned_bytes_from_behind_a_key(store: LedgerStore) -> None:
    keys = [b"\x00", b"\x00\x00", b"\x7f", b"\x80", b"\xff", b"\xff\x00"]
    flush(store, 1, {(PIN, key): key for key in reversed(keys)})

    assert [key for key, _ in store.iterate(PIN, b"", 10)] == keys
    assert [key for key, _ in store.iterate(PIN, b"\x7f", 2)] == [b"\x80", b"\xff"]
    assert store.iterate(PIN, b"", 1) == [(b"\x00", b"\x00")]
    assert store.reader.iterate(PIN, b"\xff", 10) == [(b"\xff\x00", b"\xff\x00")]


def test_prefetch_remembers_presence_and_absence(store: LedgerStore, url: str) -> None:
    flush(store, 1, {pin(n): b"%d" % n for n in range(1200)})
    store.close()
    again = LedgerStore.open(url, genesis=GENESIS)

    again.prefetch([*(pin(n) for n in range(1300)), pin(5), (Space.PEER, b"p")])
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM state")
    connection.close()

    assert again.get(*pin(1199)) == b"1199"
    assert again.get(*pin(1200)) is None
    assert again.get(Space.PEER, b"p") is None
    again.close()


def test_the_cache_never_hides_a_flush(store: LedgerStore) -> None:
    assert store.get(*pin(1)) is None
    flush(store, 1, {pin(1): b"one"})
    assert store.get(*pin(1)) == b"one"
    flush(store, 2, {pin(1): None})
    assert store.get(*pin(1)) is None


def test_rows_are_counted_without_having_been_read_before(url: str) -> None:
    store = LedgerStore.open(url, genesis=GENESIS, cache=RowCache(rows_max=1))

    flush(store, 1, {pin(n): b"x" for n in range(10)})
    flush(store, 2, {pin(n): (None if n < 7 else b"y") for n in range(5, 12)})
    flush(store, 3, {pin(500): None, (Space.TREE, b"n"): b"node"})

    assert store.reader.count(PIN) == 10
    with pytest.raises(AssertionError):
        store.reader.count(Space.TREE)
    store.close()


def test_a_gap_in_the_log_is_our_bug(store: LedgerStore) -> None:
    with pytest.raises(AssertionError):
        store.flush({}, [(Seq(2), b"entry")], Seq(2))
    with pytest.raises(AssertionError):
        store.flush({}, [(Seq(1), b"entry")], Seq(2))
    assert store.position() == 0


def test_several_entries_go_in_one_flush(store: LedgerStore) -> None:
    store.flush({}, [(Seq(1), b"a"), (Seq(2), b"b"), (Seq(3), b"c")], Seq(3))

    assert store.reader.log(Seq(2), 1) == [b"b"]
    assert store.reader.log(Seq(2), 9) == [b"b", b"c"]
    assert store.reader.log(Seq(4), 9) == []


def test_a_page_of_the_log_is_bounded_in_bytes_but_never_empty(store: LedgerStore) -> None:
    store.flush({}, [(Seq(n), b"x" * 100) for n in range(1, 6)], Seq(5))

    assert len(store.reader.log(Seq(1), 5, size_max_bytes=250)) == 2
    assert len(store.reader.log(Seq(1), 5, size_max_bytes=1)) == 1


def test_sync_says_how_far_everything_is_durable(store: LedgerStore) -> None:
    flush(store, 1, {pin(1): b"one"})

    assert store.sync() == 1
    flush(store, 2, {pin(1): None})
    assert store.sync() == 2


def test_another_genesis_is_refused(store: LedgerStore, url: str) -> None:
    with pytest.raises(ConfigError, match="another cluster"):
        LedgerStore.open(url, genesis=b"other")


def test_another_schema_version_is_refused(store: LedgerStore, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE meta SET value = x'09' WHERE name = 'schema_version'")
    connection.close()

    with pytest.raises(SchemaVersionError, match="version 9"):
        LedgerStore.open(url, genesis=GENESIS)


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://localhost/x", "sqlite:///:memory:", "sqlite://", "oracle://x"]
)
def test_a_url_we_cannot_use_is_the_users_mistake(url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        LedgerStore.open(url, genesis=GENESIS)
    assert refusal.value.hint


def test_a_file_that_is_no_database_stops_the_process(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(FatalStorageError, match="not a database"):
        LedgerStore.open(sqlite_url(tmp_path / "ledger.db"), genesis=GENESIS)


def test_a_full_disk_stores_nothing_and_says_what_to_do(store: LedgerStore) -> None:
    flush(store, 1, {pin(1): b"one"})
    store._connection.exec_driver_sql("PRAGMA max_page_count = 20").close()
    store._connection.commit()

    with pytest.raises(FatalStorageError, match="full") as refusal:
        flush(store, 2, {pin(1): b"x" * 1_000_000})

    assert "free some space" in refusal.value.hint
    assert store.reader.position() == 1
    assert store.reader.get(*pin(1)) == b"one"
    assert store.get(*pin(1)) == b"one"


def test_readers_in_other_threads_see_whole_flushes_only(store: LedgerStore) -> None:
    flush(store, 1, {pin(n): b"1" for n in range(50)})
    stop, torn = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            values = {value for _, value in store.reader.iterate(PIN, b"", 50)}
            if len(values) != 1:
                torn.append(values)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seq in range(2, 60):
        flush(store, seq, {pin(n): b"%d" % seq for n in range(50)})
    stop.set()
    for thread in threads:
        thread.join()

    assert torn == []


def test_a_database_cut_at_any_byte_holds_one_whole_flush(tmp_path: Path) -> None:
    store = LedgerStore.open(sqlite_url(tmp_path / "ledger.db"), genesis=GENESIS)
    rng = random.Random(1)
    model: list[dict[tuple[Space, bytes], bytes]] = [{}]
    for seq in range(1, 25):
        delta = {pin(rng.randrange(40)): rng.randbytes(rng.randrange(1, 900)) for _ in range(8)}
        flush(store, seq, delta)
        model.append(model[-1] | delta)
    log = tmp_path / "ledger.db-wal"
    whole = log.read_bytes()

    seen = set()
    for cut in [0, *sorted(rng.sample(range(len(whole)), 60)), len(whole)]:
        copy = tmp_path / f"cut-{cut}"
        copy.mkdir()
        shutil.copy(tmp_path / "ledger.db", copy)
        (copy / "ledger.db-wal").write_bytes(whole[:cut])
        cut_store = LedgerStore.open(sqlite_url(copy / "ledger.db"), genesis=GENESIS)
        position = cut_store.position()
        rows = {(PIN, key): value for key, value in cut_store.iterate(PIN, b"", 100)}
        assert rows == model[position]
        assert cut_store.reader.count(PIN) == len(rows)
        assert len(cut_store.reader.log(Seq(1), 100)) == position
        seen.add(position)
        cut_store.close()
    assert {0, 24} <= seen
    assert len(seen) > 10
    store.close()


def test_statements_are_also_postgresqls() -> None:
    bulk = schema.upsert(schema.STATE, postgresql.dialect())

    assert "ON CONFLICT (space, key) DO UPDATE SET value = excluded.value" in bulk._sql
    assert bulk._arguments([(3, b"k", b"v")]) == [{"space": 3, "key": b"k", "value": b"v"}]


def test_any_number_of_keys_is_looked_up(store: LedgerStore) -> None:
    rows = {pin(number): b"value %d" % number for number in range(1_200)}
    flush(store, 1, rows)

    for count in (0, 1, 2, 8, 9, 64, 65, 512, 513, 1_200):
        keys = [key for _, key in list(rows)[:count]]
        found = store.reader.get_many(Space.PIN, [*keys, b"nothing"])
        assert found == {key: rows[Space.PIN, key] for key in keys}


def test_arguments_follow_the_order_of_a_statement() -> None:
    statement = schema.upsert(schema.STATE, postgresql.dialect(paramstyle="format"))

    assert statement._arguments([(3, b"k", b"v")]) == [(3, b"k", b"v")]


def test_the_size_of_the_log_is_known_over_restarts_and_falls_with_what_is_pruned(
    url: str,
) -> None:
    store = LedgerStore.open(url, genesis=GENESIS)
    for seq in range(1, 11):
        store.flush({}, [(Seq(seq), bytes(100 * seq))], Seq(seq))
    grown = store.log_size_bytes
    store.prune_log(Seq(4))
    store.close()

    store = LedgerStore.open(url, genesis=GENESIS)
    again = store.log_size_bytes
    store.close()

    assert (grown, again) == (5500, 4900)
