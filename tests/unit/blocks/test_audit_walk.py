"""An audit is about a path of blocks that all who have them come to, and nobody who lacks one."""

from collections import Counter

import pytest

from bftcluster import cid as cids
from bftcluster.blocks.dag.audit_walk import first_of_path, next_of_path, path_digest
from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import BlockNotFoundError
from bftcluster.ledger.wire.audit_requests import answer_digest
from tests.unit.blocks.content import add_file, pattern
from tests.unit.blocks.exchanging import copy_of

CONTENT = pattern(900_000)


def path_of(store: MemoryBlockStore, root: Cid, seed: bytes) -> list[Cid]:
    found: list[Cid] = []
    cid = first_of_path(root, seed)
    while cid is not None:
        found.append(cid)
        cid = next_of_path(cid, store.get(cid), seed, len(found))
    return found


def test_two_holders_of_a_dag_answer_the_same_whatever_else_they_have() -> None:
    mine = MemoryBlockStore()
    entry = add_file(mine, CONTENT)
    other = copy_of(mine, entry)
    add_file(other, b"something else")

    for number in range(20):
        seed = number.to_bytes(32, "big")
        assert path_digest(mine, entry.cid, seed) == path_digest(other, entry.cid, seed)


def test_a_path_begins_at_the_root_and_ends_at_any_leaf() -> None:
    store = MemoryBlockStore()
    entry = add_file(store, CONTENT)
    leaves = Counter(
        path_of(store, entry.cid, number.to_bytes(32, "big"))[-1] for number in range(200)
    )
    blocks = {block.cid for block in walk(store, entry.cid)}

    assert path_of(store, entry.cid, bytes(32))[0] == entry.cid
    raw = {cid for cid in blocks if cids.codec_of(cid) == cids.RAW}
    assert set(leaves) <= raw
    assert len(leaves) > min(len(raw), 100) // 2


def test_the_digest_is_over_the_blocks_of_the_path() -> None:
    store = MemoryBlockStore()
    entry = add_file(store, CONTENT)
    seed = bytes(32)
    blocks = [store.get(cid) for cid in path_of(store, entry.cid, seed)]

    assert path_digest(store, entry.cid, seed) == answer_digest(seed, blocks)


@pytest.mark.parametrize("place", [0, -1])
def test_who_lacks_a_block_of_the_path_has_no_answer(place: int) -> None:
    store = MemoryBlockStore()
    entry = add_file(store, CONTENT)
    seed = bytes(32)
    store.delete([path_of(store, entry.cid, seed)[place]])

    with pytest.raises(BlockNotFoundError):
        path_digest(store, entry.cid, seed)


def test_what_cannot_be_read_as_its_codec_says_ends_a_path() -> None:
    store = MemoryBlockStore()
    data = b"\xff\xff no node"
    cid = cids.of_block(data, codec=cids.DAG_PB)
    store.put(cid, data)

    assert path_of(store, cid, bytes(32)) == [cid]


def test_a_root_that_carries_all_there_is_has_no_path() -> None:
    inline = cids.from_bytes(b"\x01\x55\x00\x02hi")

    assert first_of_path(inline, bytes(32)) is None
    assert path_digest(MemoryBlockStore(), inline, bytes(32)) == answer_digest(bytes(32), [])
