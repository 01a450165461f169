"""What the ledger needs from the storage that keeps its rows. Storage implements this."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from bftcluster.ledger.rows.spaces import Key, Space

Delta = Mapping[Key, bytes | None]
"""What changed. ``None`` deletes the row. The order of iteration carries no meaning."""

_PAGE_ROWS: Final = 1000


class RowPort(Protocol):
    """Rows to read: one ordered map of bytes to bytes per space."""

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row, or ``None`` if there is none."""
        ...

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """Return up to ``limit`` rows with ``key > after``, ascending by unsigned bytes.

        ``after=b""`` starts at the first row: no key is empty.
        """
        ...


class StatePort(RowPort, Protocol):
    """The rows as of the last flush.

    ``Ledger.execute`` returns one delta for all spaces, the tree's included. The caller flushes it,
    together with the log entries and the position, in one transaction before it calls ``execute``
    again; the ledger itself never writes. Calls come from one thread at a time.
    """

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Bring rows into memory, many in one query, because ``get`` will ask for them soon.

        A hint: keys may repeat, may not exist and may never be asked for. Absence should be
        remembered as well. Called with up to some ten thousand keys; what was fetched may be
        dropped at the next flush.
        """
        ...


class ManyRowsPort(RowPort, Protocol):
    """Rows to read, many of them at once, for whoever is not the executor."""

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that exist among some keys of one space: a bounded number of keys."""
        ...


def scan(
    store: RowPort, space: Space, after: bytes = b"", *, page_rows: int = _PAGE_ROWS
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of a space behind ``after``, ascending, a page of them read at a time."""
    while page := store.iterate(space, after, page_rows):
        yield from page
        after = page[-1][0]
