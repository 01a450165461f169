"""What a source answers, within bounds, and what is made of bytes of strangers."""

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_nodes import (
    EMPTY_PAGE,
    digest_of_value,
    is_well_formed,
    page,
    path_of,
    record,
)
from bftcluster.limits import STATE_ANSWER_SIZE_BYTES, STATE_ROW_SIZE_MAX_BYTES, STATE_WANTS_MAX
from bftcluster.sync.frames import FETCH_STATE, STATE, FetchState, StateParts
from bftcluster.sync.state_parts import answer
from tests.unit.sync.transfer_world import Fetcher, Server, peer, pins

A = peer(1)


def test_an_answer_is_no_larger_than_agreed() -> None:
    server = Server({(Space.PIN, b"%d" % n): bytes(60_000) for n in range(100)})
    fetcher = Fetcher()
    fetcher.fetch({A: server})

    rows = tuple((Space.PIN, b"%d" % n) for n in range(100))
    fetch = FetchState(number=1, root=server.root, nodes=(), rows=rows)
    parts = answer(server.store, fetch)
    assert 0 < sum(map(len, parts.rows)) <= STATE_ANSWER_SIZE_BYTES
    assert fetcher.staged() == server.state()


def test_a_row_larger_than_an_answer_is_given_alone() -> None:
    server = Server({(Space.PIN, b"%d" % n): bytes(STATE_ANSWER_SIZE_BYTES + 1) for n in range(3)})
    fetcher = Fetcher()

    fetcher.fetch({A: server})

    assert fetcher.staged() == server.state()


def test_a_row_that_fits_no_frame_is_not_given() -> None:
    key = (Space.META, b"genesis")
    server = Server({key: bytes(STATE_ROW_SIZE_MAX_BYTES + 1)})
    fetch = FetchState(number=1, root=server.root, nodes=(), rows=(key,))

    assert answer(server.store, fetch).rows == ()
    assert len(answer(server.store, fetch).frame()) < 100


def test_what_a_source_does_not_have_ends_its_answer() -> None:
    server = Server(pins(500))
    fetch = FetchState(
        number=1, root=server.root, nodes=("", "ffffff", "0"), rows=((Space.PIN, b"nobody"),)
    )

    parts = answer(server.store, fetch)

    assert (len(parts.nodes), len(parts.rows)) == (1, 0)


@pytest.mark.parametrize(
    "value",
    [
        [FETCH_STATE, 1, bytes(31), [], []],
        [FETCH_STATE, -1, bytes(32), [], []],
        [FETCH_STATE, 1, bytes(32), ["0" * 65], []],
        [FETCH_STATE, 1, bytes(32), ["G"], []],
        [FETCH_STATE, 1, bytes(32), [b"0"], []],
        [FETCH_STATE, 1, bytes(32), ["0"] * (STATE_WANTS_MAX + 1), []],
        [FETCH_STATE, 1, bytes(32), [], [[64, b"a node of the tree"]]],
        [FETCH_STATE, 1, bytes(32), [], [[3, bytes(256)]]],
        [FETCH_STATE, 1, bytes(32), [], [[True, b""]]],
        [FETCH_STATE, 1, bytes(32), [], [[3]]],
        [FETCH_STATE, 1, bytes(32), []],
    ],
)
def test_a_malformed_request_is_refused(value: list[object]) -> None:
    with pytest.raises(MalformedMessageError):
        FetchState.from_frame(codec.encode(value))


@pytest.mark.parametrize(
    "value",
    [
        [STATE, 1, bytes(32), [], ["text"]],
        [STATE, 1, bytes(32), [b""] * (STATE_WANTS_MAX + 1), []],
        [STATE, 1, bytes(33), [], []],
        [STATE, 1, bytes(32), []],
    ],
)
def test_a_malformed_answer_is_refused(value: list[object]) -> None:
    with pytest.raises(MalformedMessageError):
        StateParts.from_frame(codec.encode(value))


def test_nodes_of_strangers_are_taken_apart_with_care() -> None:
    key = (Space.PIN, b"key")
    right = record(path_of(*key), digest_of_value(b""), *key)
    whole = page([right])

    assert is_well_formed(whole)
    assert is_well_formed(EMPTY_PAGE)
    for damaged in (b"", b"\x02", whole[:-1], whole + b"\x01", b"\x01" + whole[1:], b"\x00\x20"):
        assert not is_well_formed(damaged)
    for number in range(len(whole)):
        is_digest = 33 <= number < 65
        flipped = whole[:number] + bytes((whole[number] ^ 1,)) + whole[number + 1 :]
        assert is_well_formed(flipped) is is_digest
    unknown_space = page([right[:64] + bytes((99,)) + right[65:]])
    assert not is_well_formed(unknown_space)
