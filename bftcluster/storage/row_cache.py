"""The rows of the ledger that were used last, bounded in rows and in bytes."""

from collections import OrderedDict
from enum import Enum
from typing import Final

from bftcluster.ledger.spaces import Key
from bftcluster.limits import STATE_CACHE_ROWS_MAX, STATE_CACHE_SIZE_MAX_BYTES


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
        old = self._rows.pop(key, UNKNOWN)
        if not isinstance(old, Unknown):
            self._size_bytes -= _size(key, old)
        self._rows[key] = value
        self._size_bytes += _size(key, value)
        while len(self._rows) > self._rows_max or self._size_bytes > self._size_max_bytes:
            oldest, dropped = self._rows.popitem(last=False)
            self._size_bytes -= _size(oldest, dropped)


def _size(key: Key, value: bytes | None) -> int:
    return len(key[1]) + (0 if value is None else len(value))
