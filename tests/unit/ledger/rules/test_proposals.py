import pytest

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import ClosedProposal, ProposalRecord, ProposalState
from bftcluster.ledger.state.shares import HOUR_MS, Share, Spent, read_share
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import Submit
from bftcluster.signing.approvals import Intent
from tests.unit.ledger.world import World, cid_of, genesis_of, no, yes
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

CID = cid_of(1)


def record_of(world: World, intent: Intent) -> ProposalRecord | ClosedProposal | None:
    return queries.proposal_of(world.store, intent.digest)


@pytest.fixture
def world() -> World:
    """Three of four maintainers decide."""
    return World(genesis_of(policy=policy_of(ALICE, BOB, CAROL, DAVE, threshold=3)))


@pytest.fixture
def intent(world: World) -> Intent:
    """Proposed by Alice."""
    intent = world.intent(PinOperation(cid=CID))
    world.do(world.propose(intent, ALICE))
    return intent


def test_a_proposal_is_pending_with_its_proposers_approval(world: World, intent: Intent) -> None:
    record = record_of(world, intent)

    assert (record.proposer, record.approvers) == (ALICE.public_key, (ALICE.public_key,))
    assert record.proposed_ms == world.now_ms
    assert record.intent == intent
    assert world.ledger.head.proposals_open == 1


def test_approvals_count_up_to_the_threshold_and_then_it_happens(
    world: World, intent: Intent
) -> None:
    second = world.do(yes(intent, BOB))
    assert (second.code, second.detail, second.cid) == (
        OutcomeCode.PENDING,
        "2 of 3 approvals",
        CID,
    )
    assert world.record(CID) is None

    third = world.do(yes(intent, CAROL))

    assert third.code is OutcomeCode.COMMITTED
    assert len(world.record(CID).approvers) == 3
    assert record_of(world, intent).state is ProposalState.EXECUTED
    assert record_of(world, intent).seq == world.ledger.head.seq
    assert world.ledger.head.proposals_open == 0


def test_with_a_threshold_of_one_a_proposal_happens_at_once() -> None:
    world = World(genesis_of(policy=policy_of(ALICE, BOB, threshold=1)))

    intent = world.intent(PinOperation(cid=CID))

    assert world.do(world.propose(intent)).code is OutcomeCode.COMMITTED
    assert world.ledger.head.proposals_open == 0


def test_approving_twice_changes_nothing_and_says_so(world: World, intent: Intent) -> None:
    world.do(yes(intent, BOB))
    before = record_of(world, intent)

    again = world.do(yes(intent, BOB))

    assert (again.code, again.detail) == (OutcomeCode.ALREADY, "2 of 3 approvals")
    assert record_of(world, intent) == before


def test_what_is_pending_survives_a_restart(world: World, intent: Intent) -> None:
    world.reopen()
    assert world.do(yes(intent, BOB)).detail == "2 of 3 approvals"

    world.reopen()
    assert world.do(yes(intent, CAROL)).code is OutcomeCode.COMMITTED


def test_a_maintainer_whose_proposals_are_closed_leaves_no_count_behind(
    world: World, intent: Intent
) -> None:
    def counts() -> list[bytes]:
        rows = world.store.iterate(Space.META, b"", 99)
        return [value for key, value in rows if key.startswith(b"share/")]

    assert len(counts()) == 1

    world.run(yes(intent, BOB), yes(intent, CAROL))

    assert counts() == []


def test_proposing_what_is_proposed_counts_as_an_approval(world: World, intent: Intent) -> None:
    assert world.do(world.propose(intent, BOB)).code is OutcomeCode.PENDING
    assert record_of(world, intent).proposer == ALICE.public_key
    assert world.ledger.head.proposals_open == 1


def test_a_late_approval_of_what_has_happened_is_a_replay(world: World, intent: Intent) -> None:
    world.run(yes(intent, BOB), yes(intent, CAROL))

    assert world.do(yes(intent, DAVE)).code is OutcomeCode.REPLAYED
    assert world.do(no(intent, DAVE)).code is OutcomeCode.REPLAYED


def test_rejections_close_a_proposal_once_the_threshold_is_out_of_reach(
    world: World, intent: Intent
) -> None:
    first = world.do(no(intent, BOB))
    second = world.do(no(intent, CAROL))

    assert (first.code, first.detail) == (OutcomeCode.REJECTION_COUNTED, "1 of 2 rejections")
    assert second.code is OutcomeCode.REJECTED
    assert record_of(world, intent).state is ProposalState.REJECTED
    assert world.ledger.head.proposals_open == 0


def test_a_rejected_intent_is_dead_for_certificates_too(world: World, intent: Intent) -> None:
    world.run(no(intent, BOB), no(intent, CAROL))

    certificate = world.certificate(intent, ALICE, BOB, DAVE)

    assert world.do(Submit(certificate=certificate)).code is OutcomeCode.REPLAYED


def test_a_proposer_alone_withdraws_what_nobody_else_approved(world: World, intent: Intent) -> None:
    withdrawn = world.do(no(intent, ALICE))

    assert (withdrawn.code, withdrawn.detail) == (OutcomeCode.REJECTED, "withdrawn")
    assert world.ledger.head.proposals_open == 0
    assert world.do(yes(intent, BOB)).code is OutcomeCode.REPLAYED


def test_a_proposer_does_not_withdraw_what_others_approved(world: World, intent: Intent) -> None:
    world.do(yes(intent, BOB))

    assert world.do(no(intent, ALICE)).code is OutcomeCode.REJECTION_COUNTED
    assert record_of(world, intent).approvers == (BOB.public_key,)


def test_rejecting_twice_counts_once(world: World, intent: Intent) -> None:
    world.do(no(intent, BOB))

    again = world.do(no(intent, BOB))

    assert (again.code, again.detail) == (OutcomeCode.ALREADY, "rejected already")


def test_a_rejection_takes_the_place_of_an_approval(world: World, intent: Intent) -> None:
    world.do(yes(intent, BOB))

    world.do(no(intent, BOB))

    assert record_of(world, intent).approvers == (ALICE.public_key,)
    assert record_of(world, intent).rejecters == (BOB.public_key,)


def test_an_old_approval_cannot_be_replayed_to_undo_a_rejection(
    world: World, intent: Intent
) -> None:
    earlier = yes(intent, BOB)
    world.run(earlier, no(intent, BOB))

    assert world.do(earlier).code is OutcomeCode.ALREADY_REJECTED
    assert world.do(world.propose(intent, BOB)).code is OutcomeCode.ALREADY_REJECTED


def test_a_stranger_neither_approves_nor_rejects(world: World, intent: Intent) -> None:
    codes = [world.do(vote(intent, MALLORY)).code for vote in (yes, no)]

    assert codes == [OutcomeCode.UNKNOWN_MAINTAINER] * 2


def test_a_vote_on_nothing_is_refused(world: World) -> None:
    unknown = world.intent(PinOperation(cid=CID))

    codes = [world.do(vote(unknown, BOB)).code for vote in (yes, no)]

    assert codes == [OutcomeCode.UNKNOWN_PROPOSAL] * 2


def test_a_certificate_executes_what_is_still_pending_on_the_log(
    world: World, intent: Intent
) -> None:
    certificate = world.certificate(intent, BOB, CAROL, DAVE)

    assert world.do(Submit(certificate=certificate)).code is OutcomeCode.COMMITTED
    assert record_of(world, intent).state is ProposalState.EXECUTED
    assert world.ledger.head.proposals_open == 0


def test_a_certificate_leaves_other_proposals_alone(world: World, intent: Intent) -> None:
    other = world.intent(PinOperation(cid=cid_of(2)))

    world.do(Submit(certificate=world.certificate(other, BOB, CAROL, DAVE)))

    assert isinstance(record_of(world, intent), ProposalRecord)


def test_what_the_state_refuses_stays_open_and_can_be_tried_again(world: World) -> None:
    unpin = world.intent(UnpinOperation(cid=CID))
    world.run(world.propose(unpin, ALICE), yes(unpin, BOB))

    refused = world.do(yes(unpin, CAROL))
    assert refused.code is OutcomeCode.UNKNOWN_PIN
    assert len(record_of(world, unpin).approvals) == 3
    assert world.do(yes(unpin, CAROL)).code is OutcomeCode.UNKNOWN_PIN

    world.do(world.submit(PinOperation(cid=CID), ALICE, BOB, CAROL))
    assert world.do(yes(unpin, CAROL)).code is OutcomeCode.COMMITTED
    assert world.record(CID) is None


def test_a_proposal_expires_with_its_intent(world: World, intent: Intent) -> None:
    late = world.do(yes(intent, BOB), after_ms=DAY_MS)

    assert late.code is OutcomeCode.UNKNOWN_PROPOSAL
    assert record_of(world, intent) is None
    assert world.ledger.head.proposals_open == 0


def test_an_expired_proposal_that_was_not_swept_yet_does_not_count(world: World) -> None:
    intent = world.intent(PinOperation(cid=CID), end_ms=world.now_ms + 500)
    world.do(world.propose(intent))

    assert world.do(yes(intent, BOB), after_ms=500).code is OutcomeCode.EXPIRED


def test_a_closed_proposal_is_forgotten_when_its_intent_expires(
    world: World, intent: Intent
) -> None:
    world.run(yes(intent, BOB), yes(intent, CAROL))

    world.run(after_ms=2 * DAY_MS)

    assert record_of(world, intent) is None
    assert world.store.iterate(Space.DEADLINE, b"", 9) == []
    assert world.ledger.head.proposals_open == 0


SHARE = b"share/" + ALICE.public_key
HOUR = START_MS // HOUR_MS


def give(world: World, share: Share) -> None:
    """Let Alice have proposed this much already."""
    world.store.flush({(Space.META, SHARE): share.to_value()})
    world.reopen()


@pytest.mark.parametrize(
    ("share", "detail"),
    [
        (Share(opened=10_000), "10000 proposals of this maintainer are open"),
        (Share(opened=1, size_bytes=64 << 20), "67108864 bytes of proposals"),
        (Share(rejected=20_000), "20000 proposals of this maintainer were rejected"),
        (
            Share(spent=Spent(hour=HOUR, requests=20_000, counted_ms=START_MS)),
            "20000 proposals of this maintainer came to nothing in this hour",
        ),
        (
            Share(spent=Spent(hour=HOUR, requests=3, size_bytes=128 << 20, counted_ms=START_MS)),
            "3 proposals of this maintainer came to nothing in this hour",
        ),
    ],
)
def test_one_maintainer_cannot_fill_the_state_with_proposals(
    world: World, share: Share, detail: str
) -> None:
    give(world, share)

    refused = world.do(world.propose(world.intent(PinOperation(cid=CID)), ALICE))
    other = world.do(world.propose(world.intent(PinOperation(cid=CID)), BOB))

    assert refused.code is OutcomeCode.TOO_MANY_PROPOSALS
    assert detail in refused.detail
    assert other.code is OutcomeCode.PENDING


def test_a_maintainer_who_proposed_too_much_goes_on_in_the_next_hour(world: World) -> None:
    give(world, Share(spent=Spent(hour=HOUR, requests=20_000)))

    world.run(after_ms=HOUR_MS)

    assert world.do(world.propose(world.intent(PinOperation(cid=CID)))).code is OutcomeCode.PENDING


def test_what_the_others_approve_costs_its_proposer_nothing(world: World, intent: Intent) -> None:
    world.run(yes(intent, BOB), yes(intent, CAROL))

    assert world.store.get(Space.META, SHARE) is None


def test_a_rejected_proposal_counts_against_its_proposer_until_it_expires(
    world: World, intent: Intent
) -> None:
    world.run(no(intent, BOB), no(intent, CAROL))
    closed = read_share(world.store.get(Space.META, SHARE))
    world.run(after_ms=2 * DAY_MS)
    expired = read_share(world.store.get(Space.META, SHARE))

    assert (closed.opened, closed.size_bytes, closed.rejected) == (0, 0, 1)
    assert (expired.opened, expired.rejected) == (0, 0)


def test_a_proposal_that_expires_counts_no_more(world: World, intent: Intent) -> None:
    world.run(after_ms=2 * DAY_MS)

    share = read_share(world.store.get(Space.META, SHARE))
    assert (share.opened, share.size_bytes) == (0, 0)


@pytest.mark.parametrize("closing", [(yes, yes), (no, no)])
def test_a_decided_proposal_leaves_a_small_row(world: World, closing: tuple) -> None:
    metadata = tuple((f"k{i:02}", "v" * 900) for i in range(60))
    large = world.intent(PinOperation(cid=CID, metadata=metadata))
    world.do(world.propose(large, ALICE))

    world.run(*(vote(large, each) for vote, each in zip(closing, (BOB, CAROL), strict=True)))

    assert len(world.store.get(Space.PROPOSAL, large.digest)) < 100


def test_proposing_and_rejecting_for_ever_leaves_bounded_rows() -> None:
    world = World(genesis_of(policy=policy_of(ALICE, BOB, CAROL, threshold=3)))
    metadata = tuple((f"k{i:02}", "v" * 900) for i in range(60))
    for number in range(50):
        alone = world.intent(PinOperation(cid=cid_of(number), metadata=metadata))
        world.run(world.propose(alone, ALICE), no(alone, ALICE))

    rows = world.store.iterate(Space.PROPOSAL, b"", 1000)
    share = read_share(world.store.get(Space.META, SHARE))

    assert sum(len(value) for _, value in rows) < 50 * 100
    assert (share.rejected, share.spent.requests) == (50, 50)


def test_unpinning_takes_as_many_approvals_as_pinning(world: World) -> None:
    world.do(world.submit(PinOperation(cid=CID), ALICE, BOB, CAROL))
    removal = world.intent(UnpinOperation(cid=CID))

    codes = [world.do(world.propose(removal, ALICE)).code, world.do(yes(removal, BOB)).code]
    assert codes == [OutcomeCode.PENDING, OutcomeCode.PENDING]
    assert world.record(CID) is not None

    assert world.do(yes(removal, CAROL)).code is OutcomeCode.COMMITTED
    assert world.record(CID) is None
