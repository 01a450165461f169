"""Trees: what is walked, what is refused before the first entry, and what reading may cost."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from bftcluster.blocks.dag.directory_reader import PathNotFoundError, list_directory, resolve
from bftcluster.blocks.dag.extract import extract
from bftcluster.blocks.dag.file_reader import read_file
from bftcluster.blocks.dag.tree import Tree, tree_of
from bftcluster.blocks.dag.walk_budget import WalkBudget
from bftcluster.blocks.formats.dag_pb import DagLink
from bftcluster.blocks.formats.unixfs import UnixFsKind, file_message, hamt_message
from bftcluster.blocks.importer.car import export_car
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import MalformedContentError, UsageError
from bftcluster.shell_limits import DIRECTORY_DEPTH_MAX, WALK_PENDING_MAX
from tests.unit.blocks.bombs import (
    CountingStore,
    copies,
    directory,
    empty_parts,
    empty_shards,
    heavy_entries,
    leaf,
    names_without_end,
    node,
    symlink,
    thin_parts,
)


def read_all(store: MemoryBlockStore, tree: Tree) -> None:
    for entry in tree:
        if entry.kind is UnixFsKind.FILE:
            for _ in read_file(store, entry.cid, budget=tree.budget):
                pass


# Bombs


@pytest.mark.parametrize("bomb", [empty_shards, names_without_end, copies])
def test_a_tree_without_end_is_refused_after_a_look_at_each_block(
    bomb: Callable[[MemoryBlockStore], Cid],
) -> None:
    store = CountingStore()
    root = bomb(store)

    with pytest.raises(MalformedContentError):
        tree_of(store, root)

    assert store.reads < 100


def test_copies_of_copies_are_counted_to_the_last() -> None:
    store = MemoryBlockStore()

    with pytest.raises(MalformedContentError, match="1,001,001,001,001,001,001 entries"):
        tree_of(store, copies(store))


@pytest.mark.parametrize("bomb", [empty_shards, names_without_end, copies, thin_parts])
def test_get_ends_and_leaves_nothing(
    tmp_path: Path, bomb: Callable[[MemoryBlockStore], Cid]
) -> None:
    store = MemoryBlockStore()

    with pytest.raises((MalformedContentError, UsageError)):
        extract(store, bomb(store), tmp_path / "out", size_max_bytes=1 << 40)

    assert list(tmp_path.iterdir()) == []


def test_parts_that_hold_nothing_are_not_read() -> None:
    store = CountingStore()

    assert list(read_file(store, empty_parts(store))) == []
    assert store.reads == 1


def test_a_file_that_takes_far_more_reading_than_it_holds_is_refused() -> None:
    store = CountingStore()
    root = thin_parts(store)
    budget = WalkBudget(credit_bytes=1 << 20)

    with pytest.raises(MalformedContentError, match="far more reading"):
        for _ in read_file(store, root, budget=budget):
            pass

    assert store.reads < 200


def test_files_of_nothing_behind_large_blocks_are_refused() -> None:
    store = CountingStore()
    tree = tree_of(store, heavy_entries(store))
    tree.budget.credit_bytes = 1 << 20

    with pytest.raises(MalformedContentError, match="far more reading"):
        read_all(store, tree)

    assert store.reads < 50


def test_a_bomb_is_a_dag_of_few_blocks_to_those_who_only_keep_it() -> None:
    store = CountingStore()
    for bomb in (empty_shards, names_without_end, empty_parts, copies):
        root = bomb(store)
        store.reads = 0
        export_car(store, root, io.BytesIO())
        assert store.reads < 30


def test_links_ahead_of_a_walk_are_bounded() -> None:
    budget = WalkBudget()
    budget.hold(WALK_PENDING_MAX)

    with pytest.raises(MalformedContentError, match="links ahead"):
        budget.hold(1)


# What is no bomb


def test_copies_that_a_backup_would_have_are_walked() -> None:
    store = MemoryBlockStore()
    package = directory(store, *((f"{number}", leaf(store)) for number in range(200)))
    root = directory(store, *((f"copy {number}", package) for number in range(100)))

    entries = list(tree_of(store, root))

    assert len(entries) == tree_of(store, root).extent.entries == 1 + 100 + 100 * 200
    assert entries[2].path == "copy 0/0"


def test_parents_come_before_what_is_in_them_and_depth_says_where() -> None:
    store = MemoryBlockStore()
    inner = directory(store, ("file", leaf(store)))
    root = directory(store, ("a", inner), ("b", leaf(store)), ("c", inner))

    found = [(entry.path, entry.depth) for entry in tree_of(store, root)]

    assert found == [("", 0), ("a", 1), ("a/file", 2), ("b", 1), ("c", 1), ("c/file", 2)]


def test_directories_may_be_nested_so_deep_and_no_deeper() -> None:
    store = MemoryBlockStore()
    cid = directory(store)
    for _ in range(DIRECTORY_DEPTH_MAX - 1):
        cid = directory(store, ("d", cid))

    assert tree_of(store, cid).extent.entries == DIRECTORY_DEPTH_MAX
    for bomb in (directory(store, ("d", cid)), directory(store, ("a", cid), ("b", cid))):
        with pytest.raises(MalformedContentError, match="deeper"):
            tree_of(store, bomb)


def test_content_is_counted_with_files_of_one_block_only_where_that_was_asked() -> None:
    store = MemoryBlockStore()
    piece = leaf(store, b"0123456789")
    file = node(store, [DagLink(cid=piece)] * 2, file_message(b"", 20, [10, 10]))
    root = directory(store, ("a", piece), ("b", file))

    assert tree_of(store, root).extent.content_bytes == 20
    assert tree_of(store, root, reads_leaves=True).extent.content_bytes == 30


# Names


@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "../x", "a/b", "nul\0", "n" * 300])
def test_a_name_that_leads_elsewhere_is_refused_by_all(name: str) -> None:
    store = MemoryBlockStore()
    root = directory(store, ("a", leaf(store)), (name, leaf(store)))

    with pytest.raises(MalformedContentError):
        tree_of(store, directory(store, ("inside", root)))
    with pytest.raises(MalformedContentError):
        list(list_directory(store, root))
    with pytest.raises(MalformedContentError):
        resolve(store, root, "a")


def test_a_name_that_comes_twice_is_refused_by_all() -> None:
    store = MemoryBlockStore()
    inside = directory(store, ("passwd", leaf(store)))
    for second in (leaf(store), inside):
        root = directory(store, ("a", symlink(store, b"b")), ("a", second))

        with pytest.raises(MalformedContentError, match="twice"):
            tree_of(store, root)
        with pytest.raises(MalformedContentError, match="twice"):
            list(list_directory(store, root))
        with pytest.raises(MalformedContentError, match="twice"):
            resolve(store, root, "a")


@pytest.mark.parametrize("name", ["a\x1b[2J\nb", "..\\x", "ä\u202e", "...", " ", "con", "-rf"])
def test_a_strange_name_that_leads_nowhere_else_is_a_name(name: str) -> None:
    store = MemoryBlockStore()
    root = directory(store, (name, leaf(store)))

    assert [entry.path for entry in tree_of(store, root)] == ["", name]
    assert resolve(store, root, name) == leaf(store)


def test_what_is_said_of_a_bad_name_moves_no_cursor() -> None:
    store = MemoryBlockStore()

    with pytest.raises(MalformedContentError) as refused:
        tree_of(store, directory(store, ("\x1b[2J\u202e/\n", leaf(store))))

    assert str(refused.value).isprintable()
    assert str(refused.value).isascii()


@pytest.mark.parametrize(
    "target", [b"/etc", b"../x", b"a/../../x", b"..", b"a\0b", b"", b"x" * 5000]
)
def test_a_link_that_leads_outside_is_refused(target: bytes) -> None:
    store = MemoryBlockStore()

    with pytest.raises(MalformedContentError):
        tree_of(store, directory(store, ("a", symlink(store, target))))


def test_a_link_may_climb_as_high_as_the_top_wherever_it_stands() -> None:
    store = MemoryBlockStore()
    up = directory(store, ("link", symlink(store, b"../../x")))

    fits = directory(store, ("a", directory(store, ("b", up))))

    assert len(list(tree_of(store, fits))) == 4
    for root in (up, directory(store, ("a", up)), directory(store, ("deep", fits), ("short", up))):
        with pytest.raises(MalformedContentError, match="outside"):
            tree_of(store, root)


# HAMTs


def shard(store: MemoryBlockStore, *entries: tuple[str, Cid]) -> Cid:
    return node(store, [DagLink(cid=cid, name=name) for name, cid in entries], hamt_message(0))


def test_a_name_that_is_not_where_its_hash_says_is_neither_listed_nor_found() -> None:
    store = MemoryBlockStore()
    for slot in range(256):
        root = shard(store, (f"{slot:02X}name", leaf(store)))
        try:
            assert [link.name for link in list_directory(store, root)] == ["name"]
        except MalformedContentError:
            with pytest.raises(MalformedContentError):
                resolve(store, root, "name")
        else:
            right = slot
            assert resolve(store, root, "name") == leaf(store)

    below = shard(store, (f"{right:02X}", shard(store, (f"{right:02X}name", leaf(store)))))
    with pytest.raises(MalformedContentError, match="hash"):
        list(list_directory(store, below))


@pytest.mark.parametrize("prefix", ["0", "0g", "00/", "-1", "+1", "1_", "ab", " 1", "", "FFF"])
def test_a_link_of_a_shard_names_a_slot_as_everybody_writes_it(prefix: str) -> None:
    store = MemoryBlockStore()

    with pytest.raises(MalformedContentError):
        list(list_directory(store, shard(store, (prefix, leaf(store)))))


def test_a_slot_comes_once() -> None:
    store = MemoryBlockStore()
    root = shard(store, ("00", leaf(store)), ("00", leaf(store)))

    with pytest.raises(MalformedContentError, match="twice"):
        list(list_directory(store, root))


def test_a_hamt_is_no_deeper_than_the_hash_also_for_a_look_up() -> None:
    store = MemoryBlockStore()
    cid = node(store, [DagLink(cid=leaf(store), name="000x")], hamt_message(0))
    for _ in range(7):
        links = [DagLink(cid=cid, name=f"{slot:03X}") for slot in range(1024)]
        message = b"\x08\x05\x28\x22\x30" + b"\x80\x08"
        cid = node(store, links, message)

    with pytest.raises(MalformedContentError):
        resolve(store, cid, "anything")


def test_the_only_shard_may_be_empty_and_no_other() -> None:
    store = MemoryBlockStore()
    empty = shard(store)

    assert list(list_directory(store, empty)) == []
    with pytest.raises(PathNotFoundError):
        resolve(store, empty, "x")
    with pytest.raises(MalformedContentError, match="empty"):
        list(list_directory(store, shard(store, ("00", empty))))


def test_a_path_of_more_names_than_directories_may_be_deep_is_refused() -> None:
    store = MemoryBlockStore()

    with pytest.raises(UsageError, match="names"):
        resolve(store, directory(store), "a/" * (DIRECTORY_DEPTH_MAX + 1))
