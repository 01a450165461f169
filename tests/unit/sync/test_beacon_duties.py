"""What a member owes the beacon follows from the rows and its seed, and is never a lie."""

from dataclasses import replace

import pytest

from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.requests import parse_request
from bftcluster_sim.cluster.adversary.beacon_lies import deals_wrong_shares, is_silent
from tests.unit.ledger.beacons import BeaconWorld, kinds_of
from tests.unit.ledger.world import PEERS


@pytest.fixture
def world() -> BeaconWorld:
    world = BeaconWorld()
    world.register()
    return world


def test_a_member_owes_one_thing_after_the_other(world: BeaconWorld) -> None:
    world.lies = {PEERS[0]: is_silent, PEERS[1]: deals_wrong_shares}
    assert kinds_of(world.owed(PEERS[0])) == ["Deal"]

    world.go_on(lambda: world.beacon.open.is_dealt)
    assert kinds_of(world.owed(PEERS[0])) == ["Complain"]

    world.go_on(lambda: world.beacon.groups != ())
    assert world.owed(PEERS[0]) == []
    world.run(after_ms=world.genesis.period_ms)
    assert kinds_of(world.owed(PEERS[0])) == ["Contribute"]


def test_who_has_said_its_part_owes_nothing(world: BeaconWorld) -> None:
    world.run(*world.owed(PEERS[0]))

    assert world.owed(PEERS[0]) == []


def test_who_holds_no_share_owes_nothing(world: BeaconWorld) -> None:
    assert world.owed(PEERS[5]) == []
    world.go_on(lambda: world.beacon.groups != ())
    world.run(after_ms=world.genesis.period_ms)

    assert world.owed(PEERS[5]) == []


def test_a_restart_says_the_same(world: BeaconWorld) -> None:
    dealt = world.owed(PEERS[0])
    world.forget()
    assert world.owed(PEERS[0]) == dealt

    world.go_on(lambda: world.beacon.groups != ())
    world.run(after_ms=world.genesis.period_ms)
    contributed = world.owed(PEERS[0])
    world.forget()
    assert world.owed(PEERS[0]) == contributed


def test_where_our_share_is_not_what_all_can_see_we_say_nothing(world: BeaconWorld) -> None:
    """As if a dealing were missing from the rows: a wrong partial would convict us."""
    world.go_on(lambda: world.beacon.groups != ())
    world.run(after_ms=world.genesis.period_ms)
    beacon = queries.beacon_of(world.store)
    [group] = beacon.groups
    damaged = replace(beacon, groups=(replace(group, dealings=group.dealings[:3]),))

    assert world.duties(PEERS[0]).owed(damaged, world.period) == []
    assert parse_request(world.owed(PEERS[1])[0]).period == world.period
