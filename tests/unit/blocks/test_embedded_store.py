"""What only a store on disk has to stand."""

import contextlib
import errno
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import Cid, of_block
from bftcluster.errors import (
    BlockNotFoundError,
    BlockStoreError,
    ConfigError,
    SchemaVersionError,
    StorageError,
    StoreFullError,
)
from bftcluster.shell_limits import STORE_QUOTA_MIN_BYTES
from tests.unit.blocks.conftest import QUOTA
from tests.unit.blocks.content import add_file, pattern


def files(path: Path) -> list[Path]:
    return sorted((path / "blocks").glob("*/*"))


def disk_bytes(path: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in [path, *path.rglob("*")])


def disk_that_fails_at(count: int, code: int, *, torn: bool = False) -> Callable[[Path], int]:
    """A disk on which the file number ``count`` cannot be made, or comes out torn."""
    lock = threading.Lock()
    made = 0

    def open_file(path: Path) -> int:
        nonlocal made
        with lock:
            made += 1
            fails = made == count
        if fails and torn:
            path.write_bytes(b"to")
        if fails:
            raise OSError(code, os.strerror(code))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    return open_file


def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(50_000))
        store.pin_root(entry.cid)
        stat = store.stat()

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.stat() == stat
        assert store.roots() == [Root(cid=entry.cid, complete=True)]
        assert sum(len(block.data) for block in walk(store, entry.cid)) == entry.tsize


def test_files_are_where_kubo_would_look_for_them(embedded: EmbeddedStore, tmp_path: Path) -> None:
    embedded.put(of_block(b"hello world"), b"hello world")

    (file,) = files(tmp_path / "store")
    assert file.name == "CIQLSTJHXGJU2PQIUUXFFV62PWV7VREE57RXUU4A52IIR55M4LX432I.data"
    assert file.parent.name == "32"
    assert file.read_bytes() == b"hello world"


def test_a_second_process_cannot_open_it(embedded: EmbeddedStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="in use"):
        EmbeddedStore(tmp_path / "store", QUOTA)


def test_a_quota_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        EmbeddedStore(tmp_path, STORE_QUOTA_MIN_BYTES - 1)

    assert "32 MiB" in refused.value.hint


def test_the_disk_never_holds_more_than_the_quota_says(tmp_path: Path) -> None:
    quota = STORE_QUOTA_MIN_BYTES
    with EmbeddedStore(tmp_path, quota) as store:
        kept = 0
        with contextlib.suppress(StoreFullError):
            for kept in range(1_000):
                store.put_many([Block.make(pattern(size, kept)) for size in (10, 5000, 100_000)])
                assert disk_bytes(tmp_path) <= store.stat().used_bytes

        assert kept > 50
        assert store.stat().free_bytes < 120_000
        assert disk_bytes(tmp_path) <= store.stat().used_bytes <= quota


def test_many_tiny_blocks_do_not_creep_over_the_quota(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        hold = store.begin(of_block(b"root"))
        for start in range(0, 5000, 1000):
            group = [Block.make(b"%d" % number) for number in range(start, start + 1000)]
            store.put_many(group, hold=hold)

        assert disk_bytes(tmp_path) <= store.stat().used_bytes


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_nothing_of_the_group_and_says_so(tmp_path: Path, code: int) -> None:
    disk = disk_that_fails_at(30, code, torn=True)
    with EmbeddedStore(tmp_path, QUOTA, open_file=disk) as store:
        first = Block.make(b"first")
        store.put_many([first])
        before = store.stat()

        with pytest.raises(StoreFullError, match="disk is full"):
            store.put_many([Block.make(b"%d" % number) for number in range(50)])

        assert store.stat() == before
        assert len(files(tmp_path)) == 1
        store.put_many([Block.make(b"%d" % number) for number in range(50)])
        assert store.stat().blocks == 51


def test_a_failing_disk_is_a_storage_error_and_keeps_nothing(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA, open_file=disk_that_fails_at(3, errno.EIO)) as store:
        with pytest.raises(StorageError):
            store.put_many([Block.make(b"%d" % number) for number in range(8)])

        assert store.stat().blocks == 0
        assert files(tmp_path) == []


def test_one_callers_group_that_does_not_fit_leaves_the_others_alone(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, STORE_QUOTA_MIN_BYTES) as store:
        small = [[Block.make(b"%d" % number)] for number in range(20)]
        large = [Block.make(pattern(1 << 20, seed)) for seed in range(12)]
        outcomes: list[str] = []

        def put(group: list[Block]) -> None:
            try:
                store.put_many(group)
                outcomes.append("kept")
            except StoreFullError:
                outcomes.append("full")

        threads = [threading.Thread(target=put, args=(group,)) for group in [*small, large]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(outcomes) == ["full"] + ["kept"] * 20
        assert store.stat().blocks == 20


def test_threads_that_put_the_same_blocks_all_find_them_durable(embedded: EmbeddedStore) -> None:
    group = [Block.make(pattern(1000, seed)) for seed in range(100)]

    def put() -> None:
        embedded.put_many(group)
        assert all(embedded.has_many([block.cid for block in group]))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert embedded.stat().blocks == 100


def test_a_lost_index_is_made_again_from_the_files(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(50_000))
        stat = store.stat()
    for file in tmp_path.glob("index.db*"):
        file.unlink()
    files(tmp_path)[0].write_bytes(b"rot")

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.stat().blocks == stat.blocks - 1
        assert len(files(tmp_path)) == stat.blocks - 1
        assert store.has(entry.cid) or store.stat().blocks > 0


@pytest.mark.parametrize("state", [0, 2], ids=["arriving", "leaving"])
def test_what_a_crash_left_half_done_is_removed_at_open(tmp_path: Path, state: int) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put_many([Block.make(b"%d" % number) for number in range(4)])
    with sqlite3.connect(tmp_path / "index.db") as index:
        index.execute("UPDATE blocks SET state = ? WHERE id <= 3", (state,))
    index.close()

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.stat().blocks == 1
        assert len(files(tmp_path)) == 1


def test_an_anonymous_hold_dies_with_the_process(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(10_000))
        store.pin_root(entry.cid)
        before = store.stat()
        store.put_many([Block.make(b"half an add")], hold=store.begin())

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.stat() == before


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path, QUOTA).close()
    with sqlite3.connect(tmp_path / "index.db") as index:
        index.execute("PRAGMA user_version = 99")
    index.close()

    with pytest.raises(SchemaVersionError):
        EmbeddedStore(tmp_path, QUOTA)


def test_a_damaged_index_is_refused_and_not_overwritten(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path, QUOTA).close()
    (tmp_path / "index.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(StorageError):
        EmbeddedStore(tmp_path, QUOTA)

    assert (tmp_path / "index.db").read_bytes().startswith(b"not a database")


def test_a_store_that_failed_to_open_can_be_opened_later(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path, QUOTA).close()
    with sqlite3.connect(tmp_path / "index.db") as index:
        index.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaVersionError):
        EmbeddedStore(tmp_path, QUOTA)
    index.execute("PRAGMA user_version = 1")
    index.close()

    EmbeddedStore(tmp_path, QUOTA).close()


def test_small_dags_that_are_all_here_are_pinned_in_one_visit(embedded: EmbeddedStore) -> None:
    here = [add_file(embedded, pattern(5000, seed)).cid for seed in range(3)]
    broken = add_file(embedded, pattern(5000, 9)).cid
    embedded.delete([[block.cid for block in walk(embedded, broken)][-1]])
    large = add_file(embedded, pattern(1_000_000)).cid

    pinned = embedded.pin_present([*here, broken, large, of_block(b"absent")])

    assert pinned == set(here)
    assert embedded.roots() == [Root(cid=cid, complete=True) for cid in sorted(here)]
    assert embedded.pin_present([]) == set()


def test_a_dag_whose_blocks_go_while_it_is_pinned_is_not_called_complete(tmp_path: Path) -> None:
    class Racing(EmbeddedStore):
        """Loses a leaf between the moment it was seen and the moment it is held."""

        def has_many(self, cids: Sequence[Cid]) -> list[bool]:
            seen = super().has_many(cids)
            self.delete([cids[-1]])
            return seen

    with Racing(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(20_000))

        with pytest.raises(BlockNotFoundError):
            store.pin_root(entry.cid)
        assert store.pin_present([entry.cid]) == set()

        assert store.roots() == []
        store.collect_garbage()
        assert store.stat().blocks == 0


def test_a_root_that_is_begun_while_it_is_pinned_takes_over(tmp_path: Path) -> None:
    class Racing(EmbeddedStore):
        """Somebody begins to fetch the root after it was found unknown."""

        def has_many(self, cids: Sequence[Cid]) -> list[bool]:
            self.begin(entry.cid)
            return super().has_many(cids)

    with Racing(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(1_000_000))

        store.pin_root(entry.cid)

        assert store.roots() == [Root(cid=entry.cid, complete=True)]
        store.collect_garbage()
        assert sum(len(block.data) for block in walk(store, entry.cid)) == entry.tsize
        store.unpin_root(entry.cid)
        assert store.stat().blocks == 0


def test_a_root_that_is_given_up_while_it_is_pinned_stays_given_up(tmp_path: Path) -> None:
    class Racing(EmbeddedStore):
        """Somebody gives the root up after its hold was found."""

        def has_many(self, cids: Sequence[Cid]) -> list[bool]:
            seen = super().has_many(cids)
            self.unpin_root(entry.cid)
            return seen

    with Racing(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(20_000))
        store.begin(entry.cid)

        with pytest.raises(BlockStoreError, match="given up"):
            store.pin_root(entry.cid)

        assert store.roots() == []


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few blocks are many groups."""
    monkeypatch.setattr("bftcluster.blocks.store.group_writer.STORE_GROUP_BLOCKS_MAX", 2)
    monkeypatch.setattr("bftcluster.blocks.store.embedded_store.STORE_GROUP_BLOCKS_MAX", 2)


class Leaving(EmbeddedStore):
    """A store that is told to stop while its second group is being removed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, QUOTA)
        remove, groups = self._files.remove, itertools.count(1)

        def remove_and_leave(keys: Collection[bytes]) -> dict[bytes, str]:
            if next(groups) == 2:
                self.stop_removing()
            return remove(keys)

        self._files.remove = remove_and_leave


BLOCKS = [Block.make(pattern(100, seed)) for seed in range(9)]


def test_a_process_that_ends_removes_no_more_than_a_group_and_the_next_one_the_rest(
    tmp_path: Path, small_groups: None
) -> None:
    with Leaving(tmp_path) as store:
        hold = store.begin()
        store.put_many(BLOCKS, hold=hold)
        store.release(hold)
        assert store.stat().blocks == 5

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert list(store.multihashes()) == []


def test_a_root_whose_blocks_went_half_way_is_known_to_the_next_process(
    tmp_path: Path, small_groups: None
) -> None:
    entry_cid = BLOCKS[0].cid
    with Leaving(tmp_path) as store:
        store.put_many(BLOCKS, hold=store.begin(entry_cid))
        store.pin_root(entry_cid)
        store.unpin_root(entry_cid)

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.roots() == [Root(cid=entry_cid, complete=False)]
        store.unpin_root(entry_cid)
        assert (store.roots(), store.stat().blocks) == ([], 0)


def test_garbage_that_a_process_left_when_it_ended_is_garbage_still(
    tmp_path: Path, small_groups: None
) -> None:
    with Leaving(tmp_path) as store:
        store.put_many(BLOCKS)
        store.collect_garbage()
        assert store.stat().blocks == 5

    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.collect_garbage()
        assert store.stat().blocks == 0


def test_strays_wait_for_the_next_process_when_this_one_ends(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put_many(BLOCKS)
        shard = next((tmp_path / "blocks").iterdir())
        stray = shard / "CIQAAAAA.data"
        stray.write_bytes(b"stray")

        store.stop_removing()
        store.remove_strays()

        assert stray.exists()
