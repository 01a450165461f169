"""Walks over DAGs of strangers: what they remember, and how long each step takes."""

from collections.abc import Callable, Iterable

import pytest

from bftcluster.blocks.dag.dag_stream import DagStream
from bftcluster.blocks.dag.survey import Survey
from bftcluster.blocks.dag.walk import held_cids, walk
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.port import BlockStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid, from_bytes
from bftcluster.errors import MalformedContentError
from tests.unit.blocks.bombs import CountingStore, leaf, node
from tests.unit.blocks.content import add_file, pattern


def inline(data: bytes, codec: int = 0x55) -> Cid:
    """A CID that carries its block."""
    return from_bytes(bytes((1, codec, 0, len(data))) + data)


def inline_node(*cids: Cid) -> Cid:
    return inline(encode_node([DagLink(cid=cid) for cid in cids], b""), 0x70)


def linking(store: MemoryBlockStore, cids: Iterable[Cid]) -> Cid:
    return node(store, [DagLink(cid=cid) for cid in cids], b"")


def walked(store: MemoryBlockStore, root: Cid) -> set[Cid]:
    return {block.cid for block in walk(store, root)}


def surveyed(store: MemoryBlockStore, root: Cid) -> set[Cid]:
    survey = Survey(store, root)
    assert survey.start() == []
    return survey.known


def streamed(store: MemoryBlockStore, root: Cid) -> set[Cid]:
    stream = DagStream(store, [root], 1 << 30)
    sent: set[Cid] = set()
    while not stream.finished:
        sent.update(cid for cid, _ in stream.next_batch(1 << 20))
    return sent


def held(store: MemoryBlockStore, root: Cid) -> set[Cid]:
    return {cid for cids in held_cids(store, root) for cid in cids}


WALKS = [walked, surveyed, streamed, held]


@pytest.mark.parametrize("look", WALKS)
def test_links_to_blocks_in_their_own_cids_take_no_place_in_the_memory_of_a_walk(
    look: Callable[[MemoryBlockStore, Cid], set[Cid]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bftcluster.blocks.dag.walk.WALK_PENDING_MAX", 10)
    store = MemoryBlockStore()
    stored = leaf(store)
    carried = (inline(n.to_bytes(3, "big")) for n in range(1000))
    root = linking(store, [*carried, stored])

    assert look(store, root) == {root, stored}


@pytest.mark.parametrize("look", WALKS)
def test_what_is_behind_a_block_in_its_own_cid_is_found(
    look: Callable[[MemoryBlockStore, Cid], set[Cid]],
) -> None:
    store = MemoryBlockStore()
    one, two = leaf(store, b"1"), leaf(store, b"2")
    root = linking(store, [inline_node(one), inline_node(inline_node(inline(b"x"))), two])

    assert look(store, root) == {root, one, two}


def test_a_root_in_its_own_cid_is_no_block_and_what_is_behind_it_is_found() -> None:
    store = MemoryBlockStore()
    stored = leaf(store)

    assert walked(store, inline_node(stored)) == {stored}
    assert walked(store, inline(b"x")) == set()
    with pytest.raises(MalformedContentError):
        walked(store, inline(b"\xff", 0x70))


def test_a_walk_over_large_nodes_comes_back_soon() -> None:
    store = CountingStore()
    tops = [linking(store, [inline(bytes((n, i))) for i in range(40)] * 250) for n in range(20)]
    root = linking(store, tops)

    first = next(held_cids(store, root))

    assert store.reads == len(first) < 5


def test_a_provider_follows_no_more_links_once_it_has_come_by_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bftcluster.blocks.dag.dag_stream.WALK_PENDING_MAX", 10)
    store = MemoryBlockStore()
    tops = [linking(store, [leaf(store, bytes((n, i))) for i in range(9)]) for n in range(9)]
    root = linking(store, tops)

    sent = streamed(store, root)

    assert sent.issuperset({root, *tops})
    assert len(sent) < 1 + 9 + 2 * 9 + 1


class GaveUpError(Exception):
    """Nobody waits any more."""


def test_a_root_that_is_given_up_while_it_is_walked_is_not_kept(store: BlockStore) -> None:
    entry = add_file(store, pattern(20_000))

    def give_up() -> None:
        raise GaveUpError

    with pytest.raises(GaveUpError):
        store.pin_root(entry.cid, give_up)

    assert store.find_root(entry.cid) is None
    store.collect_garbage()
    assert store.stat().blocks == 0
