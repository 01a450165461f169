"""How many copies a pin has that does not say it itself follows from its age, if people say so."""

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.deadlines import AGE_KIND, age_deadline, parse_deadline, time_of
from bftcluster.ledger.wire.operations import UnpinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.pin_strategy import AgeRule, SetAgeRules
from bftcluster.limits import AGE_RULES_MAX, AGED_ROWS_MAX
from tests.unit.ledger.departures import (
    HOUR_MS,
    duties,
    holders,
    pass_time,
    pin,
    report_all,
    settle,
    world_of,
    written,
)
from tests.unit.ledger.state.test_reopened import assert_reopens_alike
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of
from tests.unit.signing.people import DAY_MS

RULES = (AgeRule(0, 3, 4), AgeRule(2 * DAY_MS, 2, 2), AgeRule(4 * DAY_MS, 1, 1))


def set_rules(world: World, *rules: AgeRule) -> OutcomeCode:
    return world.do(world.submit(SetAgeRules(rules=rules))).code


def by_default(peers: int = 6) -> World:
    return world_of(peers, replication_min=2, replication_max=3)


def copies(world: World, number: int) -> int:
    return len(holders(world, number))


def ages_due(world: World) -> list[int]:
    rows = world.store.iterate(Space.DEADLINE, b"", 10_000)
    return [time_of(key) for key, _ in rows if parse_deadline(key)[0] == AGE_KIND]


def test_a_fresh_pin_has_more_copies_and_an_old_one_fewer() -> None:
    world = by_default()
    assert set_rules(world, *RULES) is OutcomeCode.COMMITTED
    assert world.pin(cid_of(1)).is_accepted
    report_all(world, [1])
    seen = [copies(world, 1)]
    for _ in range(2):
        pass_time(world, 2 * DAY_MS + 6 * HOUR_MS, heard=PEERS[:6])
        settle(world)
        seen.append(copies(world, 1))

    assert seen == [4, 2, 1]
    record = world.record(cid_of(1))
    assert record is not None
    assert (record.replication_min, record.replication_max) == (1, 1)
    assert_reopens_alike(world)


def test_a_pin_comes_of_age_when_a_period_begins() -> None:
    world = by_default()
    set_rules(world, *RULES)
    world.pin(cid_of(1))

    [due_ms] = ages_due(world)

    assert due_ms % world.genesis.period_ms == 0
    assert 0 <= due_ms - world.now_ms - 2 * DAY_MS < world.genesis.period_ms
    assert world.run().due_ms is not None


def test_pins_that_say_how_many_copies_they_have_keep_them() -> None:
    world = by_default()
    pin(world, [1], 3)
    set_rules(world, AgeRule(0, 1, 1))
    settle(world)

    assert copies(world, 1) == 3
    assert ages_due(world) == []


def test_when_rules_change_all_pins_are_looked_at_some_after_each_batch() -> None:
    world = by_default()
    assert world.pin(cid_of("template")).is_accepted
    written_by_default(world, 2 * AGED_ROWS_MAX)
    before = {number: copies(world, number) for number in range(1, 10)}

    world.run(world.submit(SetAgeRules(rules=(AgeRule(0, 1, 1),))))
    changed = sum(pin.replication_max == 1 for pin in queries.pins_behind(world.store, b"", 10_000))
    assert changed == AGED_ROWS_MAX
    settle(world)

    assert set(before.values()) == {3}
    assert all(copies(world, number) == 1 for number in before)
    assert not world.ledger.wants_batches


def written_by_default(world: World, count: int) -> None:
    written(world, range(1, count + 1), PEERS[:3])


def test_more_copies_are_found_by_repair() -> None:
    world = by_default()
    assert world.pin(cid_of(1)).is_accepted
    report_all(world, [1])

    set_rules(world, AgeRule(0, 5, 5))
    settle(world)

    assert copies(world, 1) == 5
    assert sum(cid_of(1) in duties(world, peer) for peer in PEERS[:6]) == 5


def test_without_rules_the_genesis_holds_again() -> None:
    world = by_default()
    set_rules(world, AgeRule(0, 1, 1))
    assert world.pin(cid_of(1)).is_accepted
    settle(world)
    assert copies(world, 1) == 1

    assert set_rules(world) is OutcomeCode.COMMITTED
    settle(world)

    record = world.record(cid_of(1))
    assert record is not None
    assert (record.replication_min, record.replication_max) == (2, 3)
    assert copies(world, 1) == 3


def test_what_is_unpinned_or_pinned_anew_has_no_old_deadline() -> None:
    world = by_default()
    set_rules(world, *RULES)
    world.pin(cid_of(1))
    world.pin(cid_of(2))
    pass_time(world, 6 * HOUR_MS, heard=PEERS[:6])

    world.pin(cid_of(1))
    world.do(world.submit(UnpinOperation(cid=cid_of(2))))

    [due_ms] = ages_due(world)
    assert due_ms > world.now_ms + 2 * DAY_MS - 1


def test_rules_that_hold_and_rules_for_what_is_everywhere_are_refused() -> None:
    world = by_default()
    set_rules(world, *RULES)
    assert set_rules(world, *RULES) is OutcomeCode.INVALID_OPERATION

    assert set_rules(World(genesis_of()), *RULES) is OutcomeCode.INVALID_OPERATION


@pytest.mark.parametrize(
    "rules",
    [
        (AgeRule(1, 2, 3), AgeRule(1, 1, 2)),
        (AgeRule(2, 2, 3), AgeRule(1, 1, 2)),
        (AgeRule(-1, 1, 2),),
        (AgeRule(0, 0, 2),),
        (AgeRule(0, 3, 2),),
        (AgeRule(0, 1, 1001),),
        tuple(AgeRule(age, 1, 1) for age in range(AGE_RULES_MAX + 1)),
    ],
)
def test_rules_that_make_no_sense_are_malformed(rules: tuple[AgeRule, ...]) -> None:
    with pytest.raises(MalformedMessageError):
        SetAgeRules(rules=rules)


def test_pins_that_come_of_age_at_once_hold_up_nothing_else() -> None:
    world = by_default()
    set_rules(world, *RULES)
    assert world.pin(cid_of("template")).is_accepted
    written_by_default(world, 2 * AGED_ROWS_MAX + 10)
    [due_ms] = ages_due(world)
    state = world.ledger._state
    for number in range(1, 2 * AGED_ROWS_MAX + 11):
        state.put(Space.DEADLINE, age_deadline(cid_of(number), due_ms), b"\x80")
    world.store.flush(state.take_delta())
    world.pin(cid_of("brief"), expire_at_ms=due_ms + 1)
    assert world.ledger.due_ms <= due_ms
    left, expired = [], []

    world.run(after_ms=due_ms + 1 - world.now_ms)
    for _ in range(3):
        left.append(ages_due(world).count(due_ms))
        expired.append(world.record(cid_of("brief")) is None)
        assert (world.ledger.due_ms <= world.now_ms) == (left[-1] > 0)
        world.run(after_ms=1)

    assert left == [AGED_ROWS_MAX + 12, 12, 0]
    assert all(expired)
    assert_reopens_alike(world)
