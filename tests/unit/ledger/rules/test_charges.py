"""What is ordered and refused is charged to whoever signed it, and silences nobody."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.peer_reports import refusal_by
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.shares import HOUR_MS, Share, Spent
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import (
    HolderStatus,
    Propose,
    ReportEntry,
    ReportPinned,
    Request,
)
from bftcluster.limits import (
    DECIDED_AGAIN_MS,
    PEER_REQUESTS_PER_HOUR_MAX,
    PEER_SIZE_PER_HOUR_MAX_BYTES,
    PROPOSALS_PER_HOUR_MAX,
    PROPOSALS_SIZE_PER_HOUR_MAX_BYTES,
    SHARE_USED_UP_PACE_MS,
)
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, no, resigned, yes
from tests.unit.signing.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    DAY_MS,
    MALLORY,
    START_MS,
    policy_of,
)

HOUR = START_MS // HOUR_MS
PEER = PEERS[0]
PIN = PinOperation(cid=cid_of(1))
BULKY = PinOperation(cid=cid_of(1), metadata=tuple((f"k{i:02}", "v" * 900) for i in range(60)))
LINES = tuple(
    ReportEntry(cid_of(f"unknown {number}"), HolderStatus.PIN_ERROR, "e" * 128)
    for number in range(1000)
)


@pytest.fixture
def world() -> World:
    """Three of four maintainers decide; the first peer has joined."""
    world = World(genesis_of(policy=policy_of(ALICE, BOB, CAROL, DAVE, threshold=3)))
    assert world.do(world.join(PEER)).is_accepted
    return world


def spent_by(world: World, peer: SigningKey = PEER) -> Spent:
    return queries.peer_of(world.store, peer.public_key).spent


def share_of(world: World, maintainer: SigningKey) -> Share:
    return world.ledger._state.share(maintainer.public_key)


def give(world: World, spent: Spent) -> None:
    """Let the peer and Alice have used up that much."""
    key = (Space.PEER, PEER.public_key)
    record = replace(queries.peer_of(world.store, PEER.public_key), spent=spent)
    share = Share(spent=spent).to_value()
    world.store.flush({key: record.to_value(), (Space.META, b"share/" + ALICE.public_key): share})
    world.reopen()


def code_if_wanted(world: World, request: Request) -> OutcomeCode | None:
    """Order a request as a correct primary would: only if the state wants it."""
    data = request.to_bytes()
    assert world.verifier.admissible(data)
    return world.do(data).code if world.verifier.is_wanted(data) else None


def test_an_announcement_far_ahead_of_the_time_is_charged_to_its_peer(world: World) -> None:
    before = spent_by(world)
    early = world.report(PEER, *LINES, counter=world.now_ms + 400 * DAY_MS)

    assert world.do(early).code is OutcomeCode.NOT_YET_VALID

    after = spent_by(world)
    assert after.requests == before.requests + 1
    assert after.size_bytes == before.size_bytes + len(early.payload)


def test_announcements_in_a_falling_order_are_each_charged(world: World) -> None:
    """All of them were wanted when they were proposed: they are in one batch."""
    before = spent_by(world)
    newest = world.report(PEER, counter=100)
    older = [world.report(PEER, *LINES, counter=counter) for counter in (99, 98, 97, 96)]

    codes = [outcome.code for outcome in world.run(newest, *older).outcomes]

    assert codes == [OutcomeCode.RECORDED] + [OutcomeCode.REPLAYED] * 4
    size_bytes = sum(len(request.payload) for request in (newest, *older))
    assert spent_by(world).size_bytes == before.size_bytes + size_bytes


def test_a_report_before_the_join_is_charged(world: World) -> None:
    assert world.do(world.report(PEERS[1], *LINES)).code is OutcomeCode.NOT_ADMITTED

    assert spent_by(world, PEERS[1]).size_bytes > 100_000


def far_ahead(world: World) -> Iterator[ReportPinned]:
    counter = world.now_ms + 400 * DAY_MS
    while True:
        counter += 1
        yield world.report(PEER, *LINES, counter=counter)


def not_valid_for_long(world: World) -> Iterator[Propose]:
    while True:
        begin_ms = world.now_ms + 300 * DAY_MS
        yield world.propose(world.intent(BULKY, begin_ms=begin_ms), ALICE)


def about_to_expire(world: World) -> Iterator[Propose]:
    """By the time that each is executed, it is too late."""
    while True:
        now_ms = world.now_ms
        intent = world.intent(BULKY, begin_ms=now_ms - 1, end_ms=now_ms + 1)
        yield world.propose(intent, ALICE)


@pytest.mark.parametrize(
    ("flood", "most"),
    [
        (far_ahead, PEER_SIZE_PER_HOUR_MAX_BYTES),
        (not_valid_for_long, PROPOSALS_SIZE_PER_HOUR_MAX_BYTES),
        (about_to_expire, PROPOSALS_SIZE_PER_HOUR_MAX_BYTES),
    ],
)
def test_nobody_fills_the_log_with_what_is_refused(
    world: World, flood: Callable[[World], Iterator[Request]], most: int
) -> None:
    give(world, Spent(hour=HOUR, requests=1, size_bytes=most - 500_000))
    ordered = 0
    for _, request in zip(range(20), flood(world), strict=False):
        code = code_if_wanted(world, request)
        assert code in (None, OutcomeCode.NOT_YET_VALID, OutcomeCode.EXPIRED)
        ordered += len(request.to_bytes()) if code else 0

    assert 300_000 < ordered < 700_000
    ever_since = [code_if_wanted(world, next(flood(world))) for _ in range(3)]
    world.run(after_ms=2 * SHARE_USED_UP_PACE_MS)
    ever_since += [code_if_wanted(world, next(flood(world))) for _ in range(3)]
    assert ever_since == [None] * 6


@pytest.mark.parametrize(
    ("again", "code"),
    [
        (lambda world, intent: world.propose(intent, ALICE), OutcomeCode.ALREADY),
        (lambda world, intent: yes(intent, ALICE), OutcomeCode.ALREADY),
        (lambda world, intent: no(intent, DAVE), OutcomeCode.ALREADY),
        (lambda world, intent: yes(intent, DAVE), OutcomeCode.ALREADY_REJECTED),
        (lambda world, intent: yes(world.intent(PIN), ALICE), OutcomeCode.UNKNOWN_PROPOSAL),
    ],
    ids=["proposed", "approved", "rejected", "approved after a no", "a vote on nothing"],
)
def test_a_vote_that_comes_to_nothing_is_charged_to_its_maintainer(
    world: World, again: Callable[[World, Intent], Request], code: OutcomeCode
) -> None:
    intent = world.intent(BULKY)
    world.run(world.propose(intent, ALICE), no(intent, DAVE))
    request = again(world, intent)
    signer = DAVE if request.approval.maintainer == DAVE.public_key else ALICE
    before = share_of(world, signer).spent.requests

    assert world.do(request).code is code

    assert share_of(world, signer).spent.requests == before + 1


def test_votes_on_what_is_decided_are_charged(world: World) -> None:
    intent = world.intent(BULKY)
    world.run(world.propose(intent, ALICE), no(intent, ALICE))
    before = share_of(world, ALICE).spent

    late = [world.propose(intent, ALICE), yes(intent, ALICE), no(intent, ALICE)]
    codes = [outcome.code for outcome in world.run(*late).outcomes]

    assert codes == [OutcomeCode.REPLAYED] * 3
    after = share_of(world, ALICE).spent
    assert after.requests == before.requests + 3
    assert after.size_bytes == before.size_bytes + len(intent.encoded)


def test_trying_again_what_the_state_refuses_is_charged_to_nobody(world: World) -> None:
    intent = world.intent(UnpinOperation(cid=cid_of(1)))
    world.run(world.propose(intent, ALICE), yes(intent, BOB))

    for _ in range(2):
        assert world.do(yes(intent, CAROL)).code is OutcomeCode.UNKNOWN_PIN
    assert share_of(world, CAROL) == Share()

    full = Share(spent=Spent(hour=HOUR, requests=PROPOSALS_PER_HOUR_MAX))
    world.store.flush({(Space.META, b"share/" + CAROL.public_key): full.to_value()})
    world.reopen()
    assert world.verifier.is_wanted(yes(intent, CAROL).to_bytes())


def test_what_somebody_did_not_sign_is_not_charged_to_it(world: World) -> None:
    before = spent_by(world)
    forged = resigned(world.join(PEER, counter=1), world.join(PEERS[1]).signature)
    intent = world.intent(PIN, begin_ms=world.now_ms + DAY_MS)
    approval = replace(approve(intent.to_bytes(), MALLORY), maintainer=ALICE.public_key)
    proposal = Propose(intent=intent.to_bytes(), approval=approval)

    codes = [outcome.code for outcome in world.run(forged, proposal).outcomes]

    assert codes == [OutcomeCode.BAD_SIGNATURE, OutcomeCode.NOT_YET_VALID]
    assert spent_by(world) == before
    assert share_of(world, ALICE) == Share()


def test_a_peer_whose_words_are_repeated_by_others_is_slowed_and_not_silenced(
    world: World,
) -> None:
    """A faulty primary has what a peer once signed ordered until the peer's share is used up."""
    repeated = world.report(PEER, *LINES)
    world.do(repeated)
    for _ in range(3):
        world.run(*[repeated] * 80)
    assert spent_by(world).size_bytes >= PEER_SIZE_PER_HOUR_MAX_BYTES
    assert code_if_wanted(world, world.report(PEER)) is None

    for _ in range(5):
        world.run(*[repeated] * 3, after_ms=SHARE_USED_UP_PACE_MS)
        assert code_if_wanted(world, world.report(PEER)) is OutcomeCode.RECORDED
        assert code_if_wanted(world, world.report(PEER)) is None


def test_a_maintainer_whose_words_are_repeated_by_others_is_slowed_and_not_silenced(
    world: World,
) -> None:
    repeated = world.propose(world.intent(PIN), ALICE)
    world.do(repeated)
    give(world, Spent(hour=HOUR, requests=PROPOSALS_PER_HOUR_MAX, counted_ms=world.now_ms))
    others = world.intent(PIN)
    world.do(world.propose(others, BOB))
    assert code_if_wanted(world, world.propose(world.intent(PIN), ALICE)) is None
    assert code_if_wanted(world, yes(others, ALICE)) is OutcomeCode.PENDING

    for _ in range(5):
        world.run(*[repeated] * 3, after_ms=SHARE_USED_UP_PACE_MS)
        proposal = world.propose(world.intent(PIN), ALICE)
        assert code_if_wanted(world, proposal) is OutcomeCode.PENDING
        assert code_if_wanted(world, world.propose(world.intent(PIN), ALICE)) is None


def test_whoever_has_used_up_its_share_is_heard_only_with_what_counts(world: World) -> None:
    give(world, Spent(hour=HOUR, requests=PEER_REQUESTS_PER_HOUR_MAX))
    record = world.ledger._state.peers[PEER.public_key]
    now_ms = world.ledger.head.timestamp_ms
    stale, early = (world.report(PEER, counter=each) for each in (1, now_ms + 2 * DAY_MS))
    fresh = world.report(PEER, counter=now_ms)
    ahead = world.intent(PIN, begin_ms=now_ms + 1)
    short = world.intent(PIN, end_ms=now_ms + SHARE_USED_UP_PACE_MS)

    said = [refusal_by(record, request, now_ms) for request in (stale, early, fresh)]

    assert [None if each is None else each.code for each in said] == [
        OutcomeCode.TOO_MUCH,
        OutcomeCode.TOO_MUCH,
        None,
    ]
    for intent, is_wanted in ((ahead, False), (short, False), (world.intent(PIN), True)):
        assert world.verifier.is_wanted(world.propose(intent, ALICE).to_bytes()) is is_wanted


def test_what_others_send_again_uses_up_no_maintainers_share(world: World) -> None:
    """Votes are public: who has read one may hand it in again, and has it tried once a minute."""
    intents = [world.intent(PinOperation(cid=cid_of(n), replication_min=3)) for n in range(10)]
    for intent in intents:
        world.run(world.propose(intent), yes(intent, BOB), yes(intent, CAROL))
    before = share_of(world, CAROL).spent.requests

    for _ in range(60):
        world.run(world.join(PEER), after_ms=DECIDED_AGAIN_MS)
        for intent in intents:
            code_if_wanted(world, yes(intent, CAROL))

    assert share_of(world, CAROL).spent.requests <= before + 10 * len(intents)
