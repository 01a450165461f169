"""The root over a pin's blocks: what it binds, and what proves one of them."""

import hashlib
from dataclasses import replace

import pytest

from bftcluster.cid import Cid
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.ledger.wire.block_tree import (
    PATH_MAX,
    PinContents,
    contents_from_wire,
    contents_to_wire,
    is_at,
    path_of,
    root_of,
)
from bftcluster.limits import PIN_BLOCKS_MAX
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES
from tests.unit.ledger.world import cid_of

SIZES = [*range(1, 18), 31, 32, 33, 100]


def cids(count: int) -> list[Cid]:
    return [cid_of(number) for number in range(count)]


def contents_of(blocks: list[Cid]) -> PinContents:
    return PinContents(size_bytes=7 * len(blocks), blocks=len(blocks), root=root_of(blocks))


def plain_root(blocks: list[Cid]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if len(blocks) == 1:
        return hashlib.sha256(b"bftcluster/blocks/leaf/v1\x00" + blocks[0]).digest()
    middle = max(2**power for power in range(20) if 2**power < len(blocks))
    left, right = plain_root(blocks[:middle]), plain_root(blocks[middle:])
    return hashlib.sha256(b"bftcluster/blocks/node/v1\x00" + left + right).digest()


@pytest.mark.parametrize("count", SIZES)
def test_the_root_is_that_of_the_recursive_definition(count: int) -> None:
    assert root_of(cids(count)) == plain_root(cids(count))


@pytest.mark.parametrize("count", SIZES)
def test_every_block_is_proved_at_its_index_and_at_no_other(count: int) -> None:
    blocks = cids(count)
    contents = contents_of(blocks)

    for index, cid in enumerate(blocks):
        path = path_of(blocks, index)
        assert len(path) <= (count - 1).bit_length()
        proved = [at for at in range(-1, count + 1) if is_at(contents, at, cid, path)]
        assert proved == [index]
        assert not is_at(contents, index, cid_of("another"), path)
        assert not is_at(contents, index, cid, (*path, Digest(bytes(32))))
        assert not any(is_at(contents, index, cid, path[:size]) for size in range(len(path)))


def test_the_order_and_the_number_of_blocks_are_bound() -> None:
    blocks = cids(6)
    roots = {root_of(blocks[:count]) for count in range(1, 7)}
    swapped = [blocks[1], blocks[0], *blocks[2:]]

    assert len(roots) == 6
    assert root_of(swapped) not in roots
    assert not is_at(replace(contents_of(blocks), blocks=5), 5, blocks[5], path_of(blocks, 5))


def test_a_path_ends_at_the_root_of_as_many_blocks_as_are_named() -> None:
    blocks = cids(2)
    too_few = replace(contents_of(blocks), blocks=1)

    assert not is_at(too_few, 0, blocks[0], path_of(blocks, 0))
    assert not is_at(too_few, 0, blocks[1], path_of(blocks, 1))


def test_an_inner_node_is_no_block() -> None:
    blocks = cids(4)
    leaves = [hashlib.sha256(b"bftcluster/blocks/leaf/v1\x00" + cid).digest() for cid in blocks]
    forged = Cid(leaves[0] + leaves[1])
    path = (path_of(blocks, 0)[1],)

    assert not is_at(replace(contents_of(blocks), blocks=2), 0, forged, path)


@pytest.mark.parametrize(
    "path", [[b""], [b"x" * 31], [b"x" * 33], [bytes(32)] * (PATH_MAX + 1), [bytes(32)] * 1000]
)
def test_a_path_that_is_none_proves_nothing(path: list[bytes]) -> None:
    assert not is_at(contents_of(cids(2)), 0, cid_of(0), path)


def test_the_largest_tree_has_paths_of_twenty_hashes() -> None:
    assert PATH_MAX == 20
    last = PinContents(size_bytes=0, blocks=PIN_BLOCKS_MAX, root=Digest(bytes(32)))
    assert not is_at(last, PIN_BLOCKS_MAX - 1, cid_of(0), [bytes(32)] * PATH_MAX)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"blocks": 0}, "1 to 1048576 blocks"),
        ({"blocks": PIN_BLOCKS_MAX + 1}, "1 to 1048576 blocks"),
        ({"size_bytes": -1}, "not of -1 bytes"),
        ({"size_bytes": 2 * BLOCK_SIZE_MAX_BYTES + 1}, "2 blocks are not of"),
        ({"root": b"short"}, "root of blocks"),
    ],
)
def test_contents_that_cannot_be_are_refused(changes: dict, reason: str) -> None:
    with pytest.raises(MalformedMessageError, match=reason):
        replace(contents_of(cids(2)), **changes)


@pytest.mark.parametrize("contents", [None, contents_of(cids(3))])
def test_contents_come_back_from_the_wire(contents: PinContents | None) -> None:
    assert contents_from_wire(contents_to_wire(contents)) == contents


@pytest.mark.parametrize("items", [[1], [1, 1, "root"], [True, 1, bytes(32)], [0, 1, b"", 1]])
def test_contents_of_another_shape_are_refused(items: list[object]) -> None:
    with pytest.raises(MalformedMessageError):
        contents_from_wire(items)
