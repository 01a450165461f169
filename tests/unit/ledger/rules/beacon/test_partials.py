"""A period in which something is ordered has one beacon, whichever f + 1 of the holders make it."""

from tests.unit.ledger.beacons import BeaconWorld


def test_four_members_deal_a_key_and_make_a_beacon_of_each_period() -> None:
    world = BeaconWorld()
    world.deal()

    world.next_period(3)

    periods = [period for period, _ in world.beacon.drawn]
    assert periods == [world.period - 2, world.period - 1, world.period]
    assert len({value for _, value in world.beacon.drawn}) == 3
    assert world.beacon.partials == ()
