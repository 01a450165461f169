"""Reading DAGs for clients: by a thread that stops at the next block once nobody wants it."""

from collections.abc import Sequence

import trio

from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid


class DagSource:
    """A store as a reader's thread sees it.

    Every walk comes by here for each block, so here it is stopped when its client has gone.
    """

    def __init__(self, blocks: BlockSource) -> None:
        self._blocks = blocks

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
        return self._blocks.get(cid)
