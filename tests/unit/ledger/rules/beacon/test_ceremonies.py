"""Dealings and complaints are heard in their windows, and a key passes on when members change."""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.beacon.ceremonies import window_due_ms
from bftcluster.ledger.rules.beacon.terms import HANDOVER_PERIODS, WINDOW_MS
from bftcluster.ledger.rules.effects import BeaconMoved
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.beacon_state import UNKNOWN_END
from bftcluster.ledger.wire.beacon_requests import make_deal
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import parse_request
from bftcluster_sim.cluster.adversary.beacon_lies import (
    complains_falsely,
    deals_wrong_shares,
    is_silent,
    withholds_partials,
)
from tests.unit.ledger.beacons import INTERVAL, STEP_MS, BeaconWorld
from tests.unit.ledger.world import PEERS, TERMS, peer_id


def opened() -> BeaconWorld:
    """A world whose first ceremony is open for dealings, of which there is none."""
    world = BeaconWorld()
    world.register()
    assert world.beacon.open is not None
    assert world.beacon.open.transcript.dealings == ()
    return world


def dealers(world: BeaconWorld) -> list[int]:
    assert world.beacon.open is not None
    return [dealing.dealer for dealing in world.beacon.open.transcript.dealings]


def let_vote(world: BeaconWorld, *, votes: bool = True) -> None:
    """Have the fifth peer vote, or vote no more."""
    operation = AdmitPeer(
        peer=peer_id(PEERS[4]), name="fifth", addresses=(), votes=votes, terms=TERMS
    )
    assert world.do(world.submit(operation)).is_accepted


def handed_over() -> tuple[BeaconWorld, bytes]:
    """A world with a key whose members have just been handed on to a fifth, and that key."""
    world = BeaconWorld(members=PEERS[:5])
    world.register(*PEERS[:4])
    world.go_on(lambda: world.beacon.groups != ())
    world.next_period()
    let_vote(world, votes=False)
    world.register(PEERS[4])
    let_vote(world)
    world.go_on(lambda: len(world.beacon.groups) == 2)
    return world, world.beacon.groups[0].key.key


def test_a_ceremony_opens_at_the_checkpoint_once_a_quorum_has_registered() -> None:
    world = BeaconWorld()
    world.register(*PEERS[:2])
    world.step()
    world.step()
    assert world.beacon.open is None

    world.register(PEERS[2])
    assert world.ledger.wants_batches
    applied = [world.step(after_ms=1) for _ in range(INTERVAL)]

    assert world.beacon.open is not None
    assert not world.ledger.wants_batches
    assert [effect for each in applied for effect in each.effects].count(BeaconMoved()) == 1
    owners = [holder.owner for holder in world.beacon.open.transcript.ceremony.holders]
    assert owners == [peer_id(member) for member in PEERS[:3]]


def test_a_registration_that_does_not_verify_is_refused_and_charged() -> None:
    world = BeaconWorld()
    taken = parse_request(
        world.join(PEERS[1], registration=world.duties(PEERS[1]).registration()).to_bytes()
    ).registration
    stolen = replace(taken, owner=peer_id(PEERS[0])).to_bytes()

    request = world.join(PEERS[0], registration=stolen)

    assert world.verifier.refusal(request.to_bytes()).code is OutcomeCode.BAD_SIGNATURE
    assert world.do(request).code is OutcomeCode.BAD_SIGNATURE
    record = queries.peer_of(world.store, peer_id(PEERS[0]))
    assert (record.registration, record.spent.requests) == (b"", 1)


def test_a_registration_stays_when_a_peer_joins_again_without_it() -> None:
    world = BeaconWorld()
    world.register(PEERS[0])

    world.do(world.join(PEERS[0]))

    registered = queries.peer_of(world.store, peer_id(PEERS[0])).registration
    assert registered == world.duties(PEERS[0]).registration()


def test_null_batches_do_not_outrun_the_minute_of_a_window() -> None:
    world = opened()

    for _ in range(20 * INTERVAL):
        applied = world.run()

    assert world.beacon.open.window_until == UNKNOWN_END
    assert applied.due_ms == world.beacon.open.begun_ms + WINDOW_MS
    assert not applied.wants_batches


def test_the_minute_alone_ends_no_window_before_two_intervals_and_a_checkpoint() -> None:
    world = opened()
    begun = world.beacon.open.begun_seq

    applied = world.run(*world.said(), after_ms=10 * WINDOW_MS)

    assert world.beacon.open.window_until == begun + 2 * INTERVAL
    assert applied.wants_batches
    assert window_due_ms(world.ledger._state) is None
    while world.ledger.head.seq < begun + 2 * INTERVAL:
        assert not world.beacon.open.is_dealt
        applied = world.run()
    assert world.beacon.open.is_dealt
    assert not applied.wants_batches


def test_a_dealing_counts_in_the_last_batch_of_its_window_and_not_after_it() -> None:
    world = opened()
    requests = [world.owed(member)[0] for member in PEERS[:4]]
    world.run(*requests[:2], after_ms=WINDOW_MS)
    while world.ledger.head.seq + 1 < world.beacon.open.window_until:
        world.run()

    world.do(requests[2])
    late = world.do(requests[3])

    assert world.beacon.open.is_dealt
    assert dealers(world) == [1, 2, 3]
    assert late.code is OutcomeCode.EXPIRED
    assert world.verifier.refusal(requests[3]).code is OutcomeCode.EXPIRED


def test_a_member_deals_once_and_for_itself() -> None:
    world = opened()
    [request] = world.owed(PEERS[0])
    dealing = parse_request(request).dealing
    in_anothers_name = make_deal(PEERS[1], world.genesis.cluster_id, dealing)
    bad = make_deal(
        PEERS[0], world.genesis.cluster_id, replace(dealing, ephemeral=dealing.commitments[0])
    )

    assert world.do(in_anothers_name).code is OutcomeCode.NOT_ADMITTED
    assert world.do(bad).code is OutcomeCode.BAD_SIGNATURE
    assert dealers(world) == []
    assert world.do(request).is_accepted
    assert world.do(request).code is OutcomeCode.REPLAYED
    assert not world.verifier.is_wanted(request)
    assert dealers(world) == [1]


def test_a_ceremony_in_which_too_few_deal_opens_again_at_the_next_checkpoint() -> None:
    world = BeaconWorld()
    world.lies = dict.fromkeys(PEERS[:3], is_silent)
    world.register()

    world.go_on(lambda: world.beacon.open is None)
    assert world.beacon.ceremonies == 1
    assert not world.ledger.wants_batches
    world.lies = {}
    for _ in range(INTERVAL):
        world.step()

    assert (world.beacon.ceremonies, world.beacon.open.number) == (2, 2)
    world.go_on(lambda: world.beacon.groups != ())


def test_who_deals_a_wrong_share_is_named_and_left_out() -> None:
    world = BeaconWorld()
    world.lies = {PEERS[0]: deals_wrong_shares}
    world.deal()
    world.next_period()

    assert world.exposed() == {peer_id(PEERS[0])}
    assert [dealing.dealer for dealing in world.beacon.groups[0].dealings] == [2, 3, 4]
    assert world.beacon.has(world.period)
    assert "dealing 1 is wrong" in {outcome.detail for outcome in world.outcomes}


def test_who_complains_falsely_is_named_and_changes_nothing() -> None:
    world = BeaconWorld()
    world.lies = {PEERS[3]: complains_falsely}
    world.deal()
    world.next_period()

    assert world.exposed() == {peer_id(PEERS[3])}
    assert [dealing.dealer for dealing in world.beacon.groups[0].dealings] == [1, 2, 3, 4]
    assert world.beacon.has(world.period)


def test_a_holder_is_heard_once_about_a_dealing() -> None:
    world = opened()
    world.go_on(lambda: world.beacon.open.is_dealt)
    complaints = complains_falsely(world.liar(PEERS[3]), world.beacon, [])
    assert len(complaints) == 4

    first = [world.do(each).code for each in complaints]
    again = [world.do(each).code for each in complaints]

    assert set(first) == {OutcomeCode.INVALID_OPERATION}
    assert set(again) == {OutcomeCode.REPLAYED}
    assert not any(world.verifier.is_wanted(each) for each in complaints)


def test_a_complaint_about_another_dealing_of_the_same_dealer_is_not_heard() -> None:
    """As on a branch of the log that was given up, where a liar had dealt otherwise."""
    world = opened()
    [request] = world.owed(PEERS[0])
    [lie] = deals_wrong_shares(world.liar(PEERS[0]), world.beacon, [request])
    other = BeaconWorld()
    other.register()
    other.run(lie, *(other.owed(member)[0] for member in PEERS[1:4]))
    other.go_on(lambda: other.beacon.open.is_dealt)
    [complaint] = other.owed(PEERS[1])

    world.go_on(lambda: world.beacon.open.is_dealt)

    assert world.do(complaint).code is OutcomeCode.INVALID_OPERATION
    assert world.exposed() == set()
    assert world.beacon.open.transcript.complained == ()


def test_the_key_passes_on_when_members_change_and_stays_the_same() -> None:
    world, key = handed_over()
    old = world.beacon.groups[0]
    world.next_period()

    [group] = world.beacon.groups
    assert group.key.key == key
    assert len(group.ceremony.holders) == 5
    assert world.beacon.has(world.period)
    assert not set(old.key.public_shares) & set(group.key.public_shares)


def test_until_the_new_holders_have_made_a_beacon_the_old_ones_do() -> None:
    world, _ = handed_over()
    old = world.beacon.groups[0]
    world.next_period()
    expected = world.beacon.last
    again, _ = handed_over()
    new = again.beacon.groups[1]
    again.lies = dict.fromkeys(PEERS[:5], lambda liar, beacon, owed: of_group(old.digest, owed))
    again.next_period()

    assert [group.number for group in again.beacon.groups] == [old.number, new.number]
    assert again.beacon.last == expected
    again.lies = {}
    again.next_period()
    assert [group.number for group in again.beacon.groups] == [new.number]


def of_group(digest: bytes, owed: list[bytes]) -> list[bytes]:
    requests = [(each, parse_request(each)) for each in owed]
    return [each for each, said in requests if getattr(said, "group_digest", digest) == digest]


def test_if_new_holders_make_no_beacon_the_old_ones_pass_the_key_on_again() -> None:
    world, key = handed_over()
    old = world.beacon.groups[0]
    number = world.beacon.ceremonies
    world.lies = dict.fromkeys(PEERS[:5], lambda liar, beacon, owed: of_group(old.digest, owed))

    world.next_period(HANDOVER_PERIODS + 1)
    for _ in range(INTERVAL):
        world.step()

    assert [group.number for group in world.beacon.groups] == [old.number]
    assert world.beacon.open.source == old.number
    assert world.beacon.ceremonies == number + 1
    world.lies = {}
    world.go_on(lambda: len(world.beacon.groups) == 2)
    world.next_period()
    assert world.beacon.groups[0].key.key == key


def test_a_ceremony_for_members_that_change_again_opens_anew() -> None:
    world = BeaconWorld(members=PEERS[:5])
    let_vote(world, votes=False)
    world.register()
    world.go_on(lambda: world.beacon.open is not None)
    let_vote(world)

    world.go_on(lambda: world.beacon.ceremonies == 2)

    owners = {PeerId(holder.owner) for holder in world.beacon.open.transcript.ceremony.holders}
    assert owners == {peer_id(member) for member in PEERS[:5]}


def test_shares_and_duties_follow_from_the_rows_after_every_restart() -> None:
    world, restarted = BeaconWorld(), BeaconWorld()
    for each in (world, restarted):
        each.lies = {PEERS[0]: deals_wrong_shares, PEERS[3]: withholds_partials}
        each.register()

    for number in range(40):
        restarted.forget()
        for each in (world, restarted):
            each.step(after_ms=each.genesis.period_ms if number in {33, 36} else STEP_MS)

    assert len(world.beacon.drawn) == 2
    assert restarted.store.rows() == world.store.rows()
    assert world.ledger._state.beacon == world.beacon


def test_a_key_whose_holders_left_without_passing_it_on_is_dealt_anew() -> None:
    world = BeaconWorld(members=PEERS[:7])
    world.register(*PEERS[:4])
    world.go_on(lambda: world.beacon.groups != ())
    [old] = world.beacon.groups
    world.lies = dict.fromkeys(PEERS[:3], is_silent)
    for coming, going in zip(PEERS[4:7], PEERS[:3], strict=True):
        operation = AdmitPeer(
            peer=peer_id(coming), name="new", addresses=(), votes=True, terms=TERMS
        )
        world.do(world.submit(operation))
        world.register(coming)
        world.do(world.submit(RemovePeer(peer=peer_id(going))))
        is_gone = lambda going=going: peer_id(going) not in queries.peer_ids(world.store)  # noqa: E731
        world.go_on(is_gone, after_ms=1)

    world.go_on(lambda: len(world.beacon.groups) == 2 and world.beacon.open is None)
    world.next_period()

    [group] = world.beacon.groups
    assert group.key.key != old.key.key
    assert world.beacon.has(world.period)
