"""Holds a state that is being fetched until it is whole: a table beside that of the one in use.

When it is whole that is noted with the checkpoint it is of, in the transaction of its last rows;
then the next opening of the store lets the two tables change names, in one transaction again. So
whatever moment a crash picks, there is one whole state; and no row of millions is touched.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import sqlalchemy as sa

from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.storage.ledger_reader import (
    Row,
    select_meta,
    select_page,
    select_position,
    select_value,
    select_values,
)
from bftcluster.storage.schema import (
    CHECKPOINTS,
    COUNTS,
    META,
    POSITION_NAME,
    STAGED,
    STAGED_NAME,
    STATE,
    delete_rows,
    upsert,
)

_SEQ_SIZE_BYTES: Final = 8

Transaction = Callable[[str], AbstractContextManager[sa.Connection]]
"""Begins one on the store's writing connection; the argument names it in errors."""


class SqlStage:
    """The rows of a state that is being fetched.

    Implements the ledger's ``StatePort``, so that one can be opened on what is staged.
    """

    def __init__(self, dialect: sa.Dialect, transaction: Transaction) -> None:
        self._transaction = transaction
        self._upsert = upsert(STAGED, dialect)
        self._delete = delete_rows(STAGED, dialect)
        self._upsert_meta = upsert(META, dialect)
        self._upsert_counts = upsert(COUNTS, dialect)
        self._upsert_checkpoint = upsert(CHECKPOINTS, dialect)

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Do nothing: what is staged is not cached."""

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row."""
        with self._transaction("read") as connection:
            return select_value(connection, space, key, STAGED)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that exist among some keys of one space."""
        with self._transaction("read") as connection:
            return select_values(connection, space, keys, STAGED)

    def iterate(self, space: Space, after: bytes, limit: int) -> list[Row]:
        """Return up to ``limit`` rows with ``key > after``, ascending."""
        with self._transaction("read") as connection:
            return select_page(connection, space, after, limit, STAGED)

    def flush(self, delta: Delta, whole: tuple[Seq, bytes] | None = None) -> None:
        """Change staged rows.

        Args:
            delta: ``None`` deletes.
            whole: Given once with these the state is whole: its checkpoint and the certificate.
        """
        written = [(int(s), k, v) for (s, k), v in delta.items() if v is not None]
        deleted = [(int(s), k) for (s, k), v in delta.items() if v is None]
        with self._transaction("stage") as connection:
            self._delete.run(connection, sorted(deleted))
            self._upsert.run(connection, sorted(written))
            if whole is not None:
                seq, certificate = whole
                value = seq.to_bytes(_SEQ_SIZE_BYTES, "big") + certificate
                self._upsert_meta.run(connection, [(STAGED_NAME, value)])

    def clear(self) -> None:
        """Give up what is staged."""
        with self._transaction("stage") as connection:
            _clear(connection)

    def install(self) -> Seq | None:
        """Put a whole staged state in place of the one in use; return its position, if there is.

        The log keeps what it has; it goes on behind that position. A state that is not newer than
        ours is given up.
        """
        with self._transaction("install a state into") as connection:
            staged = select_meta(connection, STAGED_NAME)
            if staged is None:
                return None
            number, certificate = staged[:_SEQ_SIZE_BYTES], staged[_SEQ_SIZE_BYTES:]
            seq = Seq(int.from_bytes(number, "big"))
            if seq <= select_position(connection):
                _clear(connection)
                return None
            self.put_in_place(connection)
            self._upsert_checkpoint.run(connection, [(seq, certificate)])
            self._upsert_meta.run(connection, [(POSITION_NAME, number)])
            return seq

    def put_in_place(self, connection: sa.Connection) -> None:
        """Let what is staged be the state, within a transaction."""
        _swap(connection)
        self._upsert_counts.run(connection, _count(connection))


def _swap(connection: sa.Connection) -> None:
    """Let the two tables change names, and empty the one that was in use."""
    # First a row: at a change of names alone SQLite's driver would begin no transaction.
    connection.execute(sa.delete(META).where(META.c.name == STAGED_NAME))
    for old, new in (("state", "swapped"), ("staged", "state"), ("swapped", "staged")):
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}").close()
    kept = sa.select(STAGED).where(STAGED.c.space == int(Space.EPOCH_LINK))
    connection.execute(sa.insert(STATE).from_select(["space", "key", "value"], kept))  # Our own.
    connection.execute(sa.delete(COUNTS))
    connection.execute(sa.delete(STAGED))


def _count(connection: sa.Connection) -> list[tuple[object, ...]]:
    counted = sa.select(STATE.c.space, sa.func.count()).where(STATE.c.space < int(Space.TREE))
    return [tuple(row) for row in connection.execute(counted.group_by(STATE.c.space))]


def _clear(connection: sa.Connection) -> None:
    connection.execute(sa.delete(STAGED))
    connection.execute(sa.delete(META).where(META.c.name == STAGED_NAME))
