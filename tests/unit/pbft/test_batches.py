"""Batches within their bounds, and nothing else."""

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import View
from bftcluster.limits import (
    BATCH_REQUESTS_MAX,
    BATCH_SIZE_MAX_BYTES,
    COUNTER_MAX,
    REQUEST_SIZE_MAX_BYTES,
)
from bftcluster.pbft import NULL_BATCH, Batch

KIB = 1 << 10


@pytest.mark.parametrize(
    "requests",
    [
        (b"a",),
        tuple(b"%d" % number for number in range(BATCH_REQUESTS_MAX)),
        (bytes(REQUEST_SIZE_MAX_BYTES),),
        tuple(bytes([n]) * REQUEST_SIZE_MAX_BYTES for n in range(8)),
    ],
    ids=["one", "most", "largest request", "largest batch"],
)
def test_a_batch_within_bounds_is_read_back(requests: tuple[bytes, ...]) -> None:
    for view in (0, COUNTER_MAX):
        batch = Batch(1, requests, View(view))

        assert Batch.from_bytes(batch.to_bytes()) == batch


@pytest.mark.parametrize(
    "value",
    [
        [],
        [1, 0],
        [1, [b"a"]],
        [1, 0, [b"a"], 0],
        ["1", 0, [b"a"]],
        [True, 0, [b"a"]],
        [-1, 0, [b"a"]],
        [1 << 53, 0, [b"a"]],
        [1, "0", [b"a"]],
        [1, False, [b"a"]],
        [1, -1, [b"a"]],
        [1, COUNTER_MAX + 1, [b"a"]],
        [1, 0, b"a"],
        [1, 0, ["a"]],
        [1, 0, [b""]],
        [1, 0, [b"a", b"a"]],
        [0, 0, [b"a"]],
        [1, 0, [b"%d" % number for number in range(BATCH_REQUESTS_MAX + 1)]],
        [1, 0, [bytes(REQUEST_SIZE_MAX_BYTES + 1)]],
        [1, 0, [bytes([n]) * (250 * KIB) for n in range(BATCH_SIZE_MAX_BYTES // (250 * KIB) + 1)]],
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(MalformedMessageError):
        Batch.from_bytes(codec.encode(value))


def test_a_tick_is_a_time_and_nothing_else() -> None:
    tick = Batch.from_bytes(Batch(1, (), View(3)).to_bytes())

    assert (tick.is_tick, tick.is_null) == (True, False)
    assert not Batch(1, (b"a",)).is_tick


def test_the_null_batch_is_empty_and_has_no_time() -> None:
    assert Batch.from_bytes(NULL_BATCH) == Batch(0, ())
