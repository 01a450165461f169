"""Files and directories, read back; some of them are made to mislead."""

from collections.abc import Sequence

import pytest

from bftcluster.blocks.dag.directory_reader import (
    PathNotFoundError,
    list_directory,
    resolve,
)
from bftcluster.blocks.dag.file_reader import file_size, read_file
from bftcluster.blocks.dag.tree import open_entry
from bftcluster.blocks.formats.block import Block, make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.layout import KUBO_V0, DagEntry, Layout
from bftcluster.blocks.formats.unixfs import (
    DIRECTORY_MESSAGE,
    UnixFsKind,
    file_message,
    hamt_message,
)
from bftcluster.blocks.importer.directory import build_directory
from bftcluster.blocks.importer.file_builder import build_file, build_symlink
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import DAG_CBOR, Cid, from_bytes, of_block
from bftcluster.errors import BlockNotFoundError, MalformedContentError, UsageError
from tests.unit.blocks.content import SMALL, add_file, pattern


def node(store: MemoryBlockStore, links: Sequence[DagLink], message: bytes | None) -> Cid:
    block = make_node(encode_node(links, message), version=1)
    store.put_many([block])
    return block.cid


def raw(store: MemoryBlockStore, data: bytes) -> Cid:
    block = Block.make(data)
    store.put_many([block])
    return block.cid


@pytest.mark.parametrize("layout", [SMALL, Layout(), KUBO_V0])
@pytest.mark.parametrize("size", [0, 1, 1024, 20_000])
def test_a_file_reads_as_it_was_written(layout: Layout, size: int) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(size), layout)

    assert b"".join(read_file(store, entry.cid)) == pattern(size)
    assert file_size(store, entry.cid) == size


@pytest.mark.parametrize("offset", [0, 1, 1023, 1024, 5000, 19_999, 20_000, 30_000])
@pytest.mark.parametrize("size", [0, 1, 1024, 7000, 100_000])
def test_a_range_of_a_file_reads_as_that_part(offset: int, size: int) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(20_000))

    pieces = read_file(store, entry.cid, offset=offset, size_max_bytes=size)

    assert b"".join(pieces) == pattern(20_000)[offset : offset + size]


def test_a_range_needs_only_its_own_blocks() -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(20_000))
    store.delete([of_block(pattern(20_000)[:1024])])

    assert b"".join(read_file(store, entry.cid, offset=1024)) == pattern(20_000)[1024:]
    with pytest.raises(BlockNotFoundError):
        list(read_file(store, entry.cid))


def test_a_child_of_another_size_than_its_parent_says_is_refused() -> None:
    store = MemoryBlockStore()
    leaf = DagLink(cid=raw(store, b"twelve bytes"))
    liar = node(store, [leaf, leaf], file_message(b"", 24, [10, 14]))

    with pytest.raises(MalformedContentError):
        list(read_file(store, liar))


def test_a_file_whose_parts_do_not_add_up_is_refused() -> None:
    store = MemoryBlockStore()
    leaf = DagLink(cid=raw(store, b"twelve bytes"))

    with pytest.raises(MalformedContentError):
        file_size(store, node(store, [leaf], file_message(b"", 99, [12])))
    with pytest.raises(MalformedContentError):
        file_size(store, node(store, [leaf, leaf], file_message(b"", 12, [12])))


def test_a_file_of_too_many_levels_is_refused() -> None:
    store = MemoryBlockStore()
    cid = raw(store, b"x")
    for _ in range(100):
        cid = node(store, [DagLink(cid=cid)], file_message(b"", 1, [1]))

    with pytest.raises(MalformedContentError):
        list(read_file(store, cid))


def test_a_bomb_admits_its_size_before_it_goes_off() -> None:
    store = MemoryBlockStore()
    cid, size = raw(store, b"boom"), 4
    for _ in range(40):
        link = DagLink(cid=cid)
        cid, size = node(store, [link, link], file_message(b"", 2 * size, [size, size])), 2 * size

    assert file_size(store, cid) == 4 << 40


@pytest.mark.parametrize("cid", [of_block(b"\xa0", codec=DAG_CBOR)])
def test_what_is_no_unixfs_is_no_file(cid: Cid) -> None:
    store = MemoryBlockStore()
    store.put(cid, b"\xa0")

    with pytest.raises(UsageError):
        file_size(store, cid)
    with pytest.raises(UsageError):
        list(list_directory(store, cid))


def build_tree(
    store: MemoryBlockStore, threshold: int, count: int = 300
) -> tuple[DagEntry, list[str]]:
    layout = Layout(shard_threshold_bytes=threshold)
    names = [f"file {number}" for number in range(count)]
    blocks: list[Block] = []
    leaves = {name: build_file([name.encode()], blocks.append, layout) for name in names}
    sub = build_directory(leaves, blocks.append, layout)
    link = build_symlink(b"sub", blocks.append, layout)
    root = build_directory({"sub": sub, "link": link}, blocks.append, layout)
    store.put_many(blocks)
    return root, names


@pytest.mark.parametrize("threshold", [1 << 18, 1000], ids=["plain", "hamt"])
def test_a_directory_lists_what_was_put_into_it(threshold: int) -> None:
    store = MemoryBlockStore()
    root, names = build_tree(store, threshold)

    sub = resolve(store, root.cid, "sub")

    assert sorted(link.name for link in list_directory(store, sub)) == sorted(names)
    assert open_entry(store, sub).kind is (
        UnixFsKind.DIRECTORY if threshold > 1000 else UnixFsKind.HAMT_SHARD
    )


@pytest.mark.parametrize("threshold", [1 << 18, 1000], ids=["plain", "hamt"])
def test_every_path_leads_to_its_file(threshold: int) -> None:
    store = MemoryBlockStore()
    root, names = build_tree(store, threshold)

    for name in names:
        cid = resolve(store, root.cid, f"/sub//{name}")
        assert b"".join(read_file(store, cid)) == name.encode()
    for path in ("nothing", "sub/nothing", "sub/file 300", "..", "sub/.."):
        with pytest.raises(PathNotFoundError):
            resolve(store, root.cid, path)


def test_the_empty_path_is_the_root_itself() -> None:
    store = MemoryBlockStore()
    root, _ = build_tree(store, 1 << 18, count=1)

    assert resolve(store, root.cid, "") == root.cid
    assert resolve(store, root.cid, "/") == root.cid


def test_a_file_is_no_directory_and_a_directory_no_file() -> None:
    store = MemoryBlockStore()
    root, _ = build_tree(store, 1 << 18, count=1)

    with pytest.raises(UsageError):
        resolve(store, root.cid, "sub/file 0/below")
    with pytest.raises(UsageError):
        list(list_directory(store, resolve(store, root.cid, "link")))
    with pytest.raises(UsageError):
        list(read_file(store, root.cid))
    assert open_entry(store, resolve(store, root.cid, "link")).kind is UnixFsKind.SYMLINK


def shard(fanout: int = 256, hash_type: int = 0x22) -> bytes:
    return (
        b"\x08\x05\x12\x01\x01\x28"
        + bytes((hash_type, 0x30))
        + (bytes((fanout,)) if fanout < 128 else bytes((fanout & 127 | 128, fanout >> 7)))
    )


@pytest.mark.parametrize("message", [shard(hash_type=0x23), shard(fanout=100), shard(fanout=4)])
def test_a_hamt_of_another_kind_is_refused(message: bytes) -> None:
    store = MemoryBlockStore()
    cid = node(store, [], message)

    with pytest.raises(MalformedContentError):
        list(list_directory(store, cid))
    with pytest.raises(MalformedContentError):
        resolve(store, cid, "name")


def test_a_hamt_that_never_ends_is_refused() -> None:
    store = MemoryBlockStore()
    cid = node(store, [], hamt_message(0))
    for _ in range(30):
        cid = node(store, [DagLink(cid=cid, name="00")], hamt_message(1))

    with pytest.raises(MalformedContentError):
        list(list_directory(store, cid))


def test_a_shard_that_is_something_else_is_refused() -> None:
    store = MemoryBlockStore()
    for below in (raw(store, b"x"), node(store, [], DIRECTORY_MESSAGE)):
        cid = node(store, [DagLink(cid=below, name="00")], hamt_message(1))

        with pytest.raises(MalformedContentError):
            list(list_directory(store, cid))


def test_an_inline_file_needs_no_block() -> None:
    inline = from_bytes(b"\x01\x55\x00\x05hello")

    assert b"".join(read_file(MemoryBlockStore(), inline)) == b"hello"
