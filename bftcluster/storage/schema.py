"""The tables of the ledger, in SQL that SQLite and PostgreSQL share, and the statements on them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

SCHEMA_VERSION: Final = 4

METADATA: Final = sa.MetaData()

STATE: Final = sa.Table(
    "state",
    METADATA,
    sa.Column("space", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""Every replicated row. With a rowid in SQLite: half of what WITHOUT ROWID costs (measured)."""

STAGED: Final = sa.Table(
    "staged",
    METADATA,
    sa.Column("space", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""The rows of a state that is being fetched; whole, it changes names with ``STATE``."""

COUNTS: Final = sa.Table(
    "counts",
    METADATA,
    sa.Column("space", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
)
"""Rows of each space, kept by every flush: counting ten million takes seconds."""

LOG: Final = sa.Table(
    "log",
    METADATA,
    sa.Column(
        "seq",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("entry", sa.LargeBinary, nullable=False),
)
"""Decided batches with their certificates: from 1 on without gaps, unless older ones were pruned or
a fetched state took the place of some."""

CHECKPOINTS: Final = sa.Table(
    "checkpoints",
    METADATA,
    sa.Column(
        "seq",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("certificate", sa.LargeBinary, nullable=False),
)
"""Certificates of the checkpoints whose state was fetched."""

META: Final = sa.Table(
    "meta",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""Singletons: schema version, genesis, position, what is staged."""

VERSION_NAME: Final = "schema_version"
GENESIS_NAME: Final = "genesis"
POSITION_NAME: Final = "position"
SYNCED_NAME: Final = "synced"
STAGED_NAME: Final = "staged"


class Bulk:
    """A statement compiled once, for many rows a call.

    SQLAlchemy's own executemany costs 4 µs a row more than the driver's (measured on SQLite).
    """

    def __init__(
        self, statement: sa.ClauseElement, dialect: sa.Dialect, names: Sequence[str]
    ) -> None:
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._names = tuple(names)
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        self._order = None if order is None else [self._names.index(name) for name in order]

    def run(self, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Execute once per row; a row has the values of ``names`` in that order."""
        if rows:
            connection.exec_driver_sql(self._sql, self._arguments(rows))

    def _arguments(self, rows: Iterable[tuple[object, ...]]) -> Any:  # noqa: ANN401 - the driver's
        if self._order is None:
            return [dict(zip(self._names, row, strict=True)) for row in rows]
        if self._order == list(range(len(self._names))):
            return list(rows)
        return [tuple(row[index] for index in self._order) for row in rows]


def upsert(table: sa.Table, dialect: sa.Dialect) -> Bulk:
    """Return the statement that inserts rows of ``table`` or replaces those with their key."""
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    values: Mapping[str, sa.BindParameter[Any]] = {name: sa.bindparam(name) for name in names}
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    insert = make(table).values(values)
    update = {name: insert.excluded[name] for name in names if name not in keys}
    return Bulk(insert.on_conflict_do_update(index_elements=keys, set_=update), dialect, names)


def delete_rows(table: sa.Table, dialect: sa.Dialect) -> Bulk:
    """Return the statement that deletes rows of ``STATE`` or ``STAGED`` by space and key."""
    statement = sa.delete(table).where(
        table.c.space == sa.bindparam("space"), table.c.key == sa.bindparam("key")
    )
    return Bulk(statement, dialect, ("space", "key"))
