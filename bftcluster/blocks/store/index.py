"""The index of the embedded store: which blocks are there, how large, and who holds them.

SQLite in WAL mode, every commit synced. A block's row is written before its file and settled after
it, and marked before the file goes: so whatever a crash left half-done is found by its row, without
looking at the files. A root is complete (1), incomplete (0), or would be complete but for blocks
that are damaged (2).
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.port import Hold
from bftcluster.blocks.store.index_database import Database
from bftcluster.cid import Cid

_COMPLETE: Final = 0x62667463
"""``application_id`` of an index that knows every file."""
_VARIABLES_MAX: Final = 500
_PAGE_ROWS: Final = 1000


class _State(IntEnum):
    ARRIVING = 0
    """The file may be missing or torn."""
    PRESENT = 1
    """The file and its directory entry are durable."""
    LEAVING = 2
    """The file may be gone."""
    DAMAGED = 3
    """The file has other bytes, or is gone. It keeps its place and its holds until it is healed."""


class Index:
    """Rows keyed by multihash. One writer at a time (the store's lock); readers in parallel."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._anonymous: set[Hold] = set()
        """Those that are open. They get a row with their first block."""
        try:
            with self._database.reader() as reader:
                query = "SELECT coalesce(max(id), 0) FROM holds"
                self._last_hold: int = reader.execute(query).fetchone()[0]
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Fold the log into the database and close every connection."""
        self._database.close()

    # ---- reading

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of ``keys`` are durable."""
        return {
            row[0] for row in self._rows("SELECT key FROM blocks WHERE state = 1 AND key", keys)
        }

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of ``keys`` have a row, settled or not."""
        return {row[0] for row in self._rows("SELECT key FROM blocks WHERE key", keys)}

    def sizes_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
        """Return key and size of those of ``keys`` that are durable, or were."""
        return self._rows("SELECT key, size FROM blocks WHERE state IN (1, 3) AND key", keys)

    def damaged_among(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of ``keys`` are damaged."""
        return {
            row[0] for row in self._rows("SELECT key FROM blocks WHERE state = 3 AND key", keys)
        }

    def damaged(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return some blocks (id, key) that are damaged, those with an id over ``after``, by id."""
        # State 3 is not 1; that it is said lets SQLite use the index `unsettled`, here and below.
        return self._page(
            "SELECT id, key FROM blocks WHERE state <> 1 AND state = 3 AND id > ? ORDER BY id",
            after,
            limit,
        )

    def damaged_total(self) -> int:
        """Return how many blocks are damaged."""
        with self._database.reader() as reader:
            count: int = reader.execute(
                "SELECT count(*) FROM blocks WHERE state <> 1 AND state = 3"
            ).fetchone()[0]
        return count

    def page(self, after: bytes, limit: int) -> list[tuple[bytes, int]]:
        """Return key and size of some durable blocks with keys behind ``after``, sorted."""
        query = "SELECT key, size FROM blocks WHERE state = 1 AND key > ? ORDER BY key"
        return self._page(query, after, limit)

    def all_keys(self) -> Iterator[bytes]:
        """Yield the key of every durable block, sorted, in short reads: the log can shrink."""
        after = b""
        while True:
            rows = self.page(after, _PAGE_ROWS)
            yield from (key for key, _ in rows)
            if len(rows) < _PAGE_ROWS:
                return
            after = rows[-1][0]

    def total(self, page_bytes: int) -> tuple[int, int, int]:
        """Return how many blocks there are, their bytes, and their whole pages in bytes."""
        with self._database.reader() as reader:
            count, size, pages = reader.execute(
                "SELECT count(*), total(size), total((size + ?1 - 1) / ?1) FROM blocks",
                (page_bytes,),
            ).fetchone()
        return count, int(size), int(pages) * page_bytes

    def unsettled(self, after: int, limit: int) -> list[tuple[int, bytes, int]]:
        """Return some blocks (id, key, size) that a crash or a failed group left half-done.

        Those with an id over ``after``, by id.
        """
        query = "SELECT id, key, size FROM blocks WHERE state <> 1 AND state <> 3 AND id > ?"
        return self._page(f"{query} ORDER BY id", after, limit)

    def leaving_among(self, keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
        """Return key and size of those of ``keys`` whose files are to go."""
        return self._rows("SELECT key, size FROM blocks WHERE state = 2 AND key", keys)

    def roots(self, after: bytes, limit: int) -> list[Root]:
        """Return up to ``limit`` named holds behind ``after``, by CID."""
        rows = self._page(
            "SELECT cid, complete FROM holds WHERE cid > ? ORDER BY cid", after, limit
        )
        return [Root(cid=Cid(cid), complete=complete == 1) for cid, complete in rows]

    def find_root(self, root: Cid) -> Root | None:
        """Return what is known of one root."""
        with self._database.reader() as reader:
            row = reader.execute("SELECT complete FROM holds WHERE cid = ?", (root,)).fetchone()
        return None if row is None else Root(cid=root, complete=row[0] == 1)

    def hold_of(self, root: Cid) -> Hold | None:
        """Return the hold of ``root`` if it is kept."""
        return self.holds_of([root]).get(root)

    def holds_of(self, roots: Sequence[Cid]) -> dict[Cid, Hold]:
        """Return the holds of those among ``roots`` that are kept."""
        rows = self._rows("SELECT cid, id FROM holds WHERE cid", roots)
        return {Cid(cid): Hold(hold) for cid, hold in rows}

    def anonymous(self) -> list[Hold]:
        """Return the holds without a root."""
        with self._database.reader() as reader:
            return [
                Hold(row[0]) for row in reader.execute("SELECT id FROM holds WHERE cid IS NULL")
            ]

    def only_held_by(self, hold: Hold | None, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return some blocks (id, key) that ``hold`` alone has; for None, that nobody has.

        Those with an id over ``after``, by id.
        """
        if hold is None:
            query = (
                "SELECT b.id, b.key FROM blocks b WHERE b.state IN (1, 3) AND b.id > ?"
                " AND NOT EXISTS (SELECT 1 FROM held h WHERE h.block = b.id)"
                " ORDER BY b.id LIMIT ?"
            )
            arguments: tuple[int, ...] = (after, limit)
        else:
            query = (
                "SELECT b.id, b.key FROM held m JOIN blocks b ON b.id = m.block"
                " WHERE m.hold = ? AND m.block > ? AND b.state IN (1, 3) AND NOT EXISTS"
                " (SELECT 1 FROM held h WHERE h.block = m.block AND h.hold <> m.hold)"
                " ORDER BY m.block LIMIT ?"
            )
            arguments = (hold, after, limit)
        with self._database.reader() as reader:
            return reader.execute(query, arguments).fetchall()

    # ---- writing; each call is one durable transaction

    def arrive(self, blocks: Sequence[tuple[bytes, int]]) -> None:
        """Announce blocks whose files are about to be written."""
        with self._database.transaction() as writer:
            writer.executemany("INSERT INTO blocks (key, size, state) VALUES (?, ?, 0)", blocks)

    def settle(self, keys: Collection[bytes], held: Collection[tuple[Hold, bytes]]) -> None:
        """Say that the files of ``keys``, new ones, are durable, and attach blocks to holds."""
        with self._database.transaction() as writer:
            writer.executemany(
                "UPDATE blocks SET state = 1 WHERE key = ?", [(key,) for key in keys]
            )
            self._attach(writer, held)

    def damage(self, key: bytes) -> bool:
        """Say that a block's file has other bytes; return whether that is news."""
        with self._database.transaction() as writer:
            query = "UPDATE blocks SET state = 3 WHERE state = 1 AND key = ?"
            is_news = writer.execute(query, (key,)).rowcount == 1
            writer.execute(
                "UPDATE holds SET complete = 2 WHERE complete = 1 AND id IN"
                " (SELECT hold FROM held JOIN blocks ON id = block WHERE key = ?)",
                (key,),
            )
        return is_news

    def heal(self, keys: Collection[bytes]) -> None:
        """Say that the files of ``keys``, which were damaged, are durable again."""
        self._for_each(
            keys,
            "UPDATE blocks SET state = 1 WHERE key = ?",
            "UPDATE holds SET complete = 1 WHERE complete = 2 AND id IN"
            " (SELECT hold FROM held JOIN blocks ON id = block WHERE key = ?)"
            " AND NOT EXISTS (SELECT 1 FROM blocks b CROSS JOIN held h"
            " WHERE b.state <> 1 AND b.state = 3 AND h.block = b.id AND h.hold = holds.id)",
        )

    def attach(self, hold: Hold, keys: Collection[bytes]) -> None:
        """Attach blocks to a hold; nothing if it was given up meanwhile."""
        with self._database.transaction() as writer:
            self._attach(writer, [(hold, key) for key in keys])

    def complete(self, dags: Mapping[Hold, tuple[Cid, Collection[bytes]]]) -> set[Cid]:
        """Attach the last blocks of DAGs to their holds, and name these after their roots.

        A root that somebody else has begun meanwhile takes over what the hold has.

        Returns:
            The roots that are complete now but for blocks that are damaged: all whose hold was
            not given up meanwhile.
        """
        named: list[tuple[Hold, Cid]] = []
        merged: list[tuple[Hold, Hold]] = []
        kept: dict[Hold, Cid] = {}
        keepers = self.holds_of([root for root, _ in dags.values()])
        for hold, (root, _) in dags.items():
            keeper = keepers.get(root)
            if keeper is not None:
                kept[keeper] = root
                if keeper != hold:
                    merged.append((hold, keeper))
            elif hold in self._anonymous:
                named.append((hold, root))
        with self._database.transaction() as writer:
            writer.executemany(
                "INSERT INTO holds (id, cid) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET cid = excluded.cid",
                named,
            )
            _insert_holds(writer, [hold for hold, _ in merged if hold in self._anonymous])
            _attach(writer, [(hold, key) for hold, (_, keys) in dags.items() for key in keys])
            for hold, keeper in merged:
                _merge(writer, hold, keeper)
            writer.executemany(
                # The cross join begins with what is damaged: that is less than what a hold has.
                "UPDATE holds SET complete = 1 + EXISTS (SELECT 1 FROM blocks b CROSS JOIN held h"
                " WHERE b.state <> 1 AND b.state = 3 AND h.block = b.id AND h.hold = holds.id)"
                " WHERE id = ?",
                [(hold,) for hold in (*kept, *(hold for hold, _ in named))],
            )
        self._anonymous.difference_update(dags)
        return {*kept.values(), *(root for _, root in named)}

    def leave(self, keys: Collection[bytes]) -> None:
        """Announce blocks whose files are about to go; roots above them become incomplete."""
        self._for_each(
            keys,
            "UPDATE blocks SET state = 2 WHERE key = ?",
            "UPDATE holds SET complete = 0 WHERE complete AND id IN"
            " (SELECT hold FROM held JOIN blocks ON id = block WHERE key = ?)",
            "DELETE FROM held WHERE block IN (SELECT id FROM blocks WHERE key = ?)",
        )

    def forget(self, keys: Collection[bytes]) -> None:
        """The files of ``keys`` are gone."""
        self._for_each(keys, "DELETE FROM blocks WHERE key = ?")

    def begin(self) -> Hold:
        """Return a new anonymous hold."""
        self._last_hold += 1
        self._anonymous.add(Hold(self._last_hold))
        return Hold(self._last_hold)

    def begin_root(self, root: Cid) -> Hold:
        """Return the hold of ``root``, made if there is none."""
        hold = self.hold_of(root)
        if hold is None:
            self._last_hold += 1
            hold = Hold(self._last_hold)
            with self._database.transaction() as writer:
                writer.execute("INSERT INTO holds (id, cid) VALUES (?, ?)", (hold, root))
        return hold

    def disown(self, hold: Hold) -> None:
        """Remove a hold; its blocks stay until they are deleted."""
        self._anonymous.discard(hold)
        while True:
            with self._database.transaction() as writer:
                gone = writer.execute(
                    "DELETE FROM held WHERE hold = ? AND block IN"
                    " (SELECT block FROM held WHERE hold = ? LIMIT ?)",
                    (hold, hold, _PAGE_ROWS),
                ).rowcount
                if gone == 0:
                    writer.execute("DELETE FROM holds WHERE id = ?", (hold,))
                    return

    def needs_files_read(self) -> bool:
        """Return whether this index is new, so that files may be there that it does not know."""
        with self._database.reader() as reader:
            return bool(reader.execute("PRAGMA application_id").fetchone()[0] != _COMPLETE)

    def files_were_read(self) -> None:
        """Say that it knows every file."""
        with self._database.transaction() as writer:
            writer.execute(f"PRAGMA application_id = {_COMPLETE}")

    def _for_each(self, keys: Collection[bytes], *statements: str) -> None:
        """Execute each statement for every key, all in one transaction."""
        rows = [(key,) for key in keys]
        with self._database.transaction() as writer:
            for statement in statements:
                writer.executemany(statement, rows)

    def _page(self, query: str, after: int | bytes, limit: int) -> list[tuple[Any, ...]]:
        """Return up to ``limit`` rows of a sorted query for what is behind ``after``."""
        with self._database.reader() as reader:
            return reader.execute(f"{query} LIMIT ?", (after, limit)).fetchall()

    def _rows(self, query: str, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """Return the rows of a query that ends in the name of the column that has ``keys``."""
        found: list[tuple[Any, ...]] = []
        with self._database.reader() as reader:
            for start in range(0, len(keys), _VARIABLES_MAX):
                part = keys[start : start + _VARIABLES_MAX]
                found += reader.execute(f"{query} IN ({','.join('?' * len(part))})", part)
        return found

    def _attach(self, writer: sqlite3.Connection, held: Collection[tuple[Hold, bytes]]) -> None:
        _insert_holds(writer, sorted(self._anonymous.intersection(hold for hold, _ in held)))
        _attach(writer, held)


def _insert_holds(writer: sqlite3.Connection, holds: Sequence[Hold]) -> None:
    writer.executemany("INSERT OR IGNORE INTO holds (id) VALUES (?)", [(hold,) for hold in holds])


def _attach(writer: sqlite3.Connection, held: Collection[tuple[Hold, bytes]]) -> None:
    writer.executemany(
        "INSERT OR IGNORE INTO held SELECT h.id, b.id FROM holds h, blocks b"
        " WHERE h.id = ? AND b.key = ?",
        held,
    )


def _merge(writer: sqlite3.Connection, hold: Hold, keeper: Hold) -> None:
    """Let ``keeper`` have what ``hold`` has, which ends."""
    writer.execute("UPDATE OR IGNORE held SET hold = ? WHERE hold = ?", (keeper, hold))
    writer.execute("DELETE FROM held WHERE hold = ?", (hold,))
    writer.execute("DELETE FROM holds WHERE id = ?", (hold,))
