"""Knows which blocks of a DAG were seen, and which of those are missing here."""

import threading
from collections.abc import Iterable

from bftcluster.blocks.formats.dag_pb import DagLink
from bftcluster.blocks.formats.links import links_of, may_link, stored
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError, CidMismatchError, MalformedContentError
from bftcluster.shell_limits import DAG_BLOCKS_MAX


class Survey:
    """Follows links through the blocks that are held, and finds those that are not.

    Only what the root commits to gets in: a block that is not ``known`` was not asked for.
    """

    def __init__(self, store: BlockSource, root: Cid) -> None:
        self._store = store
        self._root = root
        self._lock = threading.Lock()
        self.known: set[Cid] = set()

    def start(self) -> list[DagLink]:
        """Return what is missing, the root being the first link. Blocking."""
        return self.follow((DagLink(cid=self._root),))

    def follow(self, links: Iterable[DagLink]) -> list[DagLink]:
        """Return what is missing of these links and what held blocks below them link to. Blocking.

        Each missing block is returned once in the life of a survey.

        Raises:
            MalformedContentError: The DAG cannot be walked, or has too many blocks.
        """
        missing: list[DagLink] = []
        with self._lock:
            level = self._unknown(links)
            while level:
                below: list[DagLink] = []
                held = self._store.has_many([link.cid for link in level])
                for link, is_held in zip(level, held, strict=True):
                    if not is_held:
                        missing.append(link)
                    elif may_link(link.cid):
                        try:
                            below += links_of(link.cid, self._store.get(link.cid))
                        except (BlockNotFoundError, CidMismatchError):
                            missing.append(link)
                level = self._unknown(below)
        return missing

    def _unknown(self, links: Iterable[DagLink]) -> list[DagLink]:
        fresh = []
        for link in stored(links):
            if link.cid not in self.known:
                self.known.add(link.cid)
                fresh.append(link)
        if len(self.known) > DAG_BLOCKS_MAX:
            raise MalformedContentError(f"{text(self._root)} has more than {DAG_BLOCKS_MAX} blocks")
        return fresh
