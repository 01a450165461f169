from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.state.weights import units_of, weight_of
from bftcluster.reputation import OrderedEvidence, Terms, founder, newcomer
from bftcluster.reputation.arithmetic import UNITS_MAX

MIB = 1 << 20
TIB = 1 << 40
TERMS = Terms()
NOW = 500_000
EVIDENCE = OrderedEvidence(digest=Digest(bytes(32)), seq=Seq(1))
FOUNDER = founder(NOW, TERMS, EVIDENCE)
NEWCOMER = newcomer(NOW, TERMS, EVIDENCE)


@pytest.mark.parametrize("free_bytes", [-1, 0])
def test_a_peer_without_room_has_no_weight(free_bytes: int) -> None:
    assert units_of(free_bytes) == 0
    assert weight_of(free_bytes, FOUNDER, NOW, TERMS) == 0


@pytest.mark.parametrize(
    ("free_bytes", "weight"),
    [(1, 1), (MIB - 1, 1), (MIB, 1), (2 * MIB - 1, 1), (2 * MIB, 2), (700 * MIB, 700)],
)
def test_a_founder_with_room_weighs_its_whole_mebibytes_and_never_nothing(
    free_bytes: int, weight: int
) -> None:
    assert weight_of(free_bytes, FOUNDER, NOW, TERMS) == weight
    assert weight_of(free_bytes, FOUNDER, NOW + 10_000, TERMS) == weight
    assert units_of(free_bytes) == weight


@pytest.mark.parametrize("free_bytes", [2 * TIB, 2 * TIB + MIB, 1 << 62])
def test_what_is_beyond_two_tebibytes_weighs_no_more(free_bytes: int) -> None:
    assert weight_of(free_bytes, FOUNDER, NOW, TERMS) == UNITS_MAX


@pytest.mark.parametrize(("free_bytes", "weight"), [(1, 1), (8 * MIB, 1), (800 * MIB, 100)])
def test_a_newcomer_weighs_an_eighth_and_never_nothing(free_bytes: int, weight: int) -> None:
    assert weight_of(free_bytes, NEWCOMER, NOW, TERMS) == weight
    assert weight_of(free_bytes, NEWCOMER, NOW + 10_000, TERMS) == weight


def test_who_is_evicted_has_no_weight_however_much_room() -> None:
    assert weight_of(TIB, FOUNDER.defrauded(NOW, EVIDENCE), NOW, TERMS) == 0


def test_who_loses_its_score_weighs_less_before_it_weighs_nothing() -> None:
    integrity = FOUNDER.integrity
    weak = replace(FOUNDER, integrity=replace(integrity, bad=integrity.good // 20))

    assert 0 < weight_of(TIB, weak, NOW, TERMS) < weight_of(TIB, FOUNDER, NOW, TERMS)
