"""Brings many blocks into a store: in groups, written while the next one is being made.

Until ``pin`` they belong to an anonymous hold; leave without it, by an exception or by a crash, and
they are gone.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.port import BlockStore, no_pause
from bftcluster.cid import Cid
from bftcluster.shell_limits import INGEST_GROUP_BLOCKS_MAX, INGEST_GROUP_SIZE_BYTES


class Ingest:
    """Fills one group while another is stored: memory is two groups."""

    def __init__(self, store: BlockStore, *, pause: Callable[[], None] = no_pause) -> None:
        """Prepare; ``pause`` is called now and then while a DAG is walked, and may raise."""
        self._store = store
        self._pause = pause
        self._hold = store.begin()
        self._group: list[Block] = []
        self._group_bytes = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what no root holds."""
        self._writer.shutdown()
        self._store.release(self._hold)

    def put(self, block: Block) -> None:
        """Take one block.

        Raises:
            StoreFullError: An earlier group did not fit.
        """
        self._group.append(block)
        self._group_bytes += len(block.data)
        full = len(self._group) >= INGEST_GROUP_BLOCKS_MAX
        if full or self._group_bytes >= INGEST_GROUP_SIZE_BYTES:
            self._store_group()

    def pin(self, *roots: Cid) -> None:
        """Make everything durable and keep the roots: all of them, or no new one.

        Raises:
            StoreFullError: It does not fit.
            BlockNotFoundError: A block of a DAG was not put, nor here before.
        """
        self._store_group()
        self._wait()
        ours: list[Cid] = []
        try:
            for root in roots:
                is_new = self._store.find_root(root) is None
                self._store.pin_root(root, self._pause)
                if is_new:
                    ours.append(root)
        except BaseException:
            for root in ours:  # not what others have added meanwhile
                self._store.unpin_root(root)
            raise

    def _store_group(self) -> None:
        self._wait()
        group, self._group, self._group_bytes = self._group, [], 0
        if group:
            self._writing = self._writer.submit(self._store.put_many, group, hold=self._hold)

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
