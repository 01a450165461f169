"""Content out of this peer: files, directories and whole DAGs, fetched first if need be."""

import io
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

import trio

from bftcluster.api.views import ContentKind, ContentView
from bftcluster.blocks.dag.directory_reader import resolve as resolve_path
from bftcluster.blocks.dag.file_reader import read_file
from bftcluster.blocks.dag.tree import Tree, TreeEntry, open_entry
from bftcluster.blocks.dag.walk import held_cids, walk
from bftcluster.blocks.dag.walk_budget import WalkBudget
from bftcluster.blocks.formats.unixfs import UnixFsKind
from bftcluster.blocks.importer.car import write_car
from bftcluster.blocks.port import BlockSource, BlockStore
from bftcluster.cid import Cid, text, write_varint
from bftcluster.errors import BlockNotFoundError, RequestTimeoutError
from bftcluster.node.process.threads import Workers
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES

T = TypeVar("T")

_VISIT_TIME_MAX_S: Final = 0.05
_READ_SIZE_BYTES: Final = 256 << 10
_ENTRIES_PER_VISIT: Final = 64
_SURVEY_TIMEOUT_S: Final = 600.0
"""A million directories on a slow disk are looked at in less."""
_KINDS: Final = {
    UnixFsKind.FILE: ContentKind.FILE,
    UnixFsKind.RAW: ContentKind.FILE,
    UnixFsKind.DIRECTORY: ContentKind.DIRECTORY,
    UnixFsKind.HAMT_SHARD: ContentKind.DIRECTORY,
    UnixFsKind.SYMLINK: ContentKind.SYMLINK,
}


class ContentReader:
    """Answers readers from the block store, block by block."""

    def __init__(
        self,
        *,
        blocks: BlockStore,
        source: BlockSource,
        fetch: Callable[[Cid], Awaitable[None]],
        workers: Workers,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from ``blocks``.

        Args:
            blocks: Knows which roots are here.
            source: The same blocks, as a reader's thread sees them.
            fetch: Brings a DAG here.
            workers: The threads that walk.
            now_s: Measures how long they do.
        """
        self._blocks = blocks
        self._source = source
        self._fetch = fetch
        self._workers = workers
        self._now_s = now_s

    async def resolve(self, cid: Cid, path: Sequence[str]) -> Cid:
        """Return what ``path`` below ``cid`` is."""
        try:
            return await self._workers.run(resolve_path, self._source, cid, "/".join(path))
        except BlockNotFoundError:
            await self._fetch(cid)
        return await self._workers.run(resolve_path, self._source, cid, "/".join(path))

    async def open(self, cid: Cid) -> ContentView:
        """Open a file, directory or symlink; fetch it first if it is not all here."""
        await self._make_present(cid)
        return await self._workers.run(self._view, cid)

    async def walk(self, cid: Cid) -> AsyncGenerator[ContentView, None]:
        """Yield ``cid`` and everything below it, parents first, in the DAG's order.

        What cannot be walked to its end is refused before the first entry comes.
        """
        await self._make_present(cid)
        tree = Tree(self._source, cid)
        try:
            with trio.fail_after(_SURVEY_TIMEOUT_S):
                async for _ in self._visits(tree.look(), _nothing, 1):
                    pass
        except trio.TooSlowError:
            raise RequestTimeoutError(
                f"looking at the directories of {text(cid)} took too long",
                hint="ask for a directory in it, or for ?format=car",
            ) from None
        async for some in self._visits(iter(tree), _weight, _ENTRIES_PER_VISIT):
            for entry in some:
                yield self._entry_view(entry, tree.budget)

    async def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        """Yield a CARv1 of the DAG below ``cid``, parents first."""
        await self._make_present(cid)
        async for piece in self._in_pieces(_car_pieces(self._source, cid)):
            yield piece

    async def _make_present(self, cid: Cid) -> None:
        root = await self._workers.run(self._blocks.find_root, cid)
        if root is not None and root.complete:
            return
        try:
            with trio.fail_after(_SURVEY_TIMEOUT_S):
                async for _ in self._visits(held_cids(self._source, cid), _nothing, 1):
                    pass
        except BlockNotFoundError:
            await self._fetch(cid)
        except trio.TooSlowError:
            raise RequestTimeoutError(
                f"looking for the blocks of {text(cid)} took too long", hint="ask for a part of it"
            ) from None

    def _view(self, cid: Cid) -> ContentView:
        """Look at one node; blocks."""
        return self._entry_view(open_entry(self._source, cid), WalkBudget())

    def _entry_view(self, entry: TreeEntry, budget: WalkBudget) -> ContentView:
        kind = _KINDS[entry.kind]
        pieces: Iterator[bytes] = iter(())
        if kind is ContentKind.FILE:
            pieces = read_file(self._source, entry.cid, budget=budget)
        elif kind is ContentKind.SYMLINK:
            pieces = iter([entry.target])
        return ContentView(
            cid=entry.cid,
            kind=kind,
            path=entry.path,
            size_bytes=entry.size_bytes,
            content=self._in_pieces(pieces),
        )

    async def _in_pieces(self, chunks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield what a blocking iterator makes, a quarter of a MiB at a time or one block."""
        async for some in self._visits(chunks, len, _READ_SIZE_BYTES):
            yield some[0] if len(some) == 1 else b"".join(some)

    async def _visits(
        self, items: Iterator[T], weigh: Callable[[T], int], weight_max: int
    ) -> AsyncGenerator[list[T], None]:
        """Yield what a blocking iterator makes, as much as comes of each visit to a thread.

        A visit is short, whatever a stranger made of the DAG: between two of them others have
        their turn.
        """
        while some := await self._workers.run(self._some, items, weigh, weight_max):
            yield some

    def _some(self, items: Iterator[T], weigh: Callable[[T], int], weight_max: int) -> list[T]:
        end_s = self._now_s() + _VISIT_TIME_MAX_S
        some, weight = [], 0
        for item in items:
            some.append(item)
            weight += weigh(item)
            if weight >= weight_max or self._now_s() >= end_s:
                break
        return some


def _nothing(_: object) -> int:
    return 0


def _weight(entry: TreeEntry) -> int:
    """Let a visit end behind a large file, whose content pays for its root."""
    return _ENTRIES_PER_VISIT if entry.size_bytes > BLOCK_SIZE_MAX_BYTES else 1


def _car_pieces(blocks: BlockSource, root: Cid) -> Iterator[bytes]:
    out = io.BytesIO()
    write_car((root,), (), out)
    yield out.getvalue()
    for block in walk(blocks, root):
        yield write_varint(len(block.cid) + len(block.data)) + block.cid + block.data
