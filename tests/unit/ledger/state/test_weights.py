import pytest

from bftcluster.ledger.state.weights import weight_of

MIB = 1 << 20


@pytest.mark.parametrize("free_bytes", [-1, 0])
def test_a_peer_without_room_has_no_weight(free_bytes: int) -> None:
    assert weight_of(free_bytes) == 0


@pytest.mark.parametrize(
    ("free_bytes", "weight"),
    [(1, 1), (MIB - 1, 1), (MIB, 1), (2 * MIB - 1, 1), (2 * MIB, 2), (700 * MIB, 700)],
)
def test_a_peer_with_room_weighs_its_whole_mebibytes_and_never_nothing(
    free_bytes: int, weight: int
) -> None:
    assert weight_of(free_bytes) == weight
