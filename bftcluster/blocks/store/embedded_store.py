"""The embedded block store: flat files, a SQLite index, a hard quota, and group commit."""

import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from bftcluster.blocks.dag.walk import batches, held_cids
from bftcluster.blocks.formats.block import Block, key_of, raw_cid
from bftcluster.blocks.formats.links import inline_data, may_link
from bftcluster.blocks.pin_store import ROOTS_MAX, Root
from bftcluster.blocks.port import Damage, Hold, Scrubbed, StoreStat, no_pause
from bftcluster.blocks.store.flatfs import FlatFs, disk_errors
from bftcluster.blocks.store.group_writer import GroupWriter
from bftcluster.blocks.store.index import Index
from bftcluster.cid import Cid, text, verify_block
from bftcluster.errors import (
    BlockNotFoundError,
    BlockStoreError,
    CidMismatchError,
    ConfigError,
    InvalidCidError,
    StorageError,
)
from bftcluster.shell_limits import STORE_GROUP_BLOCKS_MAX, STORE_QUOTA_MIN_BYTES

_ALL_BYTES: Final = 1 << 62
_ROTTEN: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)
"""A sector, or a file system that checks its own sums, has lost the bytes."""


class EmbeddedStore:
    """A ``BlockStore`` in one directory, which one process has open at a time.

    Methods block, and may be called from any thread; what the port says is not repeated here.
    """

    def __init__(
        self,
        path: Path,
        quota_bytes: int,
        *,
        open_file: Callable[[Path], int] | None = None,
        unlink: Callable[[Path], None] | None = None,
    ) -> None:
        """Open the store at ``path``, made if there is none, and clear up after a crash.

        Args:
            path: A directory of this store's own.
            quota_bytes: Hard limit on what it occupies, index included.
            open_file: How a block's file is created; a test's disk can refuse.
            unlink: How it is removed; likewise.

        Raises:
            ConfigError: The quota is too small to be kept.
            StorageError: Another process has it open, or the disk fails.
            SchemaVersionError: Written by another version.
        """
        if quota_bytes < STORE_QUOTA_MIN_BYTES:
            raise ConfigError(
                f"a block store quota of {quota_bytes} bytes is too small",
                hint=f"give it at least {STORE_QUOTA_MIN_BYTES >> 20} MiB",
            )
        (path / "blocks").mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            lock_file = _lock(path / "lock")
            opened.callback(os.close, lock_file)
            self._files = FlatFs(path / "blocks", open_file=open_file, unlink=unlink)
            opened.callback(self._files.close)
            self._index = Index(path / "index.db")
            opened.callback(self._index.close)
            if self._index.needs_files_read():
                with disk_errors("reading the files of blocks"):
                    _read_files(self._files, self._index)
            self._writer = GroupWriter(self._index, self._files, quota_bytes)
            for hold in self._index.anonymous():
                self.release(hold)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the group that is being written, then close."""
        with self._writer.exclusive():
            self._opened.close()

    def stop_removing(self) -> None:
        """Let whatever removes blocks end with its group, because the process is about to.

        The next one finds a hold whose blocks went half way: it drops the hold of an upload when
        it opens, and of a root it knows that it is not complete.
        """
        self._writer.is_ending = True

    def has(self, cid: Cid) -> bool:
        """Return whether the block is here, durably."""
        return self.has_many((cid,))[0]

    def has_many(self, cids: Sequence[Cid]) -> list[bool]:
        """Return ``has`` of each."""
        keys = [key_of(cid) for cid in cids]
        present = self._index.present(keys)
        return [
            key in present or inline_data(cid) is not None
            for key, cid in zip(keys, cids, strict=True)
        ]

    def get(self, cid: Cid) -> bytes:
        """Return the block, verified; a damaged one counts as missing until it is put again."""
        inline = inline_data(cid)
        if inline is not None:
            return inline
        key = key_of(cid)
        if not self._index.present((key,)):
            if self._index.damaged_among((key,)):
                raise CidMismatchError(f"the block {text(cid)} is damaged on the disk")
            raise BlockNotFoundError(f"the block {text(cid)} is not here")
        try:
            return self._read(cid, key)
        except CidMismatchError:
            return self._read_again(cid, key)

    def put(self, cid: Cid, data: bytes) -> None:
        """Verify one block and keep it; durable on return."""
        self.put_many((Block.check(cid, data),))

    def put_many(self, blocks: Iterable[Block], *, hold: Hold | None = None) -> None:
        """Keep blocks as one group; durable on return, or none kept."""
        wanted = {
            key_of(block.cid): block.data for block in blocks if inline_data(block.cid) is None
        }
        if wanted:
            self._writer.put(wanted, hold)

    def delete(self, cids: Collection[Cid]) -> int:
        """Forget blocks, whoever holds them; return the bytes freed."""
        return self._writer.remove({key_of(cid) for cid in cids})

    def begin(self, root: Cid | None = None) -> Hold:
        """Open the hold of ``root``, or a new anonymous one."""
        with self._writer.exclusive() as index:
            return index.begin() if root is None else index.begin_root(root)

    def pin_root(self, root: Cid, pause: Callable[[], None] = no_pause) -> None:
        """Keep ``root`` and everything below it, all of which is here.

        It gets its name with the last of its blocks: a crash leaves no half of it.
        """
        known = self._index.hold_of(root)
        hold = self.begin() if known is None else known
        try:
            self._attach_all(hold, root, pause)
        except BaseException:
            if known is None:
                self.release(hold)
            raise

    def pin_present(self, roots: Collection[Cid]) -> set[Cid]:
        """Keep, in one transaction, those roots that are small and all here; return which."""
        dags: dict[Cid, list[bytes]] = {}
        for root in roots:
            if not may_link(root) and inline_data(root) is None:
                dags[root] = [key_of(root)]
                continue
            try:
                cids = list(itertools.islice(held_cids(self, root), 2))
            except BlockStoreError:
                continue
            if len(cids) == 1:
                dags[root] = [key_of(cid) for cid in cids[0]]
        with self._writer.exclusive() as index:
            here = index.present([key for keys in dags.values() for key in keys])
            holds = index.holds_of(list(dags))
            held = {
                holds.get(root) or index.begin(): (root, keys)
                for root, keys in dags.items()
                if here.issuperset(keys)
            }
            return index.complete(held) if held else set()

    def unpin_root(self, root: Cid) -> int:
        """Stop keeping ``root``; return the bytes freed."""
        hold = self._index.hold_of(root)
        return 0 if hold is None else self.release(hold)

    def release(self, hold: Hold) -> int:
        """Give a hold up; return the bytes freed."""
        freed = self._writer.remove_held_only_by(hold)
        if not self._writer.is_ending:
            with self._writer.exclusive() as index:
                index.disown(hold)
        return freed

    def find_root(self, root: Cid) -> Root | None:
        """Return what is known of one root."""
        return self._index.find_root(root)

    def roots(self, after: bytes = b"", limit: int = ROOTS_MAX) -> list[Root]:
        """Return up to ``limit`` roots that are kept, behind ``after``, sorted by CID."""
        return self._index.roots(after, limit)

    def collect_garbage(self) -> int:
        """Delete the blocks that no hold has; return the bytes freed."""
        return self._writer.remove_held_only_by(None)

    def multihashes(self) -> Iterator[bytes]:
        """Iterate over the multihash of every block, sorted."""
        return self._index.all_keys()

    def stat(self) -> StoreStat:
        """Return how full the store is."""
        return self._writer.stat()

    def damage(self) -> Damage:
        """Return what is damaged, and what became of it since the start; reads memory only."""
        writer = self._writer
        return Damage(blocks=writer.damaged, found=writer.found, healed=writer.healed)

    def damaged(self, after: int, limit: int) -> list[tuple[int, Cid]]:
        """Return some blocks that are damaged, as raw blocks whatever they are.

        Each with its number; those behind the number ``after``.
        """
        return [(number, raw_cid(key)) for number, key in self._index.damaged(after, limit)]

    def scrub(self, after: bytes = b"", cost_bytes: int = _ALL_BYTES) -> Scrubbed:
        """Read blocks whose multihash comes behind ``after``, until it has cost that much."""
        step = Scrubbed(blocks=0, read_bytes=0, after=b"")
        while rows := self._index.page(after, STORE_GROUP_BLOCKS_MAX):
            for key, size in rows:
                with contextlib.suppress(BlockStoreError):
                    self.get(raw_cid(key))
                after = key
                step = Scrubbed(
                    blocks=step.blocks + 1, read_bytes=step.read_bytes + size, after=after
                )
                if step.cost_bytes >= cost_bytes:
                    return step
        return replace(step, after=b"")

    def remove_strays(self) -> None:
        """Remove files that no row knows.

        Raises:
            StorageError: The disk refuses.
        """
        with disk_errors("removing stray files"):
            for found in batches(self._files.all_files(), STORE_GROUP_BLOCKS_MAX):
                if self._writer.is_ending:
                    break
                self._remove_unknown(found)

    def _remove_unknown(self, found: Sequence[tuple[Path, bytes | None]]) -> None:
        with self._writer.exclusive() as index:
            known = index.known([key for _, key in found if key is not None])
            for file, name in found:
                if name not in known:
                    file.unlink(missing_ok=True)

    def _read(self, cid: Cid, key: bytes) -> bytes:
        try:
            data = self._files.read(key)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise CidMismatchError(f"the file of the block {text(cid)} is gone") from None
        except OSError as exc:
            if exc.errno in _ROTTEN:
                raise CidMismatchError(f"the disk cannot read the block {text(cid)}") from exc
            raise StorageError(f"reading the block {text(cid)} failed: {exc}") from exc
        verify_block(cid, data)
        return data

    def _read_again(self, cid: Cid, key: bytes) -> bytes:
        """Read a block that looked damaged while nobody writes; note it if it is."""
        with self._writer.exclusive() as index:
            if not index.present((key,)):
                raise BlockNotFoundError(f"the block {text(cid)} is not here any more")
            try:
                return self._read(cid, key)
            except CidMismatchError:
                self._writer.damage(key)
                raise

    def _attach_all(self, hold: Hold, root: Cid, pause: Callable[[], None]) -> None:
        pending: list[bytes] = []
        for cids in held_cids(self, root):
            pause()
            if pending:
                with self._all_here(pending) as index:
                    index.attach(hold, pending)
            pending = [key_of(cid) for cid in cids]
        with self._all_here(pending) as index:
            if not index.complete({hold: (root, pending)}):
                raise BlockStoreError(f"{text(root)} was given up while it was pinned")

    @contextlib.contextmanager
    def _all_here(self, keys: Sequence[bytes]) -> Iterator[Index]:
        """Give the index to a writer who relies on blocks that were here a moment ago.

        Raises:
            BlockNotFoundError: Somebody has released or deleted one meanwhile.
        """
        with self._writer.exclusive() as index:
            here = index.present(keys)
            if not here.issuperset(keys):
                raise BlockNotFoundError("a block of the DAG has been deleted meanwhile")
            yield index


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise StorageError(
            f"the block store at {path.parent} is in use", hint="stop the other process"
        ) from exc
    return descriptor


def _read_files(files: FlatFs, index: Index) -> None:
    """Fill a new index from the files that are there; remove what is no block."""
    for found in batches(files.all_files(), STORE_GROUP_BLOCKS_MAX):
        known = index.known([key for _, key in found if key is not None])
        sizes = []
        for file, key in found:
            try:
                data = b"" if key is None else files.read(key)
                verify_block(raw_cid(key or b""), data)
            except (CidMismatchError, InvalidCidError):
                file.unlink()
            else:
                assert key is not None, "no CID has an empty multihash"
                sizes.append((key, len(data)))
        index.arrive([(key, size) for key, size in sizes if key not in known])
        index.settle([key for key, _ in sizes], ())
    index.files_were_read()
