"""What somebody put where a block's file belongs, or made stay there, concerns that block alone."""

import errno
import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from bftcluster.blocks.formats.block import Block, key_of
from bftcluster.blocks.port import Damage
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.errors import BlockNotFoundError, CidMismatchError, StorageError
from tests.unit.blocks.conftest import QUOTA

ONE, OTHER, THIRD = (Block.make(name * 5_000) for name in (b"one", b"other", b"third"))


def file_of(path: Path, block: Block) -> Path:
    return next(f for f in (path / "blocks").glob("*/*") if f.read_bytes() == block.data)


def put_directory(file: Path) -> Path:
    """Put a directory with a file in the place of a block's file; return the file in it."""
    file.unlink(missing_ok=True)
    file.mkdir()
    (file / "notes.txt").write_text("mine")
    return file / "notes.txt"


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """Where the file of the first block belongs, with a directory in its place."""
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put_many([ONE, OTHER])
        file = file_of(tmp_path, ONE)
        put_directory(file)
    return file


def test_a_block_with_a_directory_in_its_place_is_forgotten_with_its_group(
    tmp_path: Path, taken: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        empty = store.stat().used_bytes - store.delete([ONE.cid, OTHER.cid])

        assert store.has_many([ONE.cid, OTHER.cid]) == [False, False]
        assert (store.stat().blocks, store.stat().used_bytes) == (0, empty)
        store.put_many([OTHER, THIRD])
        assert store.get(OTHER.cid) == OTHER.data
    assert f"{taken} is a directory" in caplog.text
    assert "move it away" in caplog.text
    assert (taken / "notes.txt").read_text() == "mine", "what others put there is not ours"


def test_a_block_with_a_directory_in_its_place_cannot_be_added_and_the_others_can(
    tmp_path: Path, taken: Path
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.delete([ONE.cid, OTHER.cid])
        before = store.stat()

        for _ in range(2):
            with pytest.raises(StorageError, match="directory") as refused:
                store.put(ONE.cid, ONE.data)
            assert f"move {taken} away" in refused.value.hint
        assert store.stat() == before

        store.put(THIRD.cid, THIRD.data)
        (taken / "notes.txt").unlink()
        taken.rmdir()
        store.put(ONE.cid, ONE.data)
        assert store.get(ONE.cid) == ONE.data


def test_a_block_with_a_directory_in_its_place_is_damaged_until_the_way_is_free(
    tmp_path: Path, taken: Path
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.scrub().blocks == 2, "the scrub goes on behind it"
        assert store.damage() == Damage(blocks=1, found=1)
        with pytest.raises(CidMismatchError):
            store.get(ONE.cid)
        with pytest.raises(StorageError):
            store.put(ONE.cid, ONE.data)
        assert store.get(OTHER.cid) == OTHER.data

        (taken / "notes.txt").unlink()
        taken.rmdir()
        store.put(ONE.cid, ONE.data)
        assert store.damage() == Damage(blocks=0, found=1, healed=1)


def test_a_store_opens_although_a_block_that_was_leaving_has_a_directory_in_its_place(
    tmp_path: Path, taken: Path
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        empty = store.stat().used_bytes
        store._index.leave([key_of(ONE.cid)])  # as a crash between row and file leaves it

    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.stat().blocks == 1
        assert store.stat().used_bytes < empty
        assert store.get(OTHER.cid) == OTHER.data


def a_disk_that_keeps(names: Collection[str], code: int) -> Callable[[Path], None]:
    def unlink(path: Path) -> None:
        if path.name in names:
            raise OSError(code, os.strerror(code), str(path))
        path.unlink()

    return unlink


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EBUSY])
def test_a_file_that_cannot_be_removed_keeps_its_place_and_nothing_else_waits_for_it(
    tmp_path: Path, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put(ONE.cid, ONE.data)
        one = store.stat()
        file = file_of(tmp_path, ONE)
    disk = a_disk_that_keeps({file.name}, code)

    with EmbeddedStore(tmp_path, QUOTA, unlink=disk) as store:
        store.put(OTHER.cid, OTHER.data)
        store.delete([ONE.cid, OTHER.cid])

        assert store.stat() == one, "it is on the disk, so the quota counts it"
        with pytest.raises(BlockNotFoundError):
            store.get(ONE.cid)
        store.put(OTHER.cid, OTHER.data)
        with pytest.raises(StorageError, match="cannot be removed"):
            store.put(ONE.cid, ONE.data)
    assert f"{file} cannot be removed" in caplog.text
    caplog.clear()

    with EmbeddedStore(tmp_path, QUOTA, unlink=disk) as store:
        assert f"{file} cannot be removed" in caplog.text
        assert store.get(OTHER.cid) == OTHER.data
    with EmbeddedStore(tmp_path, QUOTA) as store:
        assert store.stat().blocks == 1
        store.put(ONE.cid, ONE.data)
        assert store.get(ONE.cid) == ONE.data


def test_a_block_is_put_again_once_its_old_file_can_be_removed(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put(ONE.cid, ONE.data)
        stat, name = store.stat(), file_of(tmp_path, ONE).name
    kept = {name}

    with EmbeddedStore(tmp_path, QUOTA, unlink=a_disk_that_keeps(kept, errno.EPERM)) as store:
        store.delete([ONE.cid])
        kept.clear()
        store.put(ONE.cid, ONE.data)

        assert store.get(ONE.cid) == ONE.data
        assert store.stat() == stat


def test_what_a_failing_disk_did_not_remove_goes_before_anything_else_is_added(
    tmp_path: Path,
) -> None:
    with EmbeddedStore(tmp_path, QUOTA) as store:
        store.put(ONE.cid, ONE.data)
        file = file_of(tmp_path, ONE)
    kept = {file.name}

    with EmbeddedStore(tmp_path, QUOTA, unlink=a_disk_that_keeps(kept, errno.EIO)) as store:
        with pytest.raises(StorageError, match="removing blocks failed"):
            store.delete([ONE.cid])
        kept.clear()
        store.put(OTHER.cid, OTHER.data)

        assert not file.exists()
        assert store.stat().blocks == 1
