"""A pin, or the cluster, names by what holders are chosen; repair goes by it, too."""

from collections.abc import Sequence

from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.pin_strategy import PinStrategy, StrategyName
from tests.unit.ledger.departures import remove, settle
from tests.unit.ledger.standing_world import admit
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, genesis_of, peer_id

SSD, EU = ("disk", "ssd"), ("region", "eu")
REGIONS = ("eu", "eu", "us", "asia", "us", "eu")
ON_SSD = PinStrategy(required=(SSD,))
APART = PinStrategy(name=StrategyName.TAGS, spread="region")


def world_of_regions(strategy: PinStrategy | None = None, **options: int) -> World:
    """Return six peers in three regions; the first three have fast disks."""
    world = World(genesis_of(strategy=strategy, **options))
    for number, peer in enumerate(PEERS[:6]):
        if number >= 4:
            admit(world, peer)
        tags = {"region": REGIONS[number]} | ({"disk": "ssd"} if number in {0, 1, 4} else {})
        assert world.do(world.join(peer, free_bytes=GIB, tags=tags)).is_accepted
    return world


def pinned(world: World, number: int, **options: object) -> Sequence[PeerId]:
    assert world.pin(cid_of(number), **options).is_accepted
    record = world.record(cid_of(number))
    assert record is not None
    return record.allocations


def regions_of(holders: Sequence[PeerId]) -> list[str]:
    return [REGIONS[number] for number in range(6) if peer_id(PEERS[number]) in holders]


def test_new_holders_have_all_required_tags() -> None:
    world = world_of_regions()

    holders = [
        pinned(world, number, replication_min=2, replication_max=2, strategy=ON_SSD)
        for number in range(12)
    ]

    fast = {peer_id(PEERS[number]) for number in (0, 1, 4)}
    assert all(set(each) <= fast for each in holders)


def test_a_refusal_names_how_many_have_the_tag_and_what_they_have_free() -> None:
    world = world_of_regions()

    outcome = world.pin(cid_of(1), replication_min=4, replication_max=4, strategy=ON_SSD)

    assert outcome.code is OutcomeCode.NOT_ENOUGH_PEERS
    assert outcome.detail.endswith(
        "Available candidates: 3. Candidates with the required tag disk=ssd: 3. "
        "Free at the candidates: 3072 MiB."
    )


def test_copies_are_spread_over_the_values_of_a_tag() -> None:
    world = world_of_regions()

    for number in range(12):
        three = pinned(world, number, replication_min=3, replication_max=3, strategy=APART)
        assert sorted(regions_of(three)) == ["asia", "eu", "us"]
    four = pinned(world, 99, replication_min=4, replication_max=4, strategy=APART)
    assert {"asia", "eu", "us"} <= set(regions_of(four))


def test_a_second_copy_goes_where_the_first_is_not() -> None:
    world = world_of_regions()
    for number in range(8):
        pinned(world, number, replication_min=1, replication_max=1, strategy=APART)

        two = pinned(world, number, replication_min=2, replication_max=2, strategy=APART)

        assert len(set(regions_of(two))) == 2


def test_too_few_failure_domains_are_refused() -> None:
    world = World(genesis_of(domains=("cellar", "cellar", "attic", "attic")))
    world.join_all()

    outcome = world.pin(
        cid_of(1), replication_min=3, replication_max=3, strategy=PinStrategy(domains_min=3)
    )

    assert outcome.code is OutcomeCode.NOT_ENOUGH_PEERS
    assert "Failure domains needed: 3. Available: 2." in outcome.detail


def test_what_the_genesis_says_holds_for_pins_that_say_nothing() -> None:
    world = world_of_regions(ON_SSD, replication_min=3, replication_max=3)
    fast = {peer_id(PEERS[number]) for number in (0, 1, 4)}
    assert set(pinned(world, 1)) == fast

    own = [pinned(world, number, strategy=PinStrategy()) for number in range(2, 12)]

    assert any(set(each) != fast for each in own)


def test_repair_looks_for_holders_by_the_pins_strategy() -> None:
    world = world_of_regions()
    for number in range(8):
        pinned(world, number, replication_min=2, replication_max=2, strategy=ON_SSD)

    remove(world, PEERS[4])
    settle(world)

    pins = queries.pins_behind(world.store, b"", 100)
    fast = {peer_id(PEERS[0]), peer_id(PEERS[1])}
    assert all(set(pin.allocations) == fast for pin in pins)


def test_what_no_other_peer_may_hold_waits() -> None:
    world = world_of_regions()
    pinned(world, 1, replication_min=3, replication_max=3, strategy=ON_SSD)

    remove(world, PEERS[4])
    settle(world)

    assert queries.repair_turn_of(world.store).waiting == 1
