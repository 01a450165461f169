"""A bounded memory of what was computed from some bytes."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(slots=True)
class Recent(Generic[V]):
    """Remembers values by key in two generations, and forgets the older one when there is too much.

    Safe to use from several threads: a race forgets too much or counts a little wrong, no more.
    """

    memory_max_bytes: int
    _young: dict[bytes, V] = field(default_factory=dict)
    _old: dict[bytes, V] = field(default_factory=dict)
    _young_size: int = 0

    def get(self, key: bytes) -> V | None:
        """Return what is remembered for ``key``."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key: bytes, value: V, size_bytes: int) -> None:
        """Remember ``value``, and forget the older half when there is too much."""
        if self._young_size + size_bytes > self.memory_max_bytes // 2:
            self._old, self._young, self._young_size = self._young, {}, 0
        self._young[key] = value
        self._young_size += size_bytes

    def forget(self, key: bytes) -> None:
        """Remember nothing for ``key``."""
        self._young.pop(key, None)
        self._old.pop(key, None)
