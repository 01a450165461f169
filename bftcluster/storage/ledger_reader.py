"""Reads of the committed ledger, for any thread: each call borrows its own connection."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.shell_limits import LOG_PAGE_SIZE_MAX_BYTES, STATE_PAGE_ROWS_MAX
from bftcluster.storage.engine import fatal_errors
from bftcluster.storage.schema import (
    CHECKPOINTS,
    COUNTS,
    LOG,
    META,
    POSITION_NAME,
    STATE,
    Statement,
)

Row = tuple[bytes, bytes]
"""A key and its value."""

_LOOKUP_KEYS: Final = (1, 8, 64, 512)
"""For so many keys there are statements. More bring nothing (measured), and SQLite had a limit of
999 once."""
_LOG: Final = (
    sa.select(LOG.c.seq, LOG.c.entry)
    .where(LOG.c.seq >= sa.bindparam("first"))
    .order_by(LOG.c.seq)
    .limit(sa.bindparam("count"))
)
_CHECKPOINT: Final = (
    sa.select(CHECKPOINTS.c.seq, CHECKPOINTS.c.certificate)
    .where(CHECKPOINTS.c.seq <= sa.bindparam("seq"))
    .order_by(CHECKPOINTS.c.seq.desc())
    .limit(1)
)
_NEWEST: Final = (1 << 63) - 1


class LedgerReader:
    """The ledger as of the last flush. Safe in any thread, beside a writer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row, or ``None`` if there is none."""
        with fatal_errors("read"), self._engine.connect() as connection:
            return select_value(connection, space, key)

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """Keep one moment for several reads. SQLite's log grows as long as it is kept: be brief."""
        with fatal_errors("read"), self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN").close()
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield Snapshot(connection)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that exist among at most ``STATE_PAGE_ROWS_MAX`` keys of one space."""
        assert len(keys) <= STATE_PAGE_ROWS_MAX, "the caller cuts its keys into pages"
        with fatal_errors("read"), self._engine.connect() as connection:
            return select_values(connection, space, keys)

    def iterate(self, space: Space, after: bytes, limit: int) -> list[Row]:
        """Return up to ``limit`` rows with ``key > after``, ascending; ``b""`` is the start."""
        with fatal_errors("read"), self._engine.connect() as connection:
            return select_page(connection, space, after, limit)

    def count(self, space: Space) -> int:
        """Return how many rows ``space`` has, in constant time; not kept for the tree's spaces."""
        assert space < Space.TREE, "only the ledger's own rows are counted"
        with fatal_errors("read"), self._engine.connect() as connection:
            return select_counts(connection).get(space, 0)

    def position(self) -> Seq:
        """Return the last executed sequence number; 0 before the first."""
        with fatal_errors("read"), self._engine.connect() as connection:
            return select_position(connection)

    def log(
        self, first: Seq, count: int, *, size_max_bytes: int = LOG_PAGE_SIZE_MAX_BYTES
    ) -> list[bytes]:
        """Return up to ``count`` log entries from ``first`` on, contiguous.

        Fewer if they pass ``size_max_bytes`` together, but at least one if there is one.
        """
        with fatal_errors("read"), self._engine.connect() as connection:
            return select_log(connection, first, count, size_max_bytes)

    def log_begins(self) -> Seq:
        """Return the first log entry that is kept; 1 if there is none."""
        with fatal_errors("read"), self._engine.connect() as connection:
            oldest = connection.execute(sa.select(sa.func.min(LOG.c.seq))).scalar()
        return Seq(oldest or 1)

    def checkpoint(self, at_most: Seq = Seq(_NEWEST)) -> tuple[Seq, bytes] | None:  # noqa: B008
        """Return the newest stable checkpoint at or before ``at_most``, and its certificate."""
        with fatal_errors("read"), self._engine.connect() as connection:
            row = connection.execute(_CHECKPOINT, {"seq": at_most}).first()
        return None if row is None else (Seq(row[0]), bytes(row[1]))


class Snapshot:
    """The ledger as of one moment, whatever is flushed meanwhile."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row, or ``None`` if there is none."""
        return select_value(self._connection, space, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that exist among some keys of one space."""
        return select_values(self._connection, space, keys)

    def iterate(self, space: Space, after: bytes, limit: int) -> list[Row]:
        """Return up to ``limit`` rows with ``key > after``, ascending."""
        return select_page(self._connection, space, after, limit)


def select_value(
    connection: sa.Connection, space: Space, key: bytes, table: sa.Table = STATE
) -> bytes | None:
    """Return the value of one row."""
    return select_values(connection, space, (key,), table).get(key)


def select_values(
    connection: sa.Connection, space: Space, keys: Sequence[bytes], table: sa.Table = STATE
) -> dict[bytes, bytes]:
    """Return those rows of ``keys`` that exist."""
    found: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _LOOKUP_KEYS[-1]):
        part = list(keys[start : start + _LOOKUP_KEYS[-1]])
        count = next(count for count in _LOOKUP_KEYS if count >= len(part))
        padding = part[-1:] * (count - len(part))
        lookup = _lookup(table, connection.dialect, count)
        rows = lookup.find(connection, int(space), *part, *padding)
        found.update((bytes(key), bytes(value)) for key, value in rows)
    return found


@lru_cache(maxsize=64)
def _lookup(table: sa.Table, dialect: sa.Dialect, count: int) -> Statement:
    """Return the statement that finds rows of ``STATE`` or ``STAGED`` by space and keys."""
    names = [f"key{number}" for number in range(count)]
    statement = sa.select(table.c.key, table.c.value).where(
        table.c.space == sa.bindparam("space"), table.c.key.in_(map(sa.bindparam, names))
    )
    return Statement(statement, dialect, ["space", *names])


def select_page(
    connection: sa.Connection, space: Space, after: bytes, limit: int, table: sa.Table = STATE
) -> list[Row]:
    """Return rows in key order, behind ``after``."""
    assert 0 <= limit <= STATE_PAGE_ROWS_MAX, "a page is bounded"
    page = {"space": int(space), "after": after, "count": limit}
    rows = connection.execute(_page(table), page)
    return [(bytes(key), bytes(value)) for key, value in rows]


@lru_cache(maxsize=2)
def _page(table: sa.Table) -> sa.Select[Any]:
    """Return the query for rows of ``STATE`` or ``STAGED`` behind a key, in order."""
    in_space = table.c.space == sa.bindparam("space")
    rows = sa.select(table.c.key, table.c.value).where(in_space)
    behind = rows.where(table.c.key > sa.bindparam("after"))
    return behind.order_by(table.c.key).limit(sa.bindparam("count"))


def select_counts(connection: sa.Connection) -> dict[Space, int]:
    """Return how many rows each space has, as kept; none is left out but those without any."""
    rows = _counts(connection.dialect).find(connection)
    return {Space(space): int(count) for space, count in rows}


@lru_cache(maxsize=8)
def _counts(dialect: sa.Dialect) -> Statement:
    return Statement(sa.select(COUNTS.c.space, COUNTS.c.rows), dialect, ())


def select_meta(connection: sa.Connection, name: str) -> bytes | None:
    """Return a singleton."""
    rows = _meta(connection.dialect).find(connection, name)
    return bytes(rows[0][0]) if rows else None


@lru_cache(maxsize=8)
def _meta(dialect: sa.Dialect) -> Statement:
    statement = sa.select(META.c.value).where(META.c.name == sa.bindparam("name"))
    return Statement(statement, dialect, ["name"])


def select_position(connection: sa.Connection) -> Seq:
    """Return the last flushed sequence number."""
    return Seq(int.from_bytes(select_meta(connection, POSITION_NAME) or b"", "big"))


def select_log(
    connection: sa.Connection, first: Seq, count: int, size_max_bytes: int
) -> list[bytes]:
    """Return contiguous entries from ``first`` on; none if ``first`` is not there."""
    entries: list[bytes] = []
    size_bytes = 0
    with connection.execute(_LOG, {"first": first, "count": count}) as rows:
        for seq, entry in rows:
            if seq != first + len(entries) or (
                entries and size_bytes + len(entry) > size_max_bytes
            ):
                break
            entries.append(bytes(entry))
            size_bytes += len(entry)
    return entries
