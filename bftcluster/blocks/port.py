"""What a block store offers. The embedded store and the in-memory one pass one contract suite."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NewType, Protocol

from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.pin_store import ROOTS_MAX, Root
from bftcluster.cid import Cid

Hold = NewType("Hold", int)
"""A claim on blocks: they stay while some hold has them. Named after a root, or anonymous."""


def no_pause() -> None:
    """Go on at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStat:
    """How full a store is."""

    used_bytes: int
    """What it occupies on disk at most: blocks in whole pages, index and directories included."""
    quota_bytes: int
    """A hard limit on ``used_bytes``."""
    blocks: int
    content_bytes: int
    """Sum of the sizes of the blocks themselves."""

    @property
    def free_bytes(self) -> int:
        """What the quota still has room for."""
        return max(0, self.quota_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Blocks whose file has other bytes than were written, or none."""

    blocks: int = 0
    """Now."""
    found: int = 0
    """Since the start."""
    healed: int = 0
    """Written again, since the start."""


BLOCK_COST_BYTES: Final = 16 << 10
"""Finding a file takes the disk as long as reading so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """What one step of a scrub read."""

    after: bytes
    """Where to go on; empty at the end."""
    blocks: int
    read_bytes: int

    @property
    def cost_bytes(self) -> int:
        """What it cost, as if all of it had been reading."""
        return self.read_bytes + self.blocks * BLOCK_COST_BYTES


class BlockSource(Protocol):
    """Where blocks are read."""

    def has_many(self, cids: Sequence[Cid]) -> list[bool]:
        """Return for each CID whether its block is here, durably."""
        ...

    def get(self, cid: Cid) -> bytes:
        """Return the block, verified.

        Raises:
            BlockNotFoundError: Not here.
            CidMismatchError: The disk has other bytes; the block counts as missing until it is put
                again.
        """
        ...


class BlockStore(BlockSource, Protocol):
    """A store of verified blocks. Every method blocks, and may be called from any thread."""

    def has(self, cid: Cid) -> bool:
        """Return whether the block is here, durably."""
        ...

    def put(self, cid: Cid, data: bytes) -> None:
        """Verify one block and keep it; durable on return.

        Raises:
            CidMismatchError: Other bytes than the CID names.
            StoreFullError: No room; nothing was kept.
        """
        ...

    def put_many(self, blocks: Iterable[Block], *, hold: Hold | None = None) -> None:
        """Keep blocks as one group, attached to ``hold``; durable on return.

        A hold that was released meanwhile holds nothing.

        Raises:
            StoreFullError: No room for all; none was kept that was not here before.
        """
        ...

    def delete(self, cids: Collection[Cid]) -> int:
        """Forget blocks, whoever holds them; return the bytes of disk that became free."""
        ...

    def begin(self, root: Cid | None = None) -> Hold:
        """Open a hold: the one of ``root``, or a new anonymous one.

        An anonymous hold protects blocks until their root is pinned, and then is released. It
        dies with the process: the next one that opens the store removes its blocks.
        """
        ...

    def release(self, hold: Hold) -> int:
        """Give a hold up; blocks that no other hold has are deleted. Return the bytes freed."""
        ...

    def pin_root(self, root: Cid, pause: Callable[[], None] = no_pause) -> None:
        """Keep ``root`` and everything below it, all of which is here.

        Args:
            root: What to keep.
            pause: Called now and then. What it raises ends the work; the root is as before.

        Raises:
            BlockNotFoundError: A block is missing; whether the root is kept is as before.
        """
        ...

    def pin_present(self, roots: Collection[Cid]) -> set[Cid]:
        """Keep, in one transaction, those roots that are small and all here; return which."""
        ...

    def unpin_root(self, root: Cid) -> int:
        """Stop keeping ``root``; return the bytes freed. Unknown roots free nothing."""
        ...

    def find_root(self, root: Cid) -> Root | None:
        """Return what is known of one root; None if it is not kept."""
        ...

    def roots(self, after: bytes = b"", limit: int = ROOTS_MAX) -> list[Root]:
        """Return up to ``limit`` roots that are kept, behind ``after``, sorted by CID."""
        ...

    def collect_garbage(self) -> int:
        """Delete the blocks that no hold has; return the bytes freed."""
        ...

    def multihashes(self) -> Iterator[bytes]:
        """Iterate over the multihash of every block, sorted; blocks may come and go meanwhile."""
        ...

    def stat(self) -> StoreStat:
        """Return how full the store is."""
        ...

    def close(self) -> None:
        """Finish. Nothing may be called afterwards."""
        ...
