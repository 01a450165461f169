"""Who was not heard for a day holds nothing that counts, until it is heard again."""

from bftcluster.ledger.rules.absence import absence_due_ms
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.rules.holders.allocation import pin_seed
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.limits import (
    ABSENT_AFTER_MS,
    ABSENT_NOTED_MAX,
    GONE_AFTER_MS,
    GONE_NOTED_MAX,
    SILENCE_MS,
)
from tests.unit.ledger.departures import (
    HOUR_MS,
    admit,
    crowd_of,
    duties,
    holders,
    live,
    pass_time,
    pin,
    report_all,
    settle,
    world_of,
)
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import DAY_MS

MINUTE_MS = 60_000


def test_who_is_not_heard_for_a_day_holds_nothing_that_counts() -> None:
    world = world_of(6)
    pin(world, range(30), 2)
    lost = duties(world, PEERS[5])
    numbers = [number for number in range(30) if cid_of(number) in lost]
    pass_time(world, ABSENT_AFTER_MS - HOUR_MS, heard=PEERS[:5])
    before = {number: holders(world, number) for number in range(30)}
    assert world.ledger._state.is_live(peer_id(PEERS[5]))

    pass_time(world, HOUR_MS, heard=PEERS[:5])
    settle(world)

    assert not world.ledger._state.is_live(peer_id(PEERS[5]))
    for number in range(30):
        expected = 3 if number in numbers else 2
        assert set(before[number]) <= set(holders(world, number))
        assert (len(holders(world, number)), len(live(world, number))) == (expected, 2)


def test_who_is_absent_is_given_nothing_new() -> None:
    world = world_of(6)
    pass_time(world, ABSENT_AFTER_MS, heard=PEERS[:5])

    pin(world, range(60), 3)

    assert not duties(world, PEERS[5])


def test_an_idle_cluster_is_told_when_somebody_is_absent() -> None:
    world = world_of(6)
    pin(world, range(10), 2)
    heard_ms = world.ledger._state.peers[peer_id(PEERS[5])].reported_ms
    pass_time(world, ABSENT_AFTER_MS - HOUR_MS, heard=PEERS[:5])
    assert absence_due_ms(world.ledger._state) == heard_ms + ABSENT_AFTER_MS
    world.reopen()
    assert absence_due_ms(world.ledger._state) == heard_ms + ABSENT_AFTER_MS

    world.run(after_ms=absence_due_ms(world.ledger._state) - world.now_ms)

    assert world.ledger._state.absence.peers == {peer_id(PEERS[5])}
    settle(world)
    assert all(len(live(world, number)) == 2 for number in range(10))


def test_nobody_is_absent_because_nothing_was_ordered() -> None:
    world = world_of(6)
    pin(world, range(10), 2)

    world.run(after_ms=30 * DAY_MS)

    assert not world.ledger._state.absence.peers
    assert not world.ledger.wants_batches
    pass_time(world, ABSENT_AFTER_MS - 1, heard=PEERS[:5])
    assert not world.ledger._state.absence.peers
    pass_time(world, 1, heard=PEERS[:5])
    assert world.ledger._state.absence.peers == {peer_id(PEERS[5])}


def test_time_passes_for_who_is_silent_as_long_as_others_are_heard_often_enough() -> None:
    world = world_of(6)
    for _ in range(3):
        world.run(world.join(PEERS[0]), after_ms=SILENCE_MS - 1)

    assert peer_id(PEERS[5]) in world.ledger._state.absence.peers


def test_who_comes_back_counts_again_and_what_is_beyond_the_most_is_trimmed() -> None:
    world = world_of(6)
    pin(world, range(30), 2)
    report_all(world, range(30))
    before = duties(world, PEERS[5])
    assert before
    pass_time(world, ABSENT_AFTER_MS, heard=PEERS[:5])
    settle(world)
    report_all(world, range(30), but=PEERS[5])

    world.do(world.report(PEERS[5]))
    settle(world)

    for number in range(30):
        assert len(holders(world, number)) == 2
        assert len(live(world, number)) == 2
        drawn = world.ledger._state.roster.rank(
            pin_seed(world.genesis.cluster_id, cid_of(number)), sorted(map(peer_id, PEERS[:6]))
        )
        if cid_of(number) in before:
            assert drawn[0] in holders(world, number)
    assert duties(world, PEERS[5])


def test_who_has_a_pin_is_not_trimmed_for_one_that_was_to_fetch_it() -> None:
    """The only copy comes back before anybody could fetch it; others have the better draws."""
    world = world_of(6)
    chosen = (peer_id(PEERS[5]),)
    operations = [
        PinOperation(
            cid=cid_of(number), replication_min=1, replication_max=1, user_allocations=chosen
        )
        for number in range(30)
    ]
    world.run(*map(world.submit, operations))
    report_all(world, range(30))
    had = duties(world, PEERS[5])
    pass_time(world, ABSENT_AFTER_MS, heard=PEERS[:5])
    settle(world)
    assert all(len(holders(world, n)) == 2 for n in range(30) if cid_of(n) in had)

    world.do(world.join(PEERS[5]))
    settle(world)

    assert duties(world, PEERS[5]) == had
    assert all(len(holders(world, number)) == 1 for number in range(30))


def test_many_that_fall_silent_at_once_are_noted_some_after_each_batch() -> None:
    world = World(genesis_of(peers=PEERS[:4]))
    world.join_all(free_bytes=100 * GIB)
    crowd = crowd_of(world, range(40))
    for _ in range(4):
        world.run(*(world.join(peer) for peer in PEERS[:4]), after_ms=5 * HOUR_MS)

    tick = world.run(after_ms=absence_due_ms(world.ledger._state) - world.now_ms)

    assert len(world.ledger._state.absence.peers) == ABSENT_NOTED_MAX
    assert tick.due_ms <= world.now_ms
    while world.ledger.due_ms <= world.now_ms:
        world.run(after_ms=0)
    assert world.ledger._state.absence.peers == set(crowd)


def test_who_is_noted_absent_first_does_not_depend_on_a_restart() -> None:
    """They were heard in one batch, in another order than that of their ids."""
    noted = []
    for reopens in (False, True):
        world = World(genesis_of(peers=PEERS[:4]))
        world.join_all()
        crowd_of(world, reversed(range(40)))
        if reopens:
            world.reopen()
        pass_time(world, 20 * HOUR_MS, heard=PEERS[:4])
        world.run(after_ms=absence_due_ms(world.ledger._state) - world.now_ms)
        noted.append(world.ledger._state.absence.peers)

    assert len(noted[0]) == ABSENT_NOTED_MAX
    assert noted[0] == noted[1]


def test_nodes_are_told_who_is_absent_and_who_is_back() -> None:
    world = world_of(4)
    gone, *others = PEERS[:4]
    pass_time(world, 18 * HOUR_MS, heard=others)
    told = world.run(*(world.join(peer) for peer in others), after_ms=6 * HOUR_MS).effects
    assert PeerChanged(peer_id(gone)) in told

    back = world.run(world.report(gone)).effects

    assert PeerChanged(peer_id(gone)) in back


def test_who_is_silent_for_a_month_leaves_unless_it_votes() -> None:
    world = world_of(6)
    voter, volunteer = PEERS[3], PEERS[5]
    heard = [peer for peer in PEERS[:6] if peer not in (voter, volunteer)]
    pass_time(world, GONE_AFTER_MS - DAY_MS, heard=heard)
    settle(world)
    assert peer_id(volunteer) in queries.peers(world.store)

    pass_time(world, DAY_MS + 6 * HOUR_MS, heard=heard)

    peers = queries.peers(world.store)
    assert peer_id(volunteer) not in peers
    assert peers[peer_id(voter)].is_replica
    reputation = queries.reputation_of(world.store, peer_id(volunteer))
    assert reputation is not None
    assert not reputation.is_evicted
    admit(world, volunteer)


def test_a_month_in_which_nothing_was_ordered_takes_nobody_out() -> None:
    world = world_of(6)
    heard = PEERS[:5]
    pass_time(world, ABSENT_AFTER_MS + HOUR_MS, heard=heard)
    assert peer_id(PEERS[5]) in world.ledger._state.absence.peers

    world.run(*(world.join(peer) for peer in heard), after_ms=GONE_AFTER_MS)
    pass_time(world, 3 * HOUR_MS, heard=heard)

    assert peer_id(PEERS[5]) in queries.peers(world.store)


def test_those_that_leave_after_a_month_are_a_bounded_number_in_a_period() -> None:
    world = world_of(4)
    crowd_of(world, range(100, 100 + 2 * GONE_NOTED_MAX))
    pass_time(world, GONE_AFTER_MS - DAY_MS, heard=PEERS[:4])

    members = [len(queries.peers(world.store))]
    for _ in range(8):
        pass_time(world, 6 * HOUR_MS, heard=PEERS[:4])
        members.append(len(queries.peers(world.store)))

    assert sorted(set(members)) == [4, 4 + GONE_NOTED_MAX, 4 + 2 * GONE_NOTED_MAX]


def test_where_days_are_shorter_absences_are() -> None:
    world = World(genesis_of(day_ms=MINUTE_MS, period_ms=10_000))
    world.run(*(world.join(peer) for peer in PEERS[:4]))
    heard_ms = world.now_ms
    assert absence_due_ms(world.ledger._state) == heard_ms + MINUTE_MS

    world.run(*(world.join(peer) for peer in PEERS[:3]), after_ms=MINUTE_MS // 3)
    world.run(*(world.join(peer) for peer in PEERS[:3]), after_ms=MINUTE_MS // 3)
    world.run(after_ms=MINUTE_MS // 3)

    live = [peer for peer in PEERS[:4] if world.ledger._state.is_live(peer_id(peer))]
    assert live == list(PEERS[:3])
