from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import STATE_SPACES, Space


def test_rows_come_in_order_page_by_page() -> None:
    store = MemoryStateStore()
    store.flush({(Space.PIN, bytes((number,))): b"v" for number in (5, 1, 9, 3)})
    store.flush(
        {(Space.PIN, b"\x03"): None, (Space.PIN, b"\x04"): b"w", (Space.PEER, b"\x02"): b""}
    )

    first = store.iterate(Space.PIN, b"", 2)
    rest = store.iterate(Space.PIN, first[-1][0], 9)

    assert first == [(b"\x01", b"v"), (b"\x04", b"w")]
    assert rest == [(b"\x05", b"v"), (b"\x09", b"v")]
    assert store.get(Space.PIN, b"\x03") is None


def test_the_spaces_of_the_state_number_from_zero_without_gaps() -> None:
    assert [int(space) for space in STATE_SPACES] == list(range(len(STATE_SPACES)))
