"""A ledger's database that keeps its promises only as far as real ones do.

An embedded database in WAL mode loses, at a power cut, transactions that it acknowledged since its
last sync; what is left is a prefix of them. Does what ``bftcluster.storage.ledger_store`` does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from bftcluster.errors import FatalStorageError
from bftcluster.ids import Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta

Checkpoint = tuple[Seq, bytes]
"""Which state, and its certificate."""
_ALL_ROWS = 1 << 30


@dataclass(slots=True)
class Tables:
    """What is in the database."""

    state: MemoryStateStore = field(default_factory=MemoryStateStore)
    staged: MemoryStateStore = field(default_factory=MemoryStateStore)
    log: dict[Seq, bytes] = field(default_factory=dict)
    """``LogEntry`` bytes."""
    position: Seq = field(default=Seq(0))
    """The last sequence number whose effects are in the state."""
    whole: Checkpoint | None = None
    """Of a staged state, once it is whole."""
    installed: Checkpoint | None = None
    """Of the last state that was put in place."""
    forgotten: Seq = field(default=Seq(0))
    """Up to here the log may have gaps."""
    set_aside: list[bytes] = field(default_factory=list)
    """Log entries beyond the checkpoint of a recovery."""


Change = Callable[[Tables], None]
"""What a transaction does. It may be done again, on the tables that it was done on before."""


class SimDatabase:
    """State, stage and log, and how much of them is on the disk for good."""

    def __init__(
        self, founding: Delta, call: Callable[[str], None], checkpoint: Checkpoint | None = None
    ) -> None:
        """Begin with the rows of a new cluster, or of one that is older, without its log.

        Args:
            founding: These rows.
            call: Told of each write, before it happens; raises ``OSError`` if it fails.
            checkpoint: What they are the state of, if not of the genesis.
        """
        self._founding = founding
        self._checkpoint = checkpoint
        self._call = call
        self._done: list[tuple[Seq, Change]] = []
        """Each transaction, and the position after it."""
        self._synced = 0
        self.stage = SimStage(self)
        self.tables = self._replay()

    def get(self, space: Space, key: bytes) -> bytes | None:
        """See ``StatePort``."""
        return self.tables.state.get(space, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """See ``ManyRowsPort``."""
        return self.tables.state.get_many(space, keys)

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """See ``StatePort``."""
        return self.tables.state.iterate(space, after, limit)

    def position(self) -> Seq:
        """Return the last executed sequence number."""
        return self.tables.position

    def entries(self, first: Seq, count: int) -> tuple[bytes, ...]:
        """Return contiguous log entries from ``first`` on; none if ``first`` is not there."""
        log, entries = self.tables.log, []
        for seq in range(first, first + count):
            if Seq(seq) not in log:
                break
            entries.append(log[Seq(seq)])
        return tuple(entries)

    def flush(self, delta: Delta, entries: Sequence[tuple[Seq, bytes]], position: Seq) -> None:
        """See ``bftcluster.sync.retention.Store``."""
        expected = range(self.tables.position + 1, position + 1)
        assert [seq for seq, _ in entries] == list(expected), "batches are executed in order, once"

        def change(tables: Tables) -> None:
            tables.state.flush(delta)
            tables.log.update(entries)
            tables.position = position

        self.transact(change)

    def prune_log(self, below: Seq) -> None:
        """See ``bftcluster.sync.retention.Store``."""

        def change(tables: Tables) -> None:
            tables.log = {seq: entry for seq, entry in tables.log.items() if seq >= below}
            tables.forgotten = max(tables.forgotten, Seq(below - 1))

        if any(seq < below for seq in self.tables.log):
            self.transact(change)

    def rewind(self, seq: Seq, links: Delta, *, is_staged: bool) -> None:
        """Begin a recovery; see ``bftcluster.storage.rewinder``."""

        def change(tables: Tables) -> None:
            if is_staged:
                tables.state, tables.staged = tables.staged, MemoryStateStore()
                tables.set_aside += [tables.log[at] for at in sorted(tables.log) if at > seq]
                tables.log = {at: entry for at, entry in tables.log.items() if at <= seq}
                tables.position = seq
            tables.state.flush(links)

        self.transact(change)

    def transact(self, change: Change) -> None:
        """Carry out a transaction.

        Raises:
            FatalStorageError: Nothing of it was stored.
        """
        self._tell("commit")
        change(self.tables)
        self._done.append((self.tables.position, change))

    def sync(self) -> Seq:
        """Make everything flushed durable; return up to where.

        Raises:
            FatalStorageError: It may not be.
        """
        self._tell("sync ledger")
        self._synced = len(self._done)
        return self.tables.position

    def cut_power(self, random: Random) -> None:
        """Lose some of the last transactions."""
        self._keep(random.randint(self._synced, len(self._done)))

    def lose_after(self, seq: Seq) -> None:
        """Go back to an older state: a restored backup."""
        self._keep(sum(position <= seq for position, _ in self._done))

    def _keep(self, count: int) -> None:
        is_shorter = count < len(self._done)
        del self._done[count:]
        self._synced = len(self._done)
        if is_shorter:
            self.tables = self._replay()

    def _replay(self) -> Tables:
        tables = Tables(installed=self._checkpoint)
        tables.state.flush(self._founding)
        if self._checkpoint is not None:
            tables.position = tables.forgotten = self._checkpoint[0]
        for _, change in self._done:
            change(tables)
        return tables

    def _tell(self, action: str) -> None:
        try:
            self._call(action)
        except OSError as exc:
            raise FatalStorageError(f"cannot {action}: {exc.strerror}") from exc


class SimStage:
    """Where a fetched state grows until it is whole; see ``bftcluster.storage.stage``."""

    def __init__(self, database: SimDatabase) -> None:
        self._database = database

    def get(self, space: Space, key: bytes) -> bytes | None:
        """See ``ManyRowsPort``."""
        return self._database.tables.staged.get(space, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """See ``ManyRowsPort``."""
        return self._database.tables.staged.get_many(space, keys)

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """See ``ManyRowsPort``."""
        return self._database.tables.staged.iterate(space, after, limit)

    def flush(self, delta: Delta, whole: Checkpoint | None = None) -> None:
        """See ``StagePort``."""

        def change(tables: Tables) -> None:
            tables.staged.flush(delta)
            tables.whole = whole or tables.whole

        if delta or whole is not None:
            self._database.transact(change)

    def clear(self) -> None:
        """See ``StagePort``."""
        if self._database.tables.staged.rows():
            self._database.transact(_clear)

    def install(self) -> bool:
        """Put a whole staged state in place; return whether there is one newer than ours."""
        tables = self._database.tables
        if tables.whole is None:
            return False
        is_newer = tables.whole[0] > tables.position
        self._database.transact(_put_in_place if is_newer else _clear)
        return is_newer


def _clear(tables: Tables) -> None:
    tables.staged, tables.whole = MemoryStateStore(), None


def _put_in_place(tables: Tables) -> None:
    assert tables.whole is not None, "something is whole"
    links = tables.state.iterate(Space.EPOCH_LINK, b"", _ALL_ROWS)
    tables.state = tables.staged
    tables.state.flush({(Space.EPOCH_LINK, key): link for key, link in links})
    tables.installed = tables.whole
    tables.position = tables.forgotten = tables.whole[0]
    _clear(tables)
