"""What the ledger needs from the storage that keeps its rows. Storage implements this."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from bftcluster.ledger.state.spaces import Key, Space


class StatePort(Protocol):
    """The rows as of the last flush: one ordered map of bytes to bytes per space.

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

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row, or ``None`` if there is none. Works without prefetch."""
        ...

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """Return up to ``limit`` rows with ``key > after``, ascending by unsigned bytes.

        ``after=b""`` starts at the first row: no key is empty.
        """
        ...
