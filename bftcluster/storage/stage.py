"""Where a fetched state grows until it is whole, beside the state in use, in the same table.

Its spaces are numbered apart. When it is whole that is noted with the checkpoint it is of, in the
transaction of its last rows; then the next opening of the store puts it in place of the state in
use, in one transaction again. So whatever moment a crash picks, there is one whole state.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import sqlalchemy as sa

from bftcluster.ids import Seq
from bftcluster.ledger.spaces import Delta, Space
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
    STAGED_NAME,
    STATE,
    delete_state,
    upsert,
)

OFFSET: Final = 128
"""What the number of a space is raised by in the stage. Part of the disk format."""
_SEQ_SIZE_BYTES: Final = 8

Transaction = Callable[[str], AbstractContextManager[sa.Connection]]
"""Begins one on the store's writing connection; the argument names it in errors."""


class Stage:
    """The rows of a state that is being fetched."""

    def __init__(self, dialect: sa.Dialect, transaction: Transaction) -> None:
        self._transaction = transaction
        self._upsert_state = upsert(STATE, dialect)
        self._delete_state = delete_state(dialect)
        self._upsert_meta = upsert(META, dialect)
        self._upsert_counts = upsert(COUNTS, dialect)
        self._upsert_checkpoint = upsert(CHECKPOINTS, dialect)

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row."""
        with self._transaction("read") as connection:
            return select_value(connection, space + OFFSET, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that exist among some keys of one space."""
        with self._transaction("read") as connection:
            return select_values(connection, space + OFFSET, keys)

    def iterate(self, space: Space, after: bytes, limit: int) -> list[Row]:
        """Return up to ``limit`` rows with ``key > after``, ascending."""
        with self._transaction("read") as connection:
            return select_page(connection, space + OFFSET, after, limit)

    def flush(self, delta: Delta, whole: tuple[Seq, bytes] | None = None) -> None:
        """Change staged rows.

        Args:
            delta: ``None`` deletes.
            whole: Given once with these the state is whole: its checkpoint and the certificate.
        """
        written = [(s + OFFSET, k, v) for (s, k), v in delta.items() if v is not None]
        deleted = [(s + OFFSET, k) for (s, k), v in delta.items() if v is None]
        with self._transaction("stage") as connection:
            self._delete_state.run(connection, sorted(deleted))
            self._upsert_state.run(connection, sorted(written))
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
            _put_in_place(connection)
            self._upsert_counts.run(connection, _count(connection))
            self._upsert_checkpoint.run(connection, [(seq, certificate)])
            self._upsert_meta.run(connection, [(POSITION_NAME, number)])
            return seq


def _put_in_place(connection: sa.Connection) -> None:
    kept = int(Space.EPOCH_LINK)  # Our own, of no state: they led us to this one.
    connection.execute(sa.delete(STATE).where(STATE.c.space < OFFSET, STATE.c.space != kept))
    staged = STATE.c.space >= OFFSET
    connection.execute(sa.update(STATE).where(staged).values(space=STATE.c.space - OFFSET))
    connection.execute(sa.delete(COUNTS))
    connection.execute(sa.delete(META).where(META.c.name == STAGED_NAME))


def _count(connection: sa.Connection) -> list[tuple[object, ...]]:
    counted = sa.select(STATE.c.space, sa.func.count()).where(STATE.c.space < int(Space.TREE))
    return [tuple(row) for row in connection.execute(counted.group_by(STATE.c.space))]


def _clear(connection: sa.Connection) -> None:
    connection.execute(sa.delete(STATE).where(STATE.c.space >= OFFSET))
    connection.execute(sa.delete(META).where(META.c.name == STAGED_NAME))
