"""A period in which something is ordered has one beacon, whichever f + 1 of the holders make it."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest
from bftcluster.ledger.rules.beacon.ceremonies import window_due_ms
from bftcluster.ledger.rules.beacon.terms import KEY_LIFETIME_MS, LOST_PERIODS
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.beacon_state import BEACONS_KEPT, BeaconState
from bftcluster.ledger.wire.beacon_requests import make_contribute
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.limits import SIGNATURE_SIZE_BYTES
from bftcluster.signing.keys import SigningKey
from bftcluster_sim.cluster.adversary.beacon_lies import (
    is_silent,
    sends_wrong_partials,
    withholds_partials,
)
from tests.unit.ledger.beacons import BeaconWorld
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id, resigned


@pytest.fixture
def world() -> BeaconWorld:
    world = BeaconWorld()
    world.deal()
    return world


def begin_period(world: BeaconWorld) -> None:
    world.run(after_ms=world.genesis.period_ms)


def partial_of(world: BeaconWorld, member: SigningKey) -> bytes:
    [request] = world.owed(member)
    return request


def without(*silent: SigningKey) -> BeaconWorld:
    world = BeaconWorld()
    world.deal()
    world.lies = dict.fromkeys(silent, withholds_partials)
    world.next_period()
    return world


def test_four_members_deal_a_key_and_make_a_beacon_of_each_period(world: BeaconWorld) -> None:
    world.next_period(3)

    periods = [period for period, _ in world.beacon.drawn]
    assert periods == [world.period - 2, world.period - 1, world.period]
    assert len({value for _, value in world.beacon.drawn}) == 3
    assert world.beacon.partials == ()


def test_any_two_of_four_holders_make_the_same_beacon() -> None:
    first, second = without(PEERS[0], PEERS[1]), without(PEERS[2], PEERS[3])

    assert len(first.beacon.drawn) == 1
    assert first.beacon.drawn == second.beacon.drawn


def test_one_of_four_makes_none_and_the_next_period_may_have_one() -> None:
    world = without(*PEERS[:3])
    assert world.beacon.drawn == ()
    assert len(world.beacon.partials) == 1

    world.lies = {}
    world.next_period()

    assert [period for period, _ in world.beacon.drawn] == [world.period]


def test_a_wrong_part_is_named_once_enough_are_there_and_the_others_make_the_beacon() -> None:
    world = BeaconWorld()
    world.deal()
    world.lies = dict.fromkeys(PEERS[:1], sends_wrong_partials)

    world.next_period()

    assert len(world.beacon.drawn) == 1
    assert world.exposed() == {peer_id(PEERS[0])}
    details = [outcome.detail for outcome in world.outcomes]
    assert "too few right parts; wrong parts of holders 1" in details
    assert world.beacon.last == without(PEERS[0]).beacon.last


def test_who_sent_a_wrong_part_has_no_second_try(world: BeaconWorld) -> None:
    begin_period(world)
    right = partial_of(world, PEERS[0])
    [wrong] = sends_wrong_partials(world.liar(PEERS[0]), world.beacon, [right])
    world.run(wrong, partial_of(world, PEERS[1]))

    assert world.beacon.drawn == ()
    assert world.do(right).code is OutcomeCode.REPLAYED
    assert world.owed(PEERS[0]) == []
    assert world.do(partial_of(world, PEERS[2])).is_accepted
    assert len(world.beacon.drawn) == 1


def test_the_last_part_that_is_wrong_is_refused_and_names_its_holder(world: BeaconWorld) -> None:
    begin_period(world)
    [wrong] = sends_wrong_partials(
        world.liar(PEERS[0]), world.beacon, [partial_of(world, PEERS[0])]
    )
    world.do(partial_of(world, PEERS[1]))

    outcome = world.do(wrong)

    assert (outcome.code, outcome.detail) == (
        OutcomeCode.BAD_SIGNATURE,
        "this part is wrong; wrong parts of holders 1",
    )


def refusals(world: BeaconWorld) -> dict[str, tuple[bytes, OutcomeCode]]:
    """Parts that do not count in the period that has begun."""
    said = parse_request(partial_of(world, PEERS[0]))
    cluster_id, group, partial = world.genesis.cluster_id, said.group_digest, said.partial

    def made(signer: SigningKey = PEERS[0], **changes: object) -> bytes:
        values = {"group": group, "period": world.period, "partial": partial} | changes
        return make_contribute(signer, cluster_id, **values).to_bytes()

    not_a_point = replace(partial, signature=bytes(96))
    forged = resigned(said, bytes(SIGNATURE_SIZE_BYTES))
    return {
        "early": (made(period=world.period + 1), OutcomeCode.NOT_YET_VALID),
        "late": (made(period=world.period - 1), OutcomeCode.EXPIRED),
        "of another holder": (made(PEERS[1]), OutcomeCode.NOT_ADMITTED),
        "of a stranger": (made(PEERS[6]), OutcomeCode.NOT_ADMITTED),
        "of a holder that is none": (
            made(partial=replace(partial, holder=5)),
            OutcomeCode.NOT_ADMITTED,
        ),
        "of an unknown group": (made(group=Digest(bytes(32))), OutcomeCode.EXPIRED),
        "no point": (made(partial=not_a_point), OutcomeCode.BAD_SIGNATURE),
        "not signed": (forged.to_bytes(), OutcomeCode.BAD_SIGNATURE),
    }


@pytest.mark.parametrize(
    "name",
    [
        "early",
        "late",
        "of another holder",
        "of a stranger",
        "of a holder that is none",
        "of an unknown group",
        "no point",
        "not signed",
    ],
)
def test_a_part_that_does_not_count_is_refused(world: BeaconWorld, name: str) -> None:
    begin_period(world)
    request, code = refusals(world)[name]

    if name != "not signed":
        assert world.verifier.refusal(request).code is code
    assert world.do(request).code is code
    assert world.beacon.partials == ()


def test_a_strangers_part_costs_no_look_at_its_point(world: BeaconWorld) -> None:
    begin_period(world)
    request, _ = refusals(world)["of a stranger"]

    assert world.verifier.admissible(request)
    assert not world.verifier.is_wanted(request)
    world.do(request)

    assert world.verifier.inspect(request).is_proven is None


def test_a_part_is_heard_once_and_charged_whatever_becomes_of_it(world: BeaconWorld) -> None:
    begin_period(world)
    request = partial_of(world, PEERS[0])

    outcomes = [world.do(request), world.do(request)]

    assert [outcome.code for outcome in outcomes] == [OutcomeCode.RECORDED, OutcomeCode.REPLAYED]
    record = queries.peer_of(world.store, peer_id(PEERS[0]))
    assert record.spent.requests == 2


def test_a_part_that_comes_after_the_beacon_is_not_wanted(world: BeaconWorld) -> None:
    begin_period(world)
    requests = [partial_of(world, member) for member in PEERS[:3]]
    world.run(*requests[:2])

    assert world.verifier.refusal(requests[2]).code is OutcomeCode.REPLAYED
    assert world.owed(PEERS[2]) == []
    assert world.beacon.partials == ()


def test_lots_are_drawn_from_the_last_beacon() -> None:
    def allocations(world: World) -> list[object]:
        for number in range(20):
            world.pin(cid_of(number), replication_min=1, replication_max=1)
        return [world.record(cid_of(number)).allocations for number in range(20)]

    before, without_any, after = BeaconWorld(), BeaconWorld(), BeaconWorld()
    for world in (before, without_any, after):
        world.deal()
    without_any.lies = dict.fromkeys(PEERS[:4], is_silent)
    without_any.next_period()
    after.next_period()

    drawn = allocations(before)
    assert allocations(without_any) == drawn
    assert allocations(after) != drawn


def test_what_is_allocated_stays_when_the_beacon_changes(world: BeaconWorld) -> None:
    for number in range(10):
        world.pin(cid_of(number), replication_min=1, replication_max=1)
    before = [world.record(cid_of(number)).allocations for number in range(10)]

    world.next_period()
    for number in range(10):
        world.pin(cid_of(number), replication_min=1, replication_max=1, name="again")

    assert [world.record(cid_of(number)).allocations for number in range(10)] == before


def test_an_idle_cluster_with_a_key_owes_nothing(world: BeaconWorld) -> None:
    world.next_period()

    applied = world.step()

    assert not applied.wants_batches
    assert window_due_ms(world.ledger._state) is None
    assert [world.owed(member) for member in PEERS[:4]] == [[], [], [], []]


def test_a_key_that_made_no_beacon_for_long_is_lost_and_a_new_one_is_dealt() -> None:
    world = without()
    key = world.beacon.groups[0].key.key
    world.lies = dict.fromkeys(PEERS[:3], withholds_partials)
    world.next_period(LOST_PERIODS)
    assert world.beacon.groups[0].silent == LOST_PERIODS - 1

    world.next_period()
    assert world.beacon.groups == ()
    world.lies = {}
    world.go_on(lambda: world.beacon.groups != ())
    settled_in = world.period
    world.next_period(2)

    assert world.beacon.groups[0].key.key != key
    assert [period for period, _ in world.beacon.drawn][-2:] == [settled_in + 1, settled_in + 2]


def test_periods_in_which_nothing_is_ordered_lose_no_key(world: BeaconWorld) -> None:
    world.next_period()

    world.run(after_ms=LOST_PERIODS * 10 * world.genesis.period_ms)
    world.step(after_ms=1)

    assert world.beacon.groups[0].silent == 0
    assert world.beacon.has(world.period)


def test_a_key_is_given_up_for_a_new_one_after_a_year(world: BeaconWorld) -> None:
    world.next_period()
    old = world.beacon.groups[0].key.key
    world.run(after_ms=KEY_LIFETIME_MS)

    world.go_on(lambda: len(world.beacon.groups) == 2)
    world.step()
    world.step()
    assert world.beacon.open is None
    assert world.beacon.groups[0].key.key == old
    world.next_period()

    [group] = world.beacon.groups
    assert group.key.key != old
    assert world.beacon.has(world.period)


def test_the_last_beacons_are_kept_and_no_more() -> None:
    beacon = BeaconState()
    for period in range(2 * BEACONS_KEPT):
        beacon = beacon.with_beacon(period, period.to_bytes(32, "big"))

    assert [period for period, _ in beacon.drawn] == list(range(BEACONS_KEPT, 2 * BEACONS_KEPT))
    assert beacon.last == (2 * BEACONS_KEPT - 1).to_bytes(32, "big")
