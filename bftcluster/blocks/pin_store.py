"""What a peer needs of a store to keep pins: whole DAGs, and nothing of the blocks in them.

Our own blocks are one implementation; a daemon such as Kubo, behind its RPC, can be another. So no
method says what such a daemon does not know. All pass one contract suite.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bftcluster.cid import Cid
from bftcluster.ids import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root that is kept, with everything below it."""

    cid: Cid
    complete: bool
    """False while blocks below it are still missing; a store need not list such a root."""


ROOTS_MAX: Final = (1 << 63) - 1
"""All of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSpace:
    """How full a store is."""

    used_bytes: int
    quota_bytes: int

    @property
    def free_bytes(self) -> int:
        """What the quota still has room for."""
        return max(0, self.quota_bytes - self.used_bytes)


class PinStore(Protocol):
    """Keeps DAGs by their roots. Any method may raise ``ClusterError``: the store refuses."""

    async def present(self, cids: Sequence[Cid]) -> list[bool]:
        """Return for each CID whether it is kept as a root, and all of it is here.

        What is only part of something else that is kept is not.
        """
        ...

    async def pin_present(self, cids: Collection[Cid]) -> Collection[Cid]:
        """Keep, at one visit, those that are all here and soon looked through; return which.

        A store may keep none of them: whoever asks goes on to ``pin`` what was not kept.
        """
        ...

    async def pin(self, cid: Cid, providers: Sequence[PeerId]) -> int:
        """Bring everything below ``cid`` here, and keep it; durable on return.

        Cancelled, or failed, it may be tried again; ``unpin`` gives up what was brought.

        Args:
            cid: The root.
            providers: Who may have what is missing here, the likeliest first.

        Returns:
            How many bytes were brought for it; 0 if the store does not count them.

        Raises:
            NotReachedError: They did not bring it all. A later try may succeed.
            StoreFullError: It does not fit.
            MalformedContentError: It is no DAG that can be kept.
            BlockStoreError: ``unpin`` gave it up meanwhile, or the store is damaged.
        """
        ...

    async def unpin(self, cid: Cid) -> None:
        """Keep ``cid`` no longer; no error if it is not kept.

        Its room is free on return, or at the next ``collect_garbage``.
        """
        ...

    async def roots(self, after: bytes = b"", limit: int = ROOTS_MAX) -> list[Root]:
        """Return up to ``limit`` roots that are kept, behind ``after``, sorted by binary CID."""
        ...

    async def collect_garbage(self) -> None:
        """Delete what no root keeps."""
        ...

    async def stat(self) -> StoreSpace:
        """Return how full the store is."""
        ...
