"""A block store in memory: for simulations, and the second end of exchange tests."""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from bftcluster.blocks.dag.walk import held_cids
from bftcluster.blocks.formats.block import Block, key_of
from bftcluster.blocks.formats.links import inline_data
from bftcluster.blocks.pin_store import ROOTS_MAX, Root
from bftcluster.blocks.port import Hold, StoreStat, no_pause
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError, BlockStoreError, StoreFullError


class MemoryBlockStore:
    """A ``BlockStore`` that forgets everything when the process ends."""

    def __init__(self, quota_bytes: int = 1 << 62) -> None:
        self._quota_bytes = quota_bytes
        self._data: dict[bytes, bytes] = {}
        self._held: dict[Hold, set[bytes]] = {}
        self._roots: dict[Cid, tuple[Hold, bool]] = {}
        self._next_hold = 1
        self._lock = threading.RLock()

    def close(self) -> None:
        """Keep everything: there is no disk to leave it on."""

    def has(self, cid: Cid) -> bool:
        """Return whether the block is here."""
        return key_of(cid) in self._data or inline_data(cid) is not None

    def has_many(self, cids: Sequence[Cid]) -> list[bool]:
        """Return ``has`` of each."""
        return [self.has(cid) for cid in cids]

    def get(self, cid: Cid) -> bytes:
        """Return the block; it was verified when it came, and memory does not rot."""
        inline = inline_data(cid)
        if inline is not None:
            return inline
        try:
            return self._data[key_of(cid)]
        except KeyError:
            raise BlockNotFoundError(f"the block {text(cid)} is not here") from None

    def put(self, cid: Cid, data: bytes) -> None:
        """Verify one block and keep it."""
        self.put_many((Block.check(cid, data),))

    def put_many(self, blocks: Iterable[Block], *, hold: Hold | None = None) -> None:
        """Keep blocks, all or none."""
        with self._lock:
            wanted = {
                key_of(block.cid): block.data for block in blocks if inline_data(block.cid) is None
            }
            fresh = {key: data for key, data in wanted.items() if key not in self._data}
            if self.stat().used_bytes + sum(map(len, fresh.values())) > self._quota_bytes:
                raise StoreFullError(f"the quota of {self._quota_bytes} bytes is used up")
            self._data.update(fresh)
            if hold in self._held:
                self._held[hold].update(wanted)

    def delete(self, cids: Collection[Cid]) -> int:
        """Forget blocks, whoever holds them; return the bytes freed."""
        return self._delete({key_of(cid) for cid in cids})

    def begin(self, root: Cid | None = None) -> Hold:
        """Open the hold of ``root``, or a new anonymous one."""
        with self._lock:
            if root in self._roots:
                return self._roots[root][0]
            hold = Hold(self._next_hold)
            self._next_hold += 1
            self._held[hold] = set()
            if root is not None:
                self._roots[root] = (hold, False)
            return hold

    def pin_root(self, root: Cid, pause: Callable[[], None] = no_pause) -> None:
        """Keep ``root`` and everything below it, all of which is here."""
        with self._lock:
            keys: set[bytes] = set()
            for cids in held_cids(self, root):
                keys.update(map(key_of, cids))
                pause()
            hold = self.begin(root)
            self._held[hold].update(keys)
            self._roots[root] = (hold, True)

    def pin_present(self, roots: Collection[Cid]) -> set[Cid]:
        """Keep those roots that are all here; return which."""
        kept: set[Cid] = set()
        for root in roots:
            with contextlib.suppress(BlockStoreError):
                self.pin_root(root)
                kept.add(root)
        return kept

    def unpin_root(self, root: Cid) -> int:
        """Stop keeping ``root``; return the bytes freed."""
        with self._lock:
            return self.release(self._roots[root][0]) if root in self._roots else 0

    def release(self, hold: Hold) -> int:
        """Give a hold up; return the bytes freed."""
        with self._lock:
            keys = self._held.pop(hold, set())
            self._roots = {cid: root for cid, root in self._roots.items() if root[0] != hold}
            return self._delete(keys.difference(*self._held.values()))

    def find_root(self, root: Cid) -> Root | None:
        """Return what is known of one root."""
        found = self._roots.get(root)
        return None if found is None else Root(cid=root, complete=found[1])

    def roots(self, after: bytes = b"", limit: int = ROOTS_MAX) -> list[Root]:
        """Return up to ``limit`` roots that are kept, behind ``after``, sorted by CID."""
        with self._lock:
            rows = [(cid, root[1]) for cid, root in sorted(self._roots.items()) if cid > after]
        return [Root(cid=cid, complete=complete) for cid, complete in rows[:limit]]

    def collect_garbage(self) -> int:
        """Delete the blocks that no hold has; return the bytes freed."""
        with self._lock:
            return self._delete(set(self._data).difference(*self._held.values()))

    def multihashes(self) -> Iterator[bytes]:
        """Iterate over the multihash of every block, sorted."""
        return iter(sorted(self._data))

    def stat(self) -> StoreStat:
        """Return how full the store is; a block counts as its own bytes."""
        with self._lock:
            size = sum(map(len, self._data.values()))
            return StoreStat(
                used_bytes=size,
                quota_bytes=self._quota_bytes,
                blocks=len(self._data),
                content_bytes=size,
            )

    def _delete(self, keys: Collection[bytes]) -> int:
        with self._lock:
            gone = [key for key in keys if key in self._data]
            freed = sum(len(self._data.pop(key)) for key in gone)
            for cid, (hold, _) in self._roots.items():
                if not self._held[hold].isdisjoint(gone):
                    self._roots[cid] = (hold, False)
            for held in self._held.values():
                held.difference_update(gone)
            return freed
