"""The tree's nodes that recent checkpoints replaced are kept while somebody may fetch those states.

A transfer takes round trips, and checkpoints do not wait for it. While somebody fetches, each
checkpoint keeps the nodes and rows of the one before that it replaces; a few checkpoints are kept.
The state at one of them is what it kept, or else what the next one did, and else what there is now.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bftcluster.ids import Digest
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.rows.store import StatePort, scan
from bftcluster.limits import DIGEST_SIZE_BYTES, EARLIER_CHECKPOINTS_MAX

Read = Callable[[Space, bytes], bytes | None]
"""Returns the value of a row, as ``StatePort.get`` does."""

_PAGE_ROWS: Final = 64
_ROOTS_KEY: Final = b"roots"


class Earlier:
    """The checkpoints that are kept, and what has to be flushed for it."""

    def __init__(self, store: StatePort) -> None:
        """Continue with what the store holds."""
        self._keys: dict[Digest, list[bytes]] = {root: [] for root in _roots(store.get)}
        """The rows of each, the oldest checkpoint first."""
        self._delta: dict[Key, bytes | None] = {}
        for key, _ in scan(store, Space.EARLIER, page_rows=_PAGE_ROWS):
            if key != _ROOTS_KEY:
                self._keys[Digest(key[:DIGEST_SIZE_BYTES])].append(key)

    def add(self, root: Digest, nodes: Mapping[bytes, bytes], rows: Mapping[bytes, bytes]) -> None:
        """Keep a checkpoint whose successor is made now, and let the oldest go.

        Args:
            root: Its state root.
            nodes: Its nodes that are replaced, by their keys in ``Space.TREE``.
            rows: Its rows that were, by their keys in ``Space.BEFORE``.
        """
        if root in self._keys:  # A state that comes back; no ledger's does.
            self.forget()
        values = {node_at(root, key): node for key, node in nodes.items()}
        values |= {row_at(root, key): row for key, row in rows.items()}
        self._delta.update(((Space.EARLIER, key), value) for key, value in values.items())
        self._keys[root] = list(values)
        while len(self._keys) > EARLIER_CHECKPOINTS_MAX:
            self._drop(next(iter(self._keys)))
        self._delta[Space.EARLIER, _ROOTS_KEY] = b"".join(self._keys)

    def forget(self) -> None:
        """Keep none any more."""
        if self._keys:
            for root in list(self._keys):
                self._drop(root)
            self._delta[Space.EARLIER, _ROOTS_KEY] = None

    def take_delta(self) -> dict[Key, bytes | None]:
        """Return the rows that changed; the caller flushes them."""
        delta, self._delta = self._delta, {}
        return delta

    def _drop(self, root: Digest) -> None:
        self._delta.update(((Space.EARLIER, key), None) for key in self._keys.pop(root))


def kept_from(root: Digest, get: Read) -> tuple[Digest, ...]:
    """Return the kept checkpoints from the one with this root on; none if it is not kept."""
    roots = _roots(get)
    return roots[roots.index(root) :] if root in roots else ()


def first_kept(get: Read, keys: Sequence[bytes]) -> bytes | None:
    """Return the value of the first of these rows of ``Space.EARLIER`` that there is."""
    values = (get(Space.EARLIER, key) for key in keys)
    return next((value for value in values if value is not None), None)


def node_at(root: Digest, key: bytes) -> bytes:
    """Return the key of a checkpoint's node, which has ``key`` in ``Space.TREE``."""
    return root + b"n" + key


def row_at(root: Digest, key: bytes) -> bytes:
    """Return the key of a checkpoint's row, which has ``key`` in ``Space.BEFORE``."""
    return root + b"r" + key


def _roots(get: Read) -> tuple[Digest, ...]:
    data = get(Space.EARLIER, _ROOTS_KEY) or b""
    starts = range(0, len(data), DIGEST_SIZE_BYTES)
    return tuple(Digest(data[start : start + DIGEST_SIZE_BYTES]) for start in starts)
