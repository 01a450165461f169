"""The row cache: bounded, newest kept, absence remembered."""

from bftcluster.ledger.rows.spaces import Space
from bftcluster.shell_limits import STATE_CACHE_ROW_MAX_BYTES
from bftcluster.storage.row_cache import UNKNOWN, RowCache


def key(number: int) -> tuple[Space, bytes]:
    return Space.PIN, bytes([number])


def test_absent_is_not_unknown() -> None:
    cache = RowCache()
    cache.put(key(1), None)

    assert cache.get(key(1)) is None
    assert cache.get(key(2)) is UNKNOWN


def test_the_row_not_used_for_longest_goes_first() -> None:
    cache = RowCache(rows_max=2)
    cache.put(key(1), b"1")
    cache.put(key(2), b"2")
    cache.get(key(1))
    cache.put(key(3), b"3")

    assert cache.get(key(2)) is UNKNOWN
    assert (cache.get(key(1)), cache.get(key(3))) == (b"1", b"3")


def test_bytes_are_bounded_and_a_replaced_row_counts_once() -> None:
    cache = RowCache(size_max_bytes=100)
    for _ in range(5):
        cache.put(key(1), b"x" * 49)
    assert cache.size_bytes == 50

    cache.put(key(2), b"x" * 49)
    cache.put(key(3), None)

    assert cache.size_bytes == 51
    assert cache.get(key(1)) is UNKNOWN
    assert len(cache) == 2


def test_a_row_larger_than_the_cache_is_not_kept() -> None:
    cache = RowCache(size_max_bytes=10)
    cache.put(key(1), b"x" * 100)

    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_long_row_is_not_kept_and_its_older_value_neither() -> None:
    cache = RowCache()
    cache.put(key(1), b"short")
    cache.put(key(1), bytes(STATE_CACHE_ROW_MAX_BYTES + 1))

    assert cache.get(key(1)) is UNKNOWN
    assert (len(cache), cache.size_bytes) == (0, 0)
