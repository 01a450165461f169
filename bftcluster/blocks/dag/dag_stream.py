"""What a provider sends for one request: a walk that stops at its leaf budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.blocks.formats.dag_pb import DagLink, decode_node
from bftcluster.blocks.formats.links import links_of, may_link, stored
from bftcluster.blocks.formats.unixfs import UnixFsKind, decode_message
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import DAG_PB, Cid, codec_of
from bftcluster.errors import BlockStoreError, MalformedContentError
from bftcluster.shell_limits import END_ABSENT_MAX, WALK_PENDING_MAX

_READS_PER_BATCH_MAX: Final = 512


@dataclass(slots=True)
class _Level:
    """The children of one node that are still to come, last first."""

    pending: list[Cid]
    uniform: bool
    """A file node's children are all leaves or all nodes: seeing one leaf settles the others."""


class DagStream:
    """Walks from the listed CIDs downwards, parents first; each block once. Blocking.

    Once it has come by many links it follows no more of them, and sends what it has.
    """

    def __init__(self, source: BlockSource, cids: Sequence[Cid], leaf_budget_bytes: int) -> None:
        self._source = source
        self._listed = frozenset(cids)
        self._seen = set(cids)
        self._unsifted = list(cids)
        self._levels = [_Level([], uniform=False)]
        self._leaf_budget_bytes = leaf_budget_bytes
        self._ahead: tuple[Cid, bytes] | None = None
        self.absent: list[Cid] = []
        """Blocks that are not here, the first so many."""

    @property
    def finished(self) -> bool:
        """Whether every block has been returned."""
        return (
            self._ahead is None
            and not self._unsifted
            and not any(level.pending for level in self._levels)
        )

    def next_batch(self, size_max_bytes: int) -> list[tuple[Cid, bytes]]:
        """Return the next blocks: more than one only while all fit into ``size_max_bytes``.

        An empty batch says that nothing was to be sent among many blocks looked at, not that the
        walk has finished.
        """
        self._sift()
        batch: list[tuple[Cid, bytes]] = []
        size_bytes = 0
        for _ in range(_READS_PER_BATCH_MAX):
            block = self._ahead or self._step()
            self._ahead = None
            if block is not None:
                if batch and size_bytes + len(block[1]) > size_max_bytes:
                    self._ahead = block
                    break
                batch.append(block)
                size_bytes += len(block[1])
            if self.finished:
                break
        return batch

    def _sift(self) -> None:
        """Set apart what is listed and not here, all at once: to ask for it costs next to nothing.

        What is listed is in the hand of whoever asks; what is below it is not.
        """
        if self._unsifted:
            is_here = dict(zip(self._unsifted, self._source.has_many(self._unsifted), strict=True))
            self._levels[0].pending = [cid for cid in reversed(self._unsifted) if is_here[cid]]
            absent = [cid for cid in self._unsifted if not is_here[cid]]
            self.absent += absent[:END_ABSENT_MAX]
            self._unsifted = []

    def _step(self) -> tuple[Cid, bytes] | None:
        """Look at one block; return it if it is to be sent."""
        while self._levels and not self._levels[-1].pending:
            self._levels.pop()
        if not self._levels:
            return None
        level = self._levels[-1]
        cid = level.pending.pop()
        listed = cid in self._listed
        if not listed and self._leaf_budget_bytes <= 0 and not may_link(cid):
            return None
        try:
            data = self._source.get(cid)
        except BlockStoreError:
            if len(self.absent) < END_ABSENT_MAX:
                self.absent.append(cid)
            return None
        links = _links_if_readable(cid, data)
        if links:
            self._descend(cid, data, links)
        elif not listed:
            if self._leaf_budget_bytes <= 0:
                if level.uniform:
                    level.pending.clear()
                return None
            self._leaf_budget_bytes -= len(data)
        return cid, data

    def _descend(self, cid: Cid, data: bytes, links: Sequence[DagLink]) -> None:
        if len(self._seen) > WALK_PENDING_MAX:
            return  # what is below is asked for again, by its name
        fresh = []
        for link in _stored_if_readable(links):
            if link.cid not in self._seen:
                self._seen.add(link.cid)
                fresh.append(link.cid)
        self._levels.append(_Level(fresh[::-1], uniform=_is_file(cid, data)))


def _links_if_readable(cid: Cid, data: bytes) -> Sequence[DagLink]:
    """Return the links; none if the block is not what its codec says: whoever asked will see."""
    try:
        return links_of(cid, data)
    except MalformedContentError:
        return ()


def _stored_if_readable(links: Sequence[DagLink]) -> Sequence[DagLink]:
    try:
        return tuple(stored(links))
    except MalformedContentError:
        return ()


def _is_file(cid: Cid, data: bytes) -> bool:
    try:
        return codec_of(cid) == DAG_PB and decode_message(decode_node(data)).kind is UnixFsKind.FILE
    except MalformedContentError:
        return False
