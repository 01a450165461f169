"""The database of the block index: its schema, one writer, and readers in parallel.

SQLite in WAL mode, every commit synced. Its errors leave as ours.
"""

import contextlib
import queue
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bftcluster.errors import SchemaVersionError, StorageError, StoreFullError

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, state INTEGER NOT NULL
);
CREATE INDEX unsettled ON blocks (state) WHERE state <> 1;
CREATE TABLE holds (id INTEGER PRIMARY KEY, cid BLOB UNIQUE, complete INTEGER NOT NULL DEFAULT 0);
CREATE TABLE held (
    hold INTEGER NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (hold, block)
) WITHOUT ROWID;
CREATE INDEX held_by ON held (block);
"""


class Database:
    """Connections to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        with _translated():
            self._writer = self._connect()
            try:
                self._migrate()
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Fold the log into the database and close every connection."""
        while not self._readers.empty():
            self._readers.get().close()
        self._writer.close()

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that only reads."""
        with _translated():
            try:
                reader = self._readers.get_nowait()
            except queue.Empty:
                reader = self._connect()
            try:
                yield reader
            finally:
                self._readers.put(reader)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that writes; durable afterwards, or nothing done."""
        with _translated():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                "PRAGMA journal_size_limit = 4194304; PRAGMA busy_timeout = 10000;"
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._writer.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        elif version != _VERSION:
            raise SchemaVersionError(
                f"{self._path} has version {version}, this program writes {_VERSION}",
                hint="use the program that wrote it, or move the block store away",
            )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Let SQLite's errors leave as ours."""
    try:
        yield
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFullError("the disk has no room for the block index") from exc
        raise StorageError(f"the block index failed: {exc}") from exc
