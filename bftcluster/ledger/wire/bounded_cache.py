"""A cache, bounded in bytes, of what was computed from some bytes."""

from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Remembers values by key in two generations, and forgets the older one when there is too much.

    Safe to use from several threads: a race forgets too much or counts a little wrong, no more.
    """

    __slots__ = ("_old", "_young", "_young_size_bytes", "memory_max_bytes")

    def __init__(self, memory_max_bytes: int) -> None:
        self.memory_max_bytes = memory_max_bytes
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}
        self._young_size_bytes = 0

    def get(self, key: bytes) -> V | None:
        """Return what is remembered for ``key``."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key: bytes, value: V, size_bytes: int) -> None:
        """Remember ``value``, and forget the older half when there is too much."""
        if self._young_size_bytes + size_bytes > self.memory_max_bytes // 2:
            self._old, self._young, self._young_size_bytes = self._young, {}, 0
        self._young[key] = value
        self._young_size_bytes += size_bytes

    def forget(self, key: bytes) -> None:
        """Remember nothing for ``key``."""
        self._young.pop(key, None)
        self._old.pop(key, None)
