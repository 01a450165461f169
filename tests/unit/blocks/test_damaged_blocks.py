"""Blocks whose files rot: noticed, kept track of, healed in their places, found by a scrub."""

import base64
import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import Block, key_of, raw_cid
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.port import Damage
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import DAG_PB, Cid, of_block
from bftcluster.errors import CidMismatchError, StorageError, StoreFullError
from bftcluster.shell_limits import STORE_QUOTA_MIN_BYTES
from tests.unit.blocks.conftest import QUOTA
from tests.unit.blocks.content import add_file, pattern


def files(path: Path) -> list[Path]:
    return sorted((path / "blocks").glob("*/*"))


def test_a_block_that_rotted_is_missing_until_it_is_put_again(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(20_000))
        store.pin_root(entry.cid)
        leaf = [block.cid for block in walk(store, entry.cid)][-1]
        rotten = next(file for file in files(tmp_path) if file.stat().st_size == 544)
        rotten.write_bytes(b"rot")

        before = store.stat()

        for _ in range(2):
            with pytest.raises(CidMismatchError):
                store.get(leaf)
        assert not store.has(leaf)
        assert store.roots() == [Root(cid=entry.cid, complete=False)]
        assert store.damage() == Damage(blocks=1, found=1)
        assert [cid for _, cid in store.damaged(0, 10)] == [raw_cid(key_of(leaf))]

        store.put(leaf, pattern(20_000)[-544:])

        assert store.get(leaf) == pattern(20_000)[-544:]
        assert store.roots() == [Root(cid=entry.cid, complete=True)]
        assert store.damage() == Damage(blocks=0, found=1, healed=1)
        assert store.stat() == before


def test_a_root_is_complete_again_when_the_last_of_its_blocks_is(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(20_000))
        store.pin_root(entry.cid)
        whole = list(walk(store, entry.cid))
        for file in files(tmp_path):
            file.write_bytes(b"rot")

        assert store.scrub().blocks == store.damage().blocks == len(whole)

        for block in whole:
            assert store.roots() == [Root(cid=entry.cid, complete=False)]
            store.put_many([block])
        assert store.roots() == [Root(cid=entry.cid, complete=True)]


def test_a_root_that_lacked_blocks_before_still_does_when_a_damaged_one_is_healed(
    tmp_path: Path,
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        block = Block.make(b"a leaf of something larger")
        root = of_block(b"the root", codec=DAG_PB)
        store.put_many([block], hold=store.begin(root))
        files(tmp_path)[0].unlink()
        store.scrub()

        store.put_many([block])

        assert store.roots() == [Root(cid=root, complete=False)]


def test_a_root_is_not_complete_when_one_of_its_first_blocks_rots_while_the_last_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bftcluster.blocks.dag.walk._BATCH_BLOCKS", 4)

    class Rotting(EmbeddedStore):
        """Finds its first block damaged while the third batch of a DAG is looked at."""

        batches = 0

        def has_many(self, cids: Sequence[Cid]) -> list[bool]:
            self.batches += 1
            if self.batches == 3:
                for file in files(tmp_path):
                    if file.stem == base64.b32encode(key_of(entry.cid)).decode().rstrip("="):
                        file.write_bytes(b"rot")
                self.scrub()
            return super().has_many(cids)

    with Rotting(tmp_path, QUOTA) as store:
        entry = add_file(store, pattern(20_000))
        root = store.get(entry.cid)

        store.pin_root(entry.cid)

        assert store.damage().blocks == 1
        assert store.roots() == [Root(cid=entry.cid, complete=False)]
        store.put(entry.cid, root)
        assert store.roots() == [Root(cid=entry.cid, complete=True)]


def test_a_damaged_block_is_healed_in_its_place_in_a_full_store(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, STORE_QUOTA_MIN_BYTES) as store:
        block = Block.make(pattern(1 << 20))
        store.put_many([block])
        with contextlib.suppress(StoreFullError):
            for seed in range(1, 100):
                store.put_many([Block.make(pattern(1 << 20, seed))])
        before = store.stat()
        key = base64.b32encode(key_of(block.cid)).decode().rstrip("=")
        next(file for file in files(tmp_path) if file.stem == key).write_bytes(b"rot")
        store.scrub()

        store.put_many([block])

        assert store.get(block.cid) == block.data
        assert store.stat() == before


def test_a_damaged_block_goes_with_the_last_that_held_it(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        empty = store.stat()
        entry = add_file(store, pattern(20_000))
        store.pin_root(entry.cid)
        for file in files(tmp_path):
            file.write_bytes(b"rot")
        store.scrub()

        store.unpin_root(entry.cid)

        assert store.stat() == empty
        assert store.damage().blocks == 0
        assert files(tmp_path) == []


def test_damage_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    block = Block.make(b"hello")
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put_many([block], hold=store.begin(block.cid))
        store.pin_root(block.cid)
        files(tmp_path)[0].write_bytes(b"rot")
        store.scrub()
        stat = store.stat()

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.damage().blocks == 1
        assert not store.has(block.cid)
        assert store.roots() == [Root(cid=block.cid, complete=False)]
        assert store.stat() == stat
        store.put_many([block])
        assert store.roots() == [Root(cid=block.cid, complete=True)]


def test_a_disk_that_fails_while_healing_leaves_the_block_damaged(tmp_path: Path) -> None:
    refuses = False

    def open_file(path: Path) -> int:
        if refuses:
            raise OSError(errno.EIO, "the disk has had enough")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    with EmbeddedStore(tmp_path, QUOTA, open_file=open_file) as store:
        block = Block.make(b"hello")
        store.put_many([block])
        stat = store.stat()
        files(tmp_path)[0].write_bytes(b"rot")
        store.scrub()

        refuses = True
        with pytest.raises(StorageError):
            store.put_many([block])

        assert store.damage().blocks == 1
        assert store.stat() == stat
        refuses = False
        store.put_many([block])
        assert store.get(block.cid) == b"hello"


def test_a_block_whose_file_is_gone_is_damaged(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        cid = of_block(b"hello")
        store.put(cid, b"hello")
        files(tmp_path)[0].unlink()

        with pytest.raises(CidMismatchError):
            store.get(cid)

        assert not store.has(cid)
        assert store.damage().blocks == 1


def test_a_scrub_finds_what_rotted_in_steps_that_it_resumes(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put_many([Block.make(pattern(1000, seed)) for seed in range(10)])
        files(tmp_path)[0].write_bytes(b"rot")

        steps = [store.scrub(b"", 50_000)]
        while steps[-1].after:
            steps.append(store.scrub(steps[-1].after, 50_000))

        assert [step.blocks for step in steps] == [3, 3, 3, 1]
        assert sum(step.read_bytes for step in steps) == 10_000
        assert store.damage() == Damage(blocks=1, found=1)
        assert store.scrub().blocks == 9


def test_strays_are_removed_and_blocks_are_not(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put(of_block(b"hello"), b"hello")
        stray = files(tmp_path)[0].with_name("CIQAAAAA.data")
        stray.write_bytes(b"stray")

        store.remove_strays()

        assert not stray.exists()
        assert store.get(of_block(b"hello")) == b"hello"


def test_a_block_that_cannot_be_removed_is_named_in_the_log_and_its_root_is_let_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        block = Block.make(b"hello")
        store.put_many([block], hold=store.begin(block.cid))
        (file,) = files(tmp_path)
        file.unlink()
        file.mkdir()  # Nobody can unlink that.

        store.unpin_root(block.cid)

        assert file.name in caplog.text
        assert store.find_root(block.cid) is None
        with pytest.raises(StorageError, match=file.name):
            store.put_many([block])
        store.put(of_block(b"another"), b"another")
        file.rmdir()
        store.put_many([block])
        assert store.get(block.cid) == b"hello"
