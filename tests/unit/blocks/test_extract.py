from pathlib import Path

import pytest

from bftcluster.blocks.dag.extract import extract
from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.formats.unixfs import DIRECTORY_MESSAGE, file_message
from bftcluster.blocks.importer.add import AddOptions, add_path
from bftcluster.blocks.importer.file_builder import build_symlink
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid, of_block
from bftcluster.errors import (
    BlockNotFoundError,
    MalformedContentError,
    StorageError,
    UsageError,
)
from tests.unit.blocks.content import SMALL, add_file, pattern

MIB = 1 << 20


def directory(store: MemoryBlockStore, *entries: tuple[str, Cid]) -> Cid:
    """A directory block, whatever the names are."""
    links = [DagLink(cid=cid, name=name) for name, cid in entries]
    block = make_node(encode_node(links, DIRECTORY_MESSAGE), version=1)
    store.put_many([block])
    return block.cid


def leaf(store: MemoryBlockStore, data: bytes = b"x") -> Cid:
    store.put(of_block(data), data)
    return of_block(data)


def symlink(store: MemoryBlockStore, target: bytes) -> Cid:
    blocks = []
    build_symlink(target, blocks.append, Layout())
    store.put_many(blocks)
    return blocks[0].cid


def outcome(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


def refused(
    store: MemoryBlockStore,
    root: Cid,
    tmp_path: Path,
    error: type[Exception],
    *,
    match: str | None = None,
) -> None:
    """Check that nothing comes out."""
    with pytest.raises(error, match=match):
        extract(store, root, tmp_path / "out", size_max_bytes=MIB)

    assert outcome(tmp_path) == []


@pytest.mark.parametrize("threshold", [1 << 18, 100], ids=["plain", "hamt"])
def test_a_tree_comes_out_as_it_went_in(tmp_path: Path, threshold: int) -> None:
    tree = tmp_path / "in"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "sub" / "up").symlink_to("../a")
    for number in range(50):
        (tree / "sub" / f"{number}").write_bytes(pattern(number * 100))
    (tree / "a").write_bytes(b"")
    store = MemoryBlockStore()
    layout = Layout(chunk_size_bytes=1024, shard_threshold_bytes=threshold)
    root = add_path(store, tree, AddOptions(layout=layout))

    extract(store, root.cid, tmp_path / "out", size_max_bytes=MIB)

    assert outcome(tmp_path / "out") == outcome(tree)
    for path in tree.rglob("*"):
        copy = tmp_path / "out" / path.relative_to(tree)
        if path.is_symlink():
            assert copy.readlink() == path.readlink()
        elif path.is_file():
            assert copy.read_bytes() == path.read_bytes()


def test_a_single_file_comes_out(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(5000))

    extract(store, entry.cid, tmp_path / "out", size_max_bytes=MIB)

    assert (tmp_path / "out").read_bytes() == pattern(5000)


@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "../up", "a/b", "nul\0"])
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_left(
    tmp_path: Path, name: str
) -> None:
    store = MemoryBlockStore()
    root = directory(store, ("good", leaf(store)), (name, leaf(store)))

    refused(store, root, tmp_path, MalformedContentError)


@pytest.mark.parametrize(
    "target", [b"/etc/passwd", b"../x", b"../../x", b"a/../../x", b"link/../x", b"..", b"a\0b"]
)
def test_a_link_that_leads_outside_is_refused(tmp_path: Path, target: bytes) -> None:
    store = MemoryBlockStore()
    root = directory(store, ("link", symlink(store, target)))

    refused(store, root, tmp_path, MalformedContentError)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    store = MemoryBlockStore()
    inside = directory(store, ("file", leaf(store)))
    root = directory(store, ("d", symlink(store, b"d2")), ("d", inside))

    with pytest.raises(MalformedContentError, match="twice"):
        extract(store, root, tmp_path / "out", size_max_bytes=MIB)

    assert outcome(tmp_path) == ["victim"]


def test_more_than_was_allowed_is_refused_before_it_is_written(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    cid, size = leaf(store, b"boom"), 4
    for _ in range(40):
        link = DagLink(cid=cid)
        data = encode_node([link, link], file_message(b"", 2 * size, [size, size]))
        block = make_node(data, version=1)
        store.put_many([block])
        cid, size = block.cid, 2 * size

    refused(store, cid, tmp_path, UsageError, match="larger")


def test_a_bomb_of_directories_is_refused(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    cid = directory(store)
    for _ in range(30):
        cid = directory(store, ("l", cid), ("r", cid))

    refused(store, cid, tmp_path, MalformedContentError, match="2,147,483,647 entries")


def test_directories_without_end_are_refused(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    cid = directory(store)
    for _ in range(300):
        cid = directory(store, ("d", cid))

    refused(store, cid, tmp_path, MalformedContentError, match="deeper")


def test_a_missing_block_leaves_nothing(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(20_000), SMALL)
    store.delete([list(walk(store, entry.cid))[-1].cid])

    refused(store, entry.cid, tmp_path, BlockNotFoundError)


def test_what_is_there_already_is_not_touched(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    (tmp_path / "out").write_text("mine")

    with pytest.raises(UsageError, match="exists"):
        extract(store, leaf(store), tmp_path / "out", size_max_bytes=MIB)

    assert (tmp_path / "out").read_text() == "mine"


def test_a_destination_in_no_directory_is_a_storage_error(tmp_path: Path) -> None:
    store = MemoryBlockStore()

    with pytest.raises(StorageError):
        extract(store, leaf(store), tmp_path / "no" / "out", size_max_bytes=MIB)


def test_metadata_cannot_be_written(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    block = make_node(encode_node([], b"\x08\x03"), version=1)
    store.put_many([block])

    with pytest.raises(MalformedContentError):
        extract(store, block.cid, tmp_path / "out", size_max_bytes=MIB)
