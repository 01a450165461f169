"""The ledger on disk: replicated rows, the decided log, and how far they go together.

One transaction per flush takes all of them forward, so a crash never splits state from position.
Between ``sync`` calls the newest flushes may be lost to a power cut: the replica's write-ahead log
still has what they executed, and is cut only after a ``sync``.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

import sqlalchemy as sa

from bftcluster.errors import ConfigError, SchemaVersionError
from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.storage.engine import fatal_errors, make_durable, make_engine, tune_writer
from bftcluster.storage.ledger_reader import (
    LedgerReader,
    Row,
    select_counts,
    select_meta,
    select_page,
    select_position,
    select_value,
    select_values,
)
from bftcluster.storage.rewinder import Rewinder
from bftcluster.storage.row_cache import UNKNOWN, RowCache
from bftcluster.storage.schema import (
    COUNTS,
    GENESIS_NAME,
    LOG,
    LOG_SIZE_NAME,
    META,
    METADATA,
    POSITION_NAME,
    SCHEMA_VERSION,
    STATE,
    SYNCED_NAME,
    VERSION_NAME,
    delete_rows,
    upsert,
)
from bftcluster.storage.stage import SqlStage

_NUMBER_SIZE_BYTES: Final = 8
_PRUNED_ENTRIES_MAX: Final = 4096


class LedgerStore:
    """Implements the ledger's ``StatePort``, and the flush that follows each execution.

    Its methods are for the executor, one call at a time; ``reader`` is for everybody else.
    """

    def __init__(self, engine: sa.Engine, cache: RowCache) -> None:
        self._engine = engine
        self._cache = cache
        self._lock = threading.Lock()
        self._connection = engine.connect()
        tune_writer(self._connection)
        self._upsert_state = upsert(STATE, engine.dialect)
        self._delete_state = delete_rows(STATE, engine.dialect)
        self._upsert_counts = upsert(COUNTS, engine.dialect)
        self._upsert_log = upsert(LOG, engine.dialect)
        self._upsert_meta = upsert(META, engine.dialect)
        self.log_size_bytes = 0
        """Of all log entries; may be read in any thread."""
        self.stage = SqlStage(engine.dialect, self._transaction)
        self.rewinder = Rewinder(engine.dialect, self._transaction, self.stage)
        self.reader = LedgerReader(engine)

    @classmethod
    def open(cls, url: str, *, genesis: bytes, cache: RowCache | None = None) -> Self:
        """Return the store behind ``url``, made and bound to ``genesis`` if it is new.

        Raises:
            ConfigError: The URL is wrong, or the store belongs to another genesis.
            SchemaVersionError: Another version of this program wrote it.
            FatalStorageError: The database does not work.
        """
        engine = make_engine(url)
        with fatal_errors("open"):
            METADATA.create_all(engine)
            make_durable(engine)
            store = cls(engine, RowCache() if cache is None else cache)
            try:
                store._bind(genesis)
            except BaseException:
                store.close()
                raise
        return store

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Bring rows into the cache, many in one query, absent ones included."""
        wanted: dict[Space, list[bytes]] = {}
        for key in dict.fromkeys(keys):
            if self._cache.get(key) is UNKNOWN:
                wanted.setdefault(key[0], []).append(key[1])
        if not wanted:
            return
        with self._transaction("read") as connection:
            for space, names in sorted(wanted.items()):
                found = select_values(connection, space, names)
                self._cache.update({(space, name): found.get(name) for name in names})

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row, or ``None`` if there is none."""
        value = self._cache.get((space, key))
        if value is UNKNOWN:
            with self._transaction("read") as connection:
                value = select_value(connection, space, key)
            self._cache.put((space, key), value)
        return value

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[Row]:
        """Return up to ``limit`` rows with ``key > after``, ascending; ``b""`` is the start."""
        with self._transaction("read") as connection:
            return select_page(connection, space, after, limit)

    def position(self) -> Seq:
        """Return the last executed sequence number; 0 before the first."""
        with self._transaction("read") as connection:
            return select_position(connection)

    def flush(self, delta: Delta, entries: Sequence[tuple[Seq, bytes]], position: Seq) -> None:
        """Take state, log and position forward in one transaction.

        Args:
            delta: What execution changed; ``None`` deletes.
            entries: The log entries executed, in order, up to ``position``.
            position: The last executed sequence number.

        Raises:
            FatalStorageError: Nothing of it was stored. Stop the process.
        """
        with self._transaction("write") as connection:
            _check_contiguous(select_position(connection), entries, position)
            counts = self._count_changes(connection, delta)
            written: list[tuple[object, ...]] = []
            deleted: list[tuple[object, ...]] = []
            for (space, key), value in sorted(delta.items()):
                if value is None:
                    deleted.append((int(space), key))
                else:
                    written.append((int(space), key, value))
            self._delete_state.run(connection, deleted)
            self._upsert_state.run(connection, written)
            self._upsert_counts.run(connection, counts)
            self._upsert_log.run(connection, list(entries))
            size_bytes = self.log_size_bytes + sum(len(entry) for _, entry in entries)
            self._upsert_meta.run(
                connection,
                [(POSITION_NAME, _number(position)), (LOG_SIZE_NAME, _number(size_bytes))],
            )
        self.log_size_bytes = size_bytes
        self._cache.update(delta)

    def prune_log(self, below: Seq) -> None:
        """Forget log entries before ``below``, some thousands of them; durable after ``sync``."""
        with self._transaction("prune") as connection:
            oldest = connection.execute(sa.select(sa.func.min(LOG.c.seq))).scalar()
            if oldest is not None and oldest < below:
                last = min(below, oldest + _PRUNED_ENTRIES_MAX)
                freed = sa.select(sa.func.sum(sa.func.length(LOG.c.entry))).where(LOG.c.seq < last)
                size_bytes = self.log_size_bytes - int(connection.execute(freed).scalar() or 0)
                connection.execute(sa.delete(LOG).where(LOG.c.seq < last))
                self._upsert_meta.run(connection, [(LOG_SIZE_NAME, _number(size_bytes))])
                self.log_size_bytes = size_bytes

    def sync(self) -> Seq:
        """Return the position up to which everything is durable now, whatever the power does."""
        if self._engine.dialect.name == "sqlite":
            self._pragma("synchronous = FULL")
        with self._transaction("write") as connection:
            position = select_position(connection)
            self._upsert_meta.run(connection, [(SYNCED_NAME, _number(position))])
        if self._engine.dialect.name == "sqlite":
            self._pragma("synchronous = NORMAL")
            self._pragma("wal_checkpoint(PASSIVE)")
        return position

    def close(self) -> None:
        """Release the database; ``reader`` ends with it."""
        self._connection.close()
        self._engine.dispose()

    def _bind(self, genesis: bytes) -> None:
        with self._transaction("write") as connection:
            version = select_meta(connection, VERSION_NAME)
            if version is None:
                self._upsert_meta.run(
                    connection,
                    [(VERSION_NAME, _number(SCHEMA_VERSION)), (GENESIS_NAME, genesis)],
                )
                return
            if version != _number(SCHEMA_VERSION):
                raise SchemaVersionError(
                    f"the ledger has schema version {int.from_bytes(version, 'big')}, "
                    f"this program needs {SCHEMA_VERSION}",
                    hint="start the version that wrote it, or restore a matching data directory",
                )
            size_bytes = select_meta(connection, LOG_SIZE_NAME)
            self.log_size_bytes = 0 if size_bytes is None else int.from_bytes(size_bytes, "big")
            if select_meta(connection, GENESIS_NAME) != genesis:
                raise ConfigError(
                    "the ledger belongs to another cluster",
                    hint="name the database of this cluster in `storage.database`",
                )

    def _count_changes(self, connection: sa.Connection, delta: Delta) -> list[tuple[object, ...]]:
        """Return the new row count of every counted space that grows or shrinks."""
        unknown: dict[Space, list[bytes]] = {}
        change: dict[Space, int] = {}
        for (space, name), value in delta.items():
            if space >= Space.TREE:
                continue
            before = self._cache.get((space, name))
            if before is UNKNOWN:
                unknown.setdefault(space, []).append(name)
                change[space] = change.get(space, 0) + (value is not None)
            elif (before is None) != (value is None):
                change[space] = change.get(space, 0) + (1 if before is None else -1)
        for space, names in unknown.items():
            change[space] -= len(select_values(connection, space, names))
        if not any(change.values()):
            return []
        counts = select_counts(connection)
        return [
            (int(space), counts.get(space, 0) + difference)
            for space, difference in change.items()
            if difference
        ]

    def _pragma(self, pragma: str) -> None:
        with self._lock, fatal_errors("sync"):
            self._connection.exec_driver_sql(f"PRAGMA {pragma}").close()
            self._connection.commit()

    @contextmanager
    def _transaction(self, action: str) -> Iterator[sa.Connection]:
        with self._lock, fatal_errors(action), self._connection.begin():
            yield self._connection


def _check_contiguous(
    position: Seq, entries: Sequence[tuple[Seq, bytes]], new_position: Seq
) -> None:
    expected = range(position + 1, new_position + 1)
    assert [seq for seq, _ in entries] == list(expected), "the log has no gaps and no repeats"


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER_SIZE_BYTES, "big")
