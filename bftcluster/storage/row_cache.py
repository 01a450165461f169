"""The rows of the ledger that were used last, bounded in rows and in bytes.

A row that is long for a row is not kept: a few of them would crowd out thousands.
"""

from collections import OrderedDict
from enum import Enum
from typing import Final

from bftcluster.ledger.rows.spaces import Key
from bftcluster.ledger.rows.store import Delta
from bftcluster.shell_limits import (
    STATE_CACHE_ROW_MAX_BYTES,
    STATE_CACHE_ROWS_MAX,
    STATE_CACHE_SIZE_MAX_BYTES,
)


class Unknown(Enum):
    """Says that a row is not in the cache; ``None`` says that the row is known not to exist."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class RowCache:
    """Least recently used rows go first. Absence is a row too."""

    def __init__(
        self,
        *,
        rows_max: int = STATE_CACHE_ROWS_MAX,
        size_max_bytes: int = STATE_CACHE_SIZE_MAX_BYTES,
    ) -> None:
        self._rows: OrderedDict[Key, bytes | None] = OrderedDict()
        self._rows_max = rows_max
        self._size_max_bytes = size_max_bytes
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size_bytes(self) -> int:
        """Bytes of keys and values held."""
        return self._size_bytes

    def get(self, key: Key) -> bytes | Unknown | None:
        """Return the value, ``None`` for a row known to be absent, or ``UNKNOWN``."""
        value = self._rows.get(key, UNKNOWN)
        if value is not UNKNOWN:
            self._rows.move_to_end(key)
        return value

    def put(self, key: Key, value: bytes | None) -> None:
        """Remember ``value`` as the newest, and forget the oldest beyond the bounds."""
        self.update({key: value})

    def update(self, delta: Delta) -> None:
        """``put`` every row, in order."""
        rows, size_bytes = self._rows, self._size_bytes
        for key, value in delta.items():
            old = rows.pop(key, UNKNOWN)
            if old is UNKNOWN:
                size_bytes += len(key[1])
            elif old is not None:
                size_bytes -= len(old)
            if value is not None:
                if len(value) > STATE_CACHE_ROW_MAX_BYTES:
                    size_bytes -= len(key[1])
                    continue
                size_bytes += len(value)
            rows[key] = value
        while len(rows) > self._rows_max or size_bytes > self._size_max_bytes:
            oldest, dropped = rows.popitem(last=False)
            size_bytes -= len(oldest[1]) + (0 if dropped is None else len(dropped))
        self._size_bytes = size_bytes
