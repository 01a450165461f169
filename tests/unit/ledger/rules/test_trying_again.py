"""What was refused is tried again at the pace of its intent, whoever sends which request of it."""

from itertools import combinations

import pytest

from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import Approve, Submit
from bftcluster.limits import DECIDED_AGAIN_MS, TRIED_AGAIN_PACE_MS
from bftcluster.signing.approvals import Intent, approve
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of
from tests.unit.signing.people import ALICE, BOB, CAROL, DAVE, DAY_MS, policy_of

PEOPLE = (ALICE, BOB, CAROL, DAVE)
PIN = PinOperation(cid=cid_of(1))
UNPIN = UnpinOperation(cid=cid_of(1))
MINUTES = 10


@pytest.fixture
def world() -> World:
    """Three of four maintainers decide; the first peer has joined."""
    world = World(genesis_of(policy=policy_of(*PEOPLE, threshold=3)))
    assert world.do(world.join(PEERS[0])).is_accepted
    return world


def submits(world: World, intent: Intent) -> list[bytes]:
    """Each choice of enough signers is a request of its own."""
    choices = [*combinations(PEOPLE, 3), PEOPLE]
    return [Submit(certificate=world.certificate(intent, *choice)).to_bytes() for choice in choices]


def votes(world: World, intent: Intent) -> list[bytes]:
    data = intent.to_bytes()
    yes = [Approve(intent_digest=intent.digest, approval=approve(data, who)) for who in PEOPLE]
    return [each.to_bytes() for each in (*yes, *(world.propose(intent, who) for who in PEOPLE))]


def ordered(world: World, requests: list[bytes]) -> list[OutcomeCode]:
    """Hand in each of them, as a correct primary would order it: only if the state wants it."""
    return [world.do(each).code for each in requests if world.verifier.is_wanted(each)]


def ordered_in_time(world: World, requests: list[bytes], *, is_idle: bool) -> list[OutcomeCode]:
    """Hand in each every ten seconds, for ten minutes; others let the time go on, or nobody."""
    codes: list[OutcomeCode] = []
    for _ in range(MINUTES * 60_000 // DECIDED_AGAIN_MS):
        if is_idle:
            world.now_ms += DECIDED_AGAIN_MS
        else:
            world.run(world.join(PEERS[0]), after_ms=DECIDED_AGAIN_MS)
        codes += ordered(world, requests)
    return codes


@pytest.mark.parametrize("is_idle", [True, False])
def test_an_intent_of_the_far_future_is_ordered_once_a_minute_at_most(
    world: World, is_idle: bool
) -> None:
    begin_ms = world.now_ms + 300 * DAY_MS
    intent = world.intent(PIN, begin_ms=begin_ms, end_ms=begin_ms + DAY_MS)
    requests = submits(world, intent) + votes(world, intent)

    codes = ordered_in_time(world, requests, is_idle=is_idle)

    assert set(codes) == {OutcomeCode.NOT_YET_VALID}
    assert len(codes) <= MINUTES + 5


@pytest.mark.parametrize("is_idle", [True, False])
def test_what_the_state_refuses_is_ordered_once_a_minute_at_most(
    world: World, is_idle: bool
) -> None:
    intent = world.intent(UNPIN)
    first = [world.propose(intent, ALICE), *votes(world, intent)[1:4]]
    assert world.run(*first).outcomes[-1].code is OutcomeCode.UNKNOWN_PIN

    codes = ordered_in_time(world, submits(world, intent) + votes(world, intent), is_idle=is_idle)

    assert set(codes) <= {OutcomeCode.UNKNOWN_PIN}
    assert len(codes) <= MINUTES + 5


def test_who_was_refused_once_may_try_again_as_soon_as_anything_has_happened(world: World) -> None:
    requests = submits(world, world.intent(UNPIN))
    assert ordered(world, requests) == [OutcomeCode.UNKNOWN_PIN]

    world.do(world.submit(PIN, ALICE, BOB, CAROL))

    assert ordered(world, requests[:1]) == [OutcomeCode.COMMITTED]


def test_what_was_refused_often_is_taken_a_minute_after_the_last_time(world: World) -> None:
    requests = submits(world, world.intent(UNPIN))
    assert OutcomeCode.UNKNOWN_PIN in ordered_in_time(world, requests, is_idle=False)

    world.run(world.submit(PIN, ALICE, BOB, CAROL), after_ms=TRIED_AGAIN_PACE_MS)

    assert ordered(world, requests[:1]) == [OutcomeCode.COMMITTED]


def test_what_came_a_little_early_is_taken_in_an_idle_cluster_once_it_is_valid(
    world: World,
) -> None:
    begin_ms = world.now_ms + TRIED_AGAIN_PACE_MS // 2
    requests = submits(world, world.intent(PIN, begin_ms=begin_ms))
    assert OutcomeCode.NOT_YET_VALID in ordered(world, requests)

    world.now_ms = begin_ms

    assert ordered(world, requests[:1]) == [OutcomeCode.COMMITTED]


def test_what_is_valid_by_the_time_of_the_log_does_not_wait(world: World) -> None:
    begin_ms = world.now_ms + DAY_MS
    requests = submits(world, world.intent(PIN, begin_ms=begin_ms))
    for _ in range(3):
        ordered(world, requests)
    assert not world.verifier.is_wanted(requests[0])

    world.run(after_ms=DAY_MS)

    assert ordered(world, requests[:1]) == [OutcomeCode.COMMITTED]


def test_a_vote_on_what_was_refused_is_held_against_no_primary_soon_after_a_restart(
    world: World,
) -> None:
    """The primary may remember when, and wait."""
    intent = world.intent(UNPIN)
    vote = votes(world, intent)[0]
    world.run(world.propose(intent, ALICE), *votes(world, intent)[1:3])
    world.reopen()

    assert world.verifier.is_wanted(vote)
    assert not world.verifier.is_owed(vote)
    assert world.verifier.is_owed(submits(world, world.intent(PIN))[0])
    world.run(after_ms=TRIED_AGAIN_PACE_MS)
    assert world.verifier.is_owed(vote)


def test_what_came_early_twice_is_taken_once_it_is_valid_though_the_head_has_moved_since(
    world: World,
) -> None:
    begin_ms = world.now_ms + TRIED_AGAIN_PACE_MS // 2
    requests = submits(world, world.intent(PIN, begin_ms=begin_ms))
    for _ in range(2):
        world.now_ms += DECIDED_AGAIN_MS
        assert ordered(world, requests[:1]) == [OutcomeCode.NOT_YET_VALID]
    world.run(world.join(PEERS[0]))

    world.now_ms = begin_ms

    assert ordered(world, requests[:1]) == [OutcomeCode.COMMITTED]


@pytest.mark.parametrize("is_idle", [True, False])
def test_votes_on_a_proposal_that_was_refused_come_at_its_pace(world: World, is_idle: bool) -> None:
    begin_ms = world.now_ms + 300 * DAY_MS
    intent = world.intent(PIN, begin_ms=begin_ms, end_ms=begin_ms + DAY_MS)
    proposal, *_ = votes(world, intent)[len(PEOPLE) :]

    codes = ordered_in_time(
        world, [proposal, *votes(world, intent)[: len(PEOPLE)]], is_idle=is_idle
    )

    tries = codes.count(OutcomeCode.NOT_YET_VALID)
    assert tries <= MINUTES + 5
    assert codes.count(OutcomeCode.UNKNOWN_PROPOSAL) <= len(PEOPLE) * tries


def test_a_vote_that_comes_with_another_try_of_its_proposal_is_wanted(world: World) -> None:
    intent = world.intent(PIN, begin_ms=world.now_ms + DAY_MS)
    proposal, vote = world.propose(intent, ALICE).to_bytes(), votes(world, intent)[1]
    assert ordered(world, [proposal]) == [OutcomeCode.NOT_YET_VALID]
    assert not world.verifier.is_wanted(vote)
    world.run(after_ms=DAY_MS)

    assert world.verifier.is_wanted(proposal)
    assert world.verifier.is_wanted(vote)
