"""The tables of the ledger, in SQL that SQLite and PostgreSQL share, and the statements on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor

SCHEMA_VERSION: Final = 13

METADATA: Final = sa.MetaData()


def _table_of_rows(name: str) -> sa.Table:
    """Return a table of replicated rows."""
    return sa.Table(
        name,
        METADATA,
        sa.Column("space", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )


def _numbered_table(name: str, number: str, content: str) -> sa.Table:
    """Return a table of bytes under numbers of ours: in SQLite, an alias of the rowid."""
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Table(
        name,
        METADATA,
        sa.Column(number, kind, primary_key=True, autoincrement=False),
        sa.Column(content, sa.LargeBinary, nullable=False),
    )


STATE: Final = _table_of_rows("state")
"""Every replicated row. With a rowid in SQLite: half of what WITHOUT ROWID costs (measured)."""

STAGED: Final = _table_of_rows("staged")
"""The rows of a state that is being fetched; whole, it changes names with ``STATE``."""

COUNTS: Final = sa.Table(
    "counts",
    METADATA,
    sa.Column("space", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
)
"""Rows of each space, kept by every flush: counting ten million takes seconds."""

LOG: Final = _numbered_table("log", "seq", "entry")
"""Decided batches with their certificates: from 1 on without gaps, unless older ones were pruned or
a fetched state took the place of some."""

CHECKPOINTS: Final = _numbered_table("checkpoints", "seq", "certificate")
"""Certificates of the checkpoints whose state was fetched."""

SET_ASIDE: Final = _numbered_table("set_aside", "number", "entry")
"""Log entries beyond the checkpoint of a recovery, in order, until their requests were ordered
again."""

META: Final = sa.Table(
    "meta",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""Singletons: schema version, genesis, position, what is staged, which
recovery has been begun."""

VERSION_NAME: Final = "schema_version"
GENESIS_NAME: Final = "genesis"
POSITION_NAME: Final = "position"
SYNCED_NAME: Final = "synced"
LOG_SIZE_NAME: Final = "log_size"
"""Bytes of all log entries, kept by every flush: adding up millions takes seconds."""
STAGED_NAME: Final = "staged"
RECOVERY_NAME: Final = "recovery"


class Statement:
    """A statement compiled once, and executed by the driver alone.

    SQLAlchemy costs 20 to 60 µs more for each, and 4 µs more for each of many rows (measured).
    """

    def __init__(
        self, statement: sa.ClauseElement, dialect: sa.Dialect, names: Sequence[str]
    ) -> None:
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._names = tuple(names)
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        places = {name: place for place, name in enumerate(self._names)}
        self._order = None if order is None else [places[name] for name in order]
        self._is_in_order = self._order == list(range(len(self._names)))

    def run(self, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Execute once per row; a row has the values of ``names`` in that order."""
        if rows:
            with self._cursor(connection) as cursor:
                cursor.executemany(self._sql, self._arguments(rows))

    def find(self, connection: sa.Connection, *values: object) -> Sequence[Any]:
        """Execute with these values of ``names``; return the rows that are found."""
        [arguments] = self._arguments([values])
        with self._cursor(connection) as cursor:
            cursor.execute(self._sql, arguments)
            return cursor.fetchall()

    @contextmanager
    def _cursor(self, connection: sa.Connection) -> Iterator[DBAPICursor]:
        cursor = connection.connection.cursor()
        failures = connection.dialect.loaded_dbapi.Error
        try:
            yield cursor
        except failures as exc:
            raise sa.exc.DBAPIError.instance(self._sql, None, exc, failures) from exc
        finally:
            cursor.close()

    def _arguments(self, rows: Iterable[tuple[object, ...]]) -> Any:  # noqa: ANN401 - the driver's
        if self._order is None:
            return [dict(zip(self._names, row, strict=True)) for row in rows]
        if self._is_in_order:
            return list(rows)
        return [tuple(row[index] for index in self._order) for row in rows]


def upsert(table: sa.Table, dialect: sa.Dialect) -> Statement:
    """Return the statement that inserts rows of ``table`` or replaces those with their key."""
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    values: Mapping[str, sa.BindParameter[Any]] = {name: sa.bindparam(name) for name in names}
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    insert = make(table).values(values)
    update = {name: insert.excluded[name] for name in names if name not in keys}
    return Statement(insert.on_conflict_do_update(index_elements=keys, set_=update), dialect, names)


def delete_rows(table: sa.Table, dialect: sa.Dialect) -> Statement:
    """Return the statement that deletes rows of ``STATE`` or ``STAGED`` by space and key."""
    statement = sa.delete(table).where(
        table.c.space == sa.bindparam("space"), table.c.key == sa.bindparam("key")
    )
    return Statement(statement, dialect, ("space", "key"))
