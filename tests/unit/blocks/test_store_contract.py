"""What every block store does."""

import threading

import pytest

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.port import BlockStore
from bftcluster.cid import DAG_PB, RAW, from_bytes, of_block
from bftcluster.errors import (
    BlockNotFoundError,
    CidMismatchError,
    ClusterError,
    MalformedContentError,
    StoreFullError,
)
from tests.unit.blocks.content import add_file, pattern


def blocks(count: int, size: int = 100) -> list[Block]:
    return [Block.make(pattern(size, seed)) for seed in range(count)]


def test_a_block_comes_back_as_it_was_put(store: BlockStore) -> None:
    cid = of_block(b"hello")

    store.put(cid, b"hello")

    assert store.has(cid)
    assert store.get(cid) == b"hello"


def test_bytes_that_are_not_the_block_are_refused(store: BlockStore) -> None:
    cid = of_block(b"hello")

    with pytest.raises(CidMismatchError):
        store.put(cid, b"other")

    assert not store.has(cid)


def test_a_block_over_two_mebibytes_is_refused(store: BlockStore) -> None:
    data = bytes((2 << 20) + 1)

    with pytest.raises(MalformedContentError):
        store.put(of_block(data), data)


def test_a_block_that_was_never_put_is_not_found(store: BlockStore) -> None:
    assert not store.has(of_block(b"absent"))
    with pytest.raises(BlockNotFoundError):
        store.get(of_block(b"absent"))


def test_the_empty_block_can_be_kept(store: BlockStore) -> None:
    store.put(of_block(b""), b"")

    assert store.get(of_block(b"")) == b""


def test_cids_of_one_multihash_share_a_block(store: BlockStore) -> None:
    store.put(of_block(b"x", codec=RAW), b"x")

    assert store.has(of_block(b"x", codec=DAG_PB))
    assert store.get(of_block(b"x", codec=DAG_PB, version=0)) == b"x"
    assert store.stat().blocks == 1


def test_an_identity_cid_carries_its_block_and_is_not_stored(store: BlockStore) -> None:
    cid = from_bytes(b"\x01\x55\x00\x03abc")

    store.put(cid, b"abc")

    assert store.has(cid)
    assert store.get(cid) == b"abc"
    assert store.stat().blocks == 0


def test_a_group_is_all_there_after_put_many(store: BlockStore) -> None:
    group = blocks(50)

    store.put_many(group)

    assert store.has_many([block.cid for block in group]) == [True] * 50
    assert store.stat().blocks == 50
    assert store.stat().content_bytes == 5000
    assert list(store.multihashes()) == sorted(block.cid[2:] for block in group)


def test_putting_a_block_again_costs_nothing(store: BlockStore) -> None:
    group = blocks(3)
    store.put_many(group)
    before = store.stat()

    store.put_many(group + group)

    assert store.stat() == before


def test_a_group_over_the_quota_is_refused_whole(store: BlockStore) -> None:
    first, *rest = [Block.make(pattern(1 << 20, seed)) for seed in range(70)]
    store.put_many([first])

    with pytest.raises(StoreFullError):
        store.put_many(rest)

    assert store.has(first.cid)
    assert not any(store.has_many([block.cid for block in rest]))
    assert store.stat().blocks == 1


def test_deleting_makes_room(store: BlockStore) -> None:
    group = blocks(10)
    store.put_many(group)
    used = store.stat().used_bytes

    freed = store.delete([block.cid for block in group[:4]])

    assert freed > 0
    assert store.stat().used_bytes == used - freed
    assert store.has_many([block.cid for block in group]) == [False] * 4 + [True] * 6


def test_deleting_what_is_not_there_frees_nothing(store: BlockStore) -> None:
    assert store.delete([of_block(b"absent")]) == 0


def test_a_pinned_root_keeps_its_dag_from_the_garbage(store: BlockStore) -> None:
    kept = add_file(store, pattern(20_000))
    add_file(store, pattern(20_000, seed=1))

    store.pin_root(kept.cid)
    freed = store.collect_garbage()

    assert freed > 0
    assert store.roots() == [Root(cid=kept.cid, complete=True)]
    assert store.find_root(kept.cid) == Root(cid=kept.cid, complete=True)
    assert sum(len(block.data) for block in walk(store, kept.cid)) == kept.tsize


def test_a_root_with_a_missing_leaf_cannot_be_pinned(store: BlockStore) -> None:
    entry = add_file(store, pattern(20_000))
    leaf = [block.cid for block in walk(store, entry.cid)][-1]
    store.delete([leaf])

    with pytest.raises(BlockNotFoundError):
        store.pin_root(entry.cid)

    assert store.roots() == []
    store.collect_garbage()
    assert store.stat().blocks == 0


def test_unpinning_deletes_only_what_no_other_root_has(store: BlockStore) -> None:
    shared = pattern(8192)
    first = add_file(store, shared + pattern(4096, 1))
    second = add_file(store, shared + pattern(4096, 2))
    store.pin_root(first.cid)
    store.pin_root(second.cid)

    freed = store.unpin_root(first.cid)

    assert freed > 0
    assert not store.has(first.cid)
    assert sum(len(block.data) for block in walk(store, second.cid)) == second.tsize
    assert store.roots() == [Root(cid=second.cid, complete=True)]


def test_unpinning_an_unknown_root_frees_nothing(store: BlockStore) -> None:
    assert store.unpin_root(of_block(b"unknown")) == 0
    assert store.find_root(of_block(b"unknown")) is None


def test_unpinning_the_last_root_empties_the_store(store: BlockStore) -> None:
    empty = store.stat()
    entry = add_file(store, pattern(50_000))
    store.pin_root(entry.cid)

    store.unpin_root(entry.cid)

    assert store.stat() == empty
    assert store.roots() == []


def test_an_incomplete_root_protects_what_has_come_so_far(store: BlockStore) -> None:
    group = blocks(4)
    hold = store.begin(group[0].cid)

    store.put_many(group[:2], hold=hold)
    store.put_many(group[2:])
    store.collect_garbage()

    assert store.has_many([block.cid for block in group]) == [True, True, False, False]
    assert store.roots() == [Root(cid=group[0].cid, complete=False)]
    assert store.begin(group[0].cid) == hold


def test_a_released_hold_gives_up_only_its_own_blocks(store: BlockStore) -> None:
    group = blocks(4)
    mine, other = store.begin(), store.begin()
    store.put_many(group[:3], hold=mine)
    store.put_many(group[2:], hold=other)

    store.release(mine)

    assert store.has_many([block.cid for block in group]) == [False, False, True, True]


def test_a_root_that_loses_a_block_is_no_longer_complete(store: BlockStore) -> None:
    entry = add_file(store, pattern(20_000))
    store.pin_root(entry.cid)
    leaf = [block.cid for block in walk(store, entry.cid)][-1]

    store.delete([leaf])

    assert store.roots() == [Root(cid=entry.cid, complete=False)]


def test_a_root_whose_blocks_came_back_can_be_completed(store: BlockStore) -> None:
    entry = add_file(store, pattern(20_000))
    store.pin_root(entry.cid)
    leaf = list(walk(store, entry.cid))[-1]
    store.delete([leaf.cid])
    store.put_many([leaf])

    store.pin_root(entry.cid)

    assert store.roots() == [Root(cid=entry.cid, complete=True)]


def test_roots_are_listed_in_pages(store: BlockStore) -> None:
    roots = sorted(block.cid for block in blocks(7))
    for root in roots:
        store.begin(root)

    first = store.roots(limit=3)
    rest = store.roots(first[-1].cid)

    assert [root.cid for root in first] == roots[:3]
    assert [root.cid for root in rest] == roots[3:]


def test_a_hold_that_was_released_holds_nothing_any_more(store: BlockStore) -> None:
    anonymous, named = store.begin(), store.begin(of_block(b"root"))
    store.release(anonymous)
    store.unpin_root(of_block(b"root"))

    store.put_many(blocks(2), hold=anonymous)
    store.put_many(blocks(2), hold=named)
    store.collect_garbage()

    assert store.stat().blocks == 0
    assert store.roots() == []


def test_threads_that_pin_the_same_root_all_succeed(store: BlockStore) -> None:
    entry = add_file(store, pattern(2_000_000))
    failures: list[ClusterError] = []

    def pin() -> None:
        try:
            store.pin_root(entry.cid)
        except ClusterError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=pin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert store.roots() == [Root(cid=entry.cid, complete=True)]
    assert store.collect_garbage() == 0
    store.unpin_root(entry.cid)
    assert store.stat().blocks == 0
