"""Reading DAGs for clients: by a thread that stops at the next block once nobody wants it."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid
from bftcluster.errors import CidMismatchError


class DagReader:
    """A store as whoever reads DAGs for a client sees it, in a thread.

    Every walk comes by here for each block. So here it is stopped when its client has gone, and
    here a damaged block is had from elsewhere.
    """

    def __init__(
        self, blocks: BlockSource, heal: Callable[[Cid], Awaitable[bytes]] | None = None
    ) -> None:
        """Read from ``blocks``.

        Args:
            blocks: The store.
            heal: Returns a block that is damaged here, from elsewhere.
        """
        self._blocks = blocks
        self._heal = heal

    def has_many(self, cids: Sequence[Cid]) -> list[bool]:
        """See ``BlockSource``."""
        trio.from_thread.check_cancelled()
        return self._blocks.has_many(cids)

    def get(self, cid: Cid) -> bytes:
        """See ``BlockSource``.

        Raises:
            trio.Cancelled: Nobody waits for the reader.
        """
        trio.from_thread.check_cancelled()
        try:
            return self._blocks.get(cid)
        except CidMismatchError:
            if self._heal is None:
                raise
            return trio.from_thread.run(self._heal, cid)
