"""What suspended peers hold is copied elsewhere, behind all that is in danger, without haste."""

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.limits import REPAIR_RATE_BYTES_PER_S, REPAIR_WITHOUT_HASTE_PARTS
from bftcluster.reputation import AuditOutcome, Standing
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.departures import (
    HOUR_MS,
    duties,
    holders,
    live,
    pass_time,
    pin,
    remove,
    report_all,
    settle,
    settle_uncounted,
    waiting,
    world_of,
    written,
)
from tests.unit.ledger.standing_world import audited, next_period, of, set_reputation
from tests.unit.ledger.state.test_reopened import assert_reopens_alike
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, peer_id

WEAK = PEERS[3]
OTHERS = (*PEERS[:3], *PEERS[4:6])


def suspend(world: World, peer: SigningKey = WEAK) -> None:
    set_reputation(world, peer, audited(of(world, peer), AuditOutcome.FAILED, 4))
    next_period(world)
    assert of(world, peer).standing is Standing.SUSPENDED


def test_each_pin_of_a_suspended_peer_gets_its_minimum_elsewhere_and_it_keeps_its_copies() -> None:
    world = world_of(6)
    pin(world, range(20), 2)
    report_all(world, range(20))
    held = duties(world, WEAK)
    assert held

    suspend(world)
    settle(world)

    assert duties(world, WEAK) == held
    for number in range(20):
        sound = set(holders(world, number)) - {peer_id(WEAK)}
        assert len(sound) == 2
    assert waiting(world) == []
    assert_reopens_alike(world)


def test_who_is_back_in_good_standing_is_one_of_the_most_again() -> None:
    world = world_of(6)
    pin(world, range(20), 2)
    report_all(world, range(20))
    spotless = of(world, WEAK)
    suspend(world)
    settle(world)

    suspended = of(world, WEAK)
    back = audited(suspended, AuditOutcome.PASSED, 3000)
    set_reputation(world, WEAK, back)
    for _ in range(60):
        pass_time(world, 6 * HOUR_MS, heard=PEERS[:6])
    settle(world)

    assert spotless.standing is of(world, WEAK).standing is Standing.ACTIVE
    assert all(len(live(world, number)) == 2 for number in range(20))


def test_pins_that_lost_holders_come_before_those_of_suspended_peers() -> None:
    world = world_of(6)
    pin(world, ["template"], 1)
    written(world, range(1, 40), [WEAK, PEERS[0]])
    written(world, range(40, 100), [PEERS[4], PEERS[0]])
    suspend(world)
    remove(world, PEERS[4])

    queued = [each for _, each in queries.repairs_behind(world.store, b"", 1000)]

    urgent = [each.cid for each in queued if each.is_urgent]
    assert set(urgent) <= {cid_of(number) for number in range(40, 100)}
    assert 0 < len(urgent) < len(queued)
    assert [each.cid for each in queued][: len(urgent)] == urgent


def test_a_peer_is_given_a_quarter_as_much_of_what_suspended_ones_hold() -> None:
    world = world_of(5)
    pin(world, ["template"], 1)
    part = REPAIR_RATE_BYTES_PER_S * world.genesis.period_ms // 1000
    size = 1 * GIB
    written(world, range(1, 60), [WEAK], size_bytes=size)

    suspend(world)
    settle_uncounted(world)

    given = sum(len(duties(world, peer)) for peer in OTHERS[:4]) - 1
    allowed = part // REPAIR_WITHOUT_HASTE_PARTS // size + 1
    assert 0 < given <= 4 * allowed


def test_a_pin_whose_holders_are_sound_again_is_given_no_others() -> None:
    """Though repair looks at it before their pins are looked at."""
    world = world_of(7)
    pin(world, [1], 3, least=2)
    before = holders(world, 1)
    weak = [peer for peer in PEERS if peer_id(peer) != before[0]]
    keys = [(space, peer_id(peer)) for peer in weak for space in (Space.PEER, Space.REPUTATION)]
    spotless = {key: world.store.get(*key) for key in keys}
    for peer in weak:
        set_reputation(world, peer, audited(of(world, peer), AuditOutcome.FAILED, 4))
    next_period(world)
    settle(world)
    assert waiting(world) == [cid_of(1)]

    world.store.flush(spotless)
    world.reopen()
    settle(world)

    assert holders(world, 1) == before
    assert waiting(world) == []
