"""Takes the store back to the checkpoint of a recovery in one transaction, and throws nothing away.

What was executed beyond the checkpoint is set aside as the log entries that it came from: their
requests are signed, and are handed in again once the cluster orders. The write-ahead log follows
after, so a note says that it has to, until it has.
"""

from typing import Final

import sqlalchemy as sa

from bftcluster.ids import Seq
from bftcluster.ledger.rows.store import Delta
from bftcluster.storage.ledger_reader import select_meta
from bftcluster.storage.schema import (
    CHECKPOINTS,
    LOG,
    LOG_SIZE_NAME,
    META,
    POSITION_NAME,
    RECOVERY_NAME,
    SET_ASIDE,
    STATE,
    SYNCED_NAME,
    delete_rows,
    upsert,
)
from bftcluster.storage.stage import SqlStage, Transaction

_NUMBER_SIZE_BYTES: Final = 8


class Rewinder:
    """The store's part in a recovery."""

    def __init__(self, dialect: sa.Dialect, transaction: Transaction, stage: SqlStage) -> None:
        self._transaction = transaction
        self._stage = stage
        self._upsert_state = upsert(STATE, dialect)
        self._delete_state = delete_rows(STATE, dialect)
        self._upsert_meta = upsert(META, dialect)

    def begin(self, recovery: bytes, seq: Seq, links: Delta, *, staged: Seq | None) -> None:
        """Note a recovery, and go back to an earlier state if one is staged.

        The caller opens the store again afterwards: nothing that is cached holds any more.

        Args:
            recovery: What maintainers signed.
            seq: The checkpoint that the cluster goes on from.
            links: Rows of ``Space.EPOCH_LINK`` to change.
            staged: Where the whole state stands that is staged: at ``seq``, or at 0 if the log up
                to ``seq`` is to be executed again.
        """
        with self._transaction("begin a recovery in") as connection:
            self._upsert_meta.run(connection, [(RECOVERY_NAME, recovery)])
            if staged is not None:
                number = staged.to_bytes(_NUMBER_SIZE_BYTES, "big")
                self._stage.put_in_place(connection)
                last = connection.execute(sa.select(sa.func.max(SET_ASIDE.c.number))).scalar() or 0
                beyond = sa.select(LOG.c.seq + last, LOG.c.entry).where(LOG.c.seq > seq)
                connection.execute(sa.insert(SET_ASIDE).from_select(["number", "entry"], beyond))
                connection.execute(sa.delete(LOG).where(LOG.c.seq > seq))
                size = _log_size(connection, staged)
                self._upsert_meta.run(
                    connection,
                    [(POSITION_NAME, number), (SYNCED_NAME, number), (LOG_SIZE_NAME, size)],
                )
            connection.execute(sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.seq > seq))
            gone = [(int(space), key) for (space, key), value in links.items() if value is None]
            self._delete_state.run(connection, gone)
            kept = [(int(s), key, value) for (s, key), value in links.items() if value is not None]
            self._upsert_state.run(connection, kept)

    def has_log(self, last: Seq) -> bool:
        """Return whether the log has every entry from the first to ``last``."""
        count = sa.select(sa.func.count()).select_from(LOG).where(LOG.c.seq <= last)
        with self._transaction("read") as connection:
            return connection.execute(count).scalar() == last

    def begun(self) -> bytes | None:
        """Return the recovery that was begun, if the write-ahead log has not followed yet."""
        with self._transaction("read") as connection:
            return select_meta(connection, RECOVERY_NAME)

    def finish(self) -> None:
        """Note that the write-ahead log has followed."""
        with self._transaction("finish a recovery in") as connection:
            connection.execute(sa.delete(META).where(META.c.name == RECOVERY_NAME))

    def first_set_aside(self) -> tuple[int, bytes] | None:
        """Return the first entry that is set aside, with its number."""
        first = sa.select(SET_ASIDE).order_by(SET_ASIDE.c.number).limit(1)
        with self._transaction("read") as connection:
            row = connection.execute(first).first()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def count_set_aside(self) -> int:
        """Return how many entries are set aside."""
        with self._transaction("read") as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(SET_ASIDE)).scalar()
        return int(count or 0)

    def forget_set_aside(self, number: int) -> None:
        """Forget an entry: its requests were ordered again, or refused."""
        with self._transaction("forget") as connection:
            connection.execute(sa.delete(SET_ASIDE).where(SET_ASIDE.c.number == number))


def _log_size(connection: sa.Connection, last: Seq) -> bytes:
    """Return the size of the log up to ``last``: what is executed again is counted again."""
    sizes = sa.select(sa.func.sum(sa.func.length(LOG.c.entry))).where(LOG.c.seq <= last)
    return int(connection.execute(sizes).scalar() or 0).to_bytes(_NUMBER_SIZE_BYTES, "big")
