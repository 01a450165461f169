from bftcluster.ledger.wire.bounded_cache import Recent


def test_the_memory_is_bounded_and_forgets_the_older_half() -> None:
    recent: Recent[int] = Recent(memory_max_bytes=20)

    for number in range(10):
        recent.put(bytes((number,)), number, 5)

    known = [recent.get(bytes((number,))) for number in range(10)]
    assert known == [None] * 6 + [6, 7, 8, 9]


def test_what_is_forgotten_is_forgotten_in_both_halves() -> None:
    recent: Recent[int] = Recent(memory_max_bytes=2)
    for number in range(2):
        recent.put(bytes((number,)), number, 1)

    for number in range(3):
        recent.forget(bytes((number,)))

    assert [recent.get(bytes((number,))) for number in range(3)] == [None] * 3
