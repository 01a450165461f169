"""Commits in groups: whoever gets the lock writes for everybody who waits.

A group is one transaction that announces its blocks, their files written and synced by several
threads, their directories synced once, and one transaction that settles them. A crash anywhere
leaves rows that say what to remove.
"""

import contextlib
import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bftcluster.blocks.port import Hold, StoreStat
from bftcluster.blocks.store.flatfs import FlatFs, disk_errors
from bftcluster.blocks.store.index import Index
from bftcluster.errors import StorageError, StoreFullError
from bftcluster.shell_limits import (
    STORE_BLOCK_OVERHEAD_BYTES,
    STORE_GROUP_BLOCKS_MAX,
    STORE_GROUP_SIZE_BYTES,
    STORE_OVERHEAD_BYTES,
)

_PAGE_BYTES: Final = 4096

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Job:
    """What one caller of ``put`` waits for."""

    blocks: Mapping[bytes, bytes]
    hold: Hold | None
    size_bytes: int
    done: bool = False
    error: Exception | None = field(default=None)


class GroupWriter:
    """The only writer of index and files; keeps the quota."""

    def __init__(self, index: Index, files: FlatFs, quota_bytes: int) -> None:
        """Take over an open index, and remove what a crash left half-done."""
        self._index = index
        self._files = files
        self._quota_bytes = quota_bytes
        self._lock = threading.RLock()
        self._jobs: list[_Job] = []
        self._jobs_lock = threading.Lock()
        self._blocks, self._content_bytes, self._page_bytes = index.total(_PAGE_BYTES)
        self.damaged = index.damaged_total()
        self.found = self.healed = 0
        """Blocks that turned out to be damaged since the start, and that were written again."""
        self.is_ending = False
        """Whether the process ends, so that what may be removed later is."""
        self._half_done = True
        """Whether rows may be unsettled: after a crash, or a failure that could not be undone."""
        self._held: dict[bytes, str] = {}
        """Blocks that were to go, whose files somebody holds on to, and why. They keep their rows
        and their places; they go at the next start, or before they are put again."""
        self._remove_unsettled()

    def stat(self) -> StoreStat:
        """Return how full the store is, what is being written included."""
        overhead = STORE_OVERHEAD_BYTES + self._blocks * STORE_BLOCK_OVERHEAD_BYTES
        return StoreStat(
            used_bytes=self._page_bytes + overhead,
            quota_bytes=self._quota_bytes,
            blocks=self._blocks,
            content_bytes=self._content_bytes,
        )

    def put(self, blocks: Mapping[bytes, bytes], hold: Hold | None) -> None:
        """Make blocks durable, with those of other threads that wait.

        Raises:
            StoreFullError: No room for all; none was kept that was not here before.
            StorageError: The disk failed; likewise.
        """
        size_bytes = sum(len(data) for data in blocks.values())
        job = _Job(blocks=blocks, hold=hold, size_bytes=size_bytes)
        with self._jobs_lock:
            self._jobs.append(job)
        with self._lock:
            while not job.done:
                self._commit_waiting()
        if job.error is not None:
            raise job.error

    def remove(self, keys: Collection[bytes]) -> int:
        """Remove blocks, rows first; return the bytes that the quota got back."""
        freed = 0
        ordered = sorted(keys)
        with self._lock:
            for start in range(0, len(ordered), STORE_GROUP_BLOCKS_MAX):
                part = self._index.sizes_of(ordered[start : start + STORE_GROUP_BLOCKS_MAX])
                self._index.leave([key for key, _ in part])
                freed += self._erase(part)
            if self.damaged:
                self.damaged = self._index.damaged_total()
        return freed

    def remove_held_only_by(self, hold: Hold | None) -> int:
        """Remove the blocks that no other hold has; return the bytes that the quota got back.

        When the process ends, some of them stay.
        """
        freed = after = 0
        while not self.is_ending:
            with self._lock:
                rows = self._index.only_held_by(hold, after, STORE_GROUP_BLOCKS_MAX)
                freed += self.remove([key for _, key in rows])
            if len(rows) < STORE_GROUP_BLOCKS_MAX:
                break
            after = rows[-1][0]
        return freed

    def damage(self, key: bytes) -> None:
        """Note that a block is damaged: it keeps its place until it is put again."""
        with self._lock:
            is_news = self._index.damage(key)
            self.damaged += is_news
            self.found += is_news

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Index]:
        """Give the index to a caller who writes to it while nobody else does."""
        with self._lock:
            yield self._index

    def _commit_waiting(self) -> None:
        """Commit what waits, up to a group's size; if that fails, each job by itself."""
        with self._jobs_lock:
            count = size_bytes = 0
            for job in self._jobs:
                size_bytes += job.size_bytes
                count += 1
                if size_bytes >= STORE_GROUP_SIZE_BYTES:
                    break
            jobs, self._jobs = self._jobs[:count], self._jobs[count:]
        try:
            self._commit(jobs)
        except (StoreFullError, StorageError) as exc:
            if len(jobs) == 1:
                jobs[0].error = exc
            else:
                for job in jobs:
                    self._commit_alone(job)
        finally:
            for job in jobs:
                job.done = True

    def _commit_alone(self, job: _Job) -> None:
        try:
            self._commit([job])
        except (StoreFullError, StorageError) as exc:
            job.error = exc

    def _commit(self, jobs: Sequence[_Job]) -> None:
        if self._half_done:
            with contextlib.suppress(StorageError):  # What cannot go keeps its place, and its row.
                self._remove_unsettled()
        wanted = {key: data for job in jobs for key, data in job.blocks.items()}
        present = self._index.present(list(wanted))
        missing = {key: data for key, data in wanted.items() if key not in present}
        self._let_go(missing)
        self._heal(missing, self._index.damaged_among(list(missing)))
        fresh = list(missing.items())
        self._require_room([len(data) for _, data in fresh])
        written: list[tuple[bytes, int]] = []
        is_half_done, self._half_done = self._half_done, True
        try:
            for group in _groups(fresh):
                self._write(group, written)
            keys = [key for key, _ in written]
            held = [(job.hold, key) for job in jobs if job.hold is not None for key in job.blocks]
            for start in range(0, max(len(keys), len(held)), STORE_GROUP_BLOCKS_MAX):
                part = slice(start, start + STORE_GROUP_BLOCKS_MAX)
                self._index.settle(keys[part], held[part])
        except BaseException:
            self._index.leave([key for key, _ in written])
            self._remove_unsettled()
            raise
        self._half_done = is_half_done

    def _let_go(self, missing: Mapping[bytes, bytes]) -> None:
        """Remove the old files of blocks that are put again, if nobody holds on to them any more.

        Raises:
            StorageError: Somebody does.
        """
        held = self._held.keys() & missing.keys()
        if held:
            self._erase(self._index.leaving_among(sorted(held)))
        for key in sorted(held & self._held.keys()):
            raise StorageError(self._held[key], hint="remove it yourself, or let this user do so")

    def _heal(self, missing: dict[bytes, bytes], damaged: Collection[bytes]) -> None:
        """Write those that are damaged in their places, which are paid for; take them out.

        A crash in between leaves them damaged.
        """
        for group in _groups([(key, missing.pop(key)) for key in sorted(damaged)]):
            with disk_errors("writing blocks"):
                self._files.write(group)
            self._index.heal([key for key, _ in group])
            self.damaged -= len(group)
            self.healed += len(group)

    def _require_room(self, sizes: Sequence[int]) -> None:
        needed = sum(_pages(size) + STORE_BLOCK_OVERHEAD_BYTES for size in sizes)
        stat = self.stat()
        if stat.used_bytes + needed > stat.quota_bytes:
            raise StoreFullError(
                f"{needed} bytes do not fit: {stat.free_bytes} of the quota of"
                f" {stat.quota_bytes} bytes are free"
            )

    def _write(
        self, group: Sequence[tuple[bytes, bytes]], written: list[tuple[bytes, int]]
    ) -> None:
        """Write one group; add it to ``written`` as soon as it may have left traces."""
        sizes = [(key, len(data)) for key, data in group]
        self._index.arrive(sizes)
        self._count(sizes, 1)
        written += sizes
        with disk_errors("writing blocks"):
            self._files.write(group)

    def _erase(self, blocks: Collection[tuple[bytes, int]]) -> int:
        """Remove the files of blocks whose rows say that they leave, then the rows.

        What somebody holds on to keeps both, and no other waits for it.
        """
        is_half_done, self._half_done = self._half_done, True
        with disk_errors("removing blocks"):
            held = self._files.remove([key for key, _ in blocks])
        gone = [(key, size) for key, size in blocks if key not in held]
        self._index.forget([key for key, _ in gone])
        for key, _ in gone:
            self._held.pop(key, None)
        for key in held.keys() - self._held.keys():
            log.warning("%s; it keeps its place until it can: remove it yourself", held[key])
        self._held |= held
        self._half_done = is_half_done
        return self._count(gone, -1)

    def _remove_unsettled(self) -> None:
        after = 0
        while rows := self._index.unsettled(after, STORE_GROUP_BLOCKS_MAX):
            self._erase([(key, size) for _, key, size in rows])
            after = rows[-1][0]
        self._half_done = False

    def _count(self, blocks: Collection[tuple[bytes, int]], sign: int) -> int:
        pages = sum(_pages(size) for _, size in blocks)
        self._blocks += sign * len(blocks)
        self._content_bytes += sign * sum(size for _, size in blocks)
        self._page_bytes += sign * pages
        return pages + len(blocks) * STORE_BLOCK_OVERHEAD_BYTES


def _pages(size: int) -> int:
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES


def _groups(blocks: Sequence[tuple[bytes, bytes]]) -> Iterator[Sequence[tuple[bytes, bytes]]]:
    start = size_bytes = 0
    for end, (_, data) in enumerate(blocks, 1):
        size_bytes += len(data)
        if size_bytes >= STORE_GROUP_SIZE_BYTES or end - start == STORE_GROUP_BLOCKS_MAX:
            yield blocks[start:end]
            start, size_bytes = end, 0
    if start < len(blocks):
        yield blocks[start:]
