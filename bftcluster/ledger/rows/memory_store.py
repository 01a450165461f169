"""A state store in memory: for simulations, tests and small tools."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from bftcluster.ledger.rows.spaces import STATE_SPACES, Key, Space
from bftcluster.ledger.rows.store import Delta


class MemoryStateStore:
    """Implements ``StatePort`` with dictionaries."""

    def __init__(self) -> None:
        self._rows: dict[Space, dict[bytes, bytes]] = {space: {} for space in Space}
        self._keys: dict[Space, list[bytes] | None] = dict.fromkeys(Space)

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Do nothing: all is in memory."""

    def get(self, space: Space, key: bytes) -> bytes | None:
        """See ``StatePort``."""
        return self._rows[space].get(key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """See ``ManyRowsPort``."""
        rows = self._rows[space]
        return {key: rows[key] for key in keys if key in rows}

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """See ``StatePort``."""
        rows = self._rows[space]
        keys = self._sorted(space)
        start = bisect_right(keys, after)
        return [(key, rows[key]) for key in keys[start : start + limit]]

    def flush(self, delta: Delta) -> None:
        """Apply a delta."""
        for (space, key), value in delta.items():
            rows = self._rows[space]
            if (key in rows) != (value is not None):
                self._keys[space] = None
            if value is not None:
                rows[key] = value
            else:
                rows.pop(key, None)

    def state_rows(self) -> list[tuple[Key, bytes]]:
        """Return what is under the state root, in order, for comparison."""
        return sorted((key, value) for key, value in self.rows().items() if key[0] in STATE_SPACES)

    def rows(self) -> dict[Key, bytes]:
        """Return everything, for comparison."""
        return {(s, key): value for s, rows in self._rows.items() for key, value in rows.items()}

    def _sorted(self, space: Space) -> list[bytes]:
        keys = self._keys[space]
        if keys is None:
            keys = self._keys[space] = sorted(self._rows[space])
        return keys
