"""Strangers' handshakes are few at a time, and not too many a second."""

from bftcluster.limits import (
    HANDSHAKE_BURST_PER_ADDRESS_MAX,
    HANDSHAKES_PENDING_MAX,
    HANDSHAKES_PENDING_PER_ADDRESS_MAX,
    HANDSHAKES_PER_ADDRESS_PER_S,
)
from bftcluster.net.gate import StrangersGate


def test_an_address_has_so_many_handshakes_pending_and_no_more() -> None:
    gate = StrangersGate()

    admitted = [gate.enter("a", 0) for _ in range(HANDSHAKES_PENDING_PER_ADDRESS_MAX + 1)]

    assert admitted == [True] * HANDSHAKES_PENDING_PER_ADDRESS_MAX + [False]
    assert gate.enter("b", 0)
    gate.leave("a")
    assert gate.enter("a", 0)


def test_all_addresses_together_have_so_many_and_no_more() -> None:
    gate = StrangersGate()

    admitted = [gate.enter(str(number), 0) for number in range(HANDSHAKES_PENDING_MAX + 1)]

    assert admitted == [True] * HANDSHAKES_PENDING_MAX + [False]


def test_an_address_that_comes_too_often_waits_for_its_tokens() -> None:
    gate = StrangersGate()
    for _ in range(HANDSHAKE_BURST_PER_ADDRESS_MAX):
        assert gate.enter("a", 0)
        gate.leave("a")

    assert not gate.enter("a", 0)
    assert gate.enter("a", 1)
    gate.leave("a")
    later = [gate.enter("a", 1) for _ in range(HANDSHAKES_PER_ADDRESS_PER_S)]
    assert later == [True] * (HANDSHAKES_PER_ADDRESS_PER_S - 1) + [False]


def test_it_remembers_a_bounded_number_of_addresses() -> None:
    gate = StrangersGate()

    for number in range(10_000):
        if gate.enter(str(number), 0):
            gate.leave(str(number))

    assert len(gate._buckets) <= 4096


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    gate = StrangersGate()

    admitted = [
        gate.enter(f"2001:db8::{number:x}", 0)
        for number in range(1, HANDSHAKES_PENDING_PER_ADDRESS_MAX + 2)
    ]

    assert admitted == [True] * HANDSHAKES_PENDING_PER_ADDRESS_MAX + [False]
    assert gate.enter("2001:db8:0:1::1", 0)
    gate.leave("2001:db8::1")
    assert gate.enter("2001:db8::ffff", 0)


def test_an_ipv4_address_in_ipv6_form_is_that_address() -> None:
    gate = StrangersGate()
    for _ in range(HANDSHAKES_PENDING_PER_ADDRESS_MAX):
        gate.enter("192.0.2.1", 0)

    assert not gate.enter("::ffff:192.0.2.1", 0)
    assert gate.enter("::ffff:192.0.2.2", 0)
