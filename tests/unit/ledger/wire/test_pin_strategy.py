"""By what holders are chosen: as people say it, and as it is signed."""

import pytest

from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import PinOperation, parse_operation
from bftcluster.ledger.wire.pin_strategy import (
    PinStrategy,
    StrategyName,
    parse_strategy,
    strategy_from_wire,
    strategy_words,
)
from bftcluster.limits import PIN_DOMAINS_MIN_MAX, PIN_TAGS_MAX
from tests.unit.ledger.world import cid_of, genesis_of

FULL = PinStrategy(
    name=StrategyName.TAGS,
    required=(("disk", "ssd"), ("rack", "9")),
    preferred=(("region", "eu"), ("region", "us")),
    spread="room",
    domains_min=2,
)


def test_what_is_signed_is_what_is_read() -> None:
    pin = PinOperation(cid=cid_of(1), strategy=FULL)
    assert parse_operation(pin.to_bytes()) == pin
    assert pin.items == 4

    genesis = genesis_of(strategy=FULL)
    assert Genesis.from_bytes(genesis.to_bytes()) == genesis


def test_a_pin_that_says_nothing_is_encoded_as_ever_and_one_that_says_balanced_is_another() -> None:
    silent = PinOperation(cid=cid_of(1))
    balanced = PinOperation(cid=cid_of(1), strategy=PinStrategy())

    assert silent.to_bytes() != balanced.to_bytes()
    assert parse_operation(silent.to_bytes()).strategy is None
    assert parse_operation(balanced.to_bytes()).strategy == PinStrategy()


def test_what_people_say_is_what_they_are_shown() -> None:
    assert parse_strategy(strategy_words(FULL)) == FULL
    assert parse_strategy([]) is None
    assert parse_strategy([("spread", "room")]) == PinStrategy(
        name=StrategyName.TAGS, spread="room"
    )
    assert parse_strategy([("strategy", "freespace")]) == PinStrategy(name=StrategyName.FREESPACE)


@pytest.mark.parametrize(
    "words",
    [
        [("colour", "red")],
        [("strategy", "everywhere")],
        [("strategy", "balanced"), ("strategy", "balanced")],
        [("strategy", "balanced"), ("prefer", "a:b")],
        [("strategy", "tags")],
        [("require", "ssd")],
        [("require", "disk:")],
        [("require", "disk:ssd"), ("require", "disk:hdd")],
        [("prefer", "a:b"), ("prefer", "a:b")],
        [("domains", "-1")],
        [("domains", str(PIN_DOMAINS_MIN_MAX + 1))],
        [("prefer", f"a:{number}") for number in range(PIN_TAGS_MAX + 1)],
    ],
)
def test_what_makes_no_sense_is_refused(words: list[tuple[str, str]]) -> None:
    with pytest.raises(UsageError):
        parse_strategy(words)


@pytest.mark.parametrize(
    "items",
    [
        7,
        [],
        [9, [], [], "", 0],
        [1, [["a"]], [], "", 0],
        [1, [["a", 1]], [], "", 0],
        [1, [], [["a", "b"]], "", 0],
        [1, [], [], "", -1],
        [1, [["b", "x"], ["a", "x"]], [], "", 0],
        [3, [], [["a", "b"]] * 1000, "", 0],
    ],
)
def test_what_no_maintainer_could_sign_is_malformed(items: object) -> None:
    with pytest.raises(MalformedMessageError):
        strategy_from_wire(items)
