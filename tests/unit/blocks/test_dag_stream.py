"""What a provider sends for a request."""

import pytest

from bftcluster.blocks.dag.dag_stream import DagStream
from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.layout import KUBO_V0, Layout
from bftcluster.blocks.formats.links import links_of
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import DAG_PB, Cid, of_block
from tests.unit.blocks.bombs import CountingStore
from tests.unit.blocks.content import SMALL, add_file, pattern

PB_LEAVES = Layout(chunk_size_bytes=1024, width=4, raw_leaves=False, cid_version=0)


def sent(stream: DagStream, size_max_bytes: int = 10_000) -> list[tuple[Cid, bytes]]:
    blocks = []
    while not stream.finished:
        blocks += stream.next_batch(size_max_bytes)
    return blocks


@pytest.mark.parametrize("layout", [SMALL, PB_LEAVES, KUBO_V0])
def test_the_whole_dag_is_sent_once_parents_first(layout: Layout) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(50_000), layout)

    blocks = sent(DagStream(store, [entry.cid], 1 << 30))

    assert sorted(blocks) == sorted((block.cid, block.data) for block in walk(store, entry.cid))
    known = {entry.cid}
    for cid, data in blocks:
        assert cid in known
        known |= {link.cid for link in links_of(cid, data)}


@pytest.mark.parametrize("layout", [SMALL, PB_LEAVES])
def test_without_a_leaf_budget_only_nodes_are_sent(layout: Layout) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(50_000), layout)

    blocks = sent(DagStream(store, [entry.cid], 0))

    assert all(links_of(cid, data) for cid, data in blocks)
    assert len(blocks) == 18


def test_leaves_are_sent_while_those_before_are_within_the_budget() -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(50_000), SMALL)

    blocks = sent(DagStream(store, [entry.cid], 2500))

    leaves = [data for cid, data in blocks if not links_of(cid, data)]
    assert leaves == [pattern(50_000)[start : start + 1024] for start in (0, 1024, 2048)]


def test_one_leaf_is_read_of_each_node_to_know_that_its_children_are_leaves() -> None:
    store = CountingStore()
    entry = add_file(store, pattern(1_000_000), PB_LEAVES)
    nodes = sent(DagStream(store, [entry.cid], 0))

    assert store.reads == len(nodes) + 977 // 4 + 1


def test_listed_leaves_are_sent_whatever_the_budget() -> None:
    store = MemoryBlockStore()
    leaves = [Block.make(b"%d" % number) for number in range(10)]
    store.put_many(leaves)

    blocks = sent(DagStream(store, [leaf.cid for leaf in leaves], 0))

    assert blocks == [(leaf.cid, leaf.data) for leaf in leaves]


def test_what_is_listed_and_not_here_is_not_read() -> None:
    store = CountingStore()
    here = Block.make(b"here")
    store.put_many([here])
    absent = [of_block(b"%d" % number) for number in range(100)]

    stream = DagStream(store, [*absent, here.cid], 0)

    assert sent(stream) == [(here.cid, here.data)]
    assert stream.absent == absent
    assert store.reads == 1


def test_what_is_not_here_is_said_and_passed_over() -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(50_000), SMALL)
    gone = links_of(entry.cid, store.get(entry.cid))[0].cid
    store.delete([gone])

    stream = DagStream(store, [entry.cid, of_block(b"absent")], 1 << 30)
    blocks = sent(stream)

    assert stream.absent == [of_block(b"absent"), gone]
    assert entry.cid in dict(blocks)


def test_a_batch_holds_what_fits_and_at_least_one_block() -> None:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(50_000), SMALL)
    stream = DagStream(store, [entry.cid], 1 << 30)

    while not stream.finished:
        sizes = [len(data) for _, data in stream.next_batch(3000)]
        assert sum(sizes) <= 3000 or len(sizes) == 1


def test_a_block_that_is_not_what_its_codec_says_is_sent_without_what_is_below() -> None:
    store = MemoryBlockStore()
    broken = Block.make(b"not dag-pb", codec=DAG_PB)
    store.put_many([broken])

    assert sent(DagStream(store, [broken.cid], 0)) == [(broken.cid, broken.data)]
