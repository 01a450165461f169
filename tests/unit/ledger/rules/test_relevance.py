"""What could change nothing has no place in the order."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.shares import HOUR_MS, Share, Spent
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import (
    Propose,
    ReportEvidence,
    Request,
    Submit,
)
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.limits import (
    PEER_REQUESTS_PER_HOUR_MAX,
    PEER_SIZE_PER_HOUR_MAX_BYTES,
    PROPOSALS_PER_MAINTAINER_MAX,
    SEEN_INTENTS_MAX,
)
from bftcluster.pbft import Evidence
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, no, peer_id, yes
from tests.unit.signing.people import (
    ALICE,
    BOB,
    CAROL,
    DAY_MS,
    MAINTAINERS,
    MALLORY,
    START_MS,
    VERIFIER,
    policy_of,
)

PIN = PinOperation(cid=cid_of(1))
STRANGER = PEERS[5]


@pytest.fixture
def world() -> World:
    """Two of three maintainers decide."""
    return World()


class Counting:
    """Remembers whose signatures it was asked about."""

    def __init__(self) -> None:
        self.verified: list[bytes] = []

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.verified.append(public_key)
        return VERIFIER.verify(public_key, message, signature)


def code(world: World, request: Request) -> OutcomeCode | None:
    """What the world says of a request that it does not want; its bytes must be in order."""
    data = request.to_bytes()
    assert world.verifier.admissible(data)
    refusal = world.verifier.refusal(data)
    assert world.verifier.is_wanted(data) == (refusal is None)
    return None if refusal is None else refusal.code


def agreed(world: World, request: Request) -> OutcomeCode | None:
    """The same, and the ledger would have said the same if it had been ordered."""
    said = code(world, request)
    assert said is None or world.do(request).code is said
    return said


def foreign_policy(world: World) -> Intent:
    """An intent under a policy that never was."""
    return replace(world.intent(PIN), policy_version=99, policy_hash=Digest(bytes(32)), encoded=b"")


def contradiction(world: World, culprit: SigningKey, epoch: int = 0) -> ReportEvidence:
    def vote(digest: bytes) -> Vote:
        where = (Epoch(epoch), View(0), Seq(3), Digest(digest), ReplicaId(culprit.public_key))
        payload = vote_payload(world.genesis.cluster_id, *where)
        return Vote(VoteKind.PREPARE, *where, sign(culprit, DOMAINS[VoteKind.PREPARE], payload))

    return ReportEvidence(evidence=Evidence(vote(b"a" * 32), vote(b"b" * 32)).to_bytes())


def test_what_is_new_and_signed_by_those_who_may_is_wanted(world: World) -> None:
    intent = world.intent(PIN)
    wanted = [
        world.submit(PIN),
        world.propose(intent),
        world.join(PEERS[0]),
        contradiction(world, PEERS[1]),
    ]
    assert [code(world, request) for request in wanted] == [None] * 4

    world.run(world.propose(intent), world.join(PEERS[0]))
    later = [yes(intent, BOB), no(intent, BOB), no(intent, ALICE), world.report(PEERS[0])]
    assert [code(world, request) for request in later] == [None] * 4


def test_a_stranger_orders_nothing(world: World) -> None:
    intent = world.intent(PIN)
    world.do(world.propose(intent))

    refused = [
        yes(intent, MALLORY),
        no(intent, MALLORY),
        world.join(STRANGER),
        world.report(STRANGER, cid_of(1)),
    ]

    assert [agreed(world, request) for request in refused] == [
        OutcomeCode.UNKNOWN_MAINTAINER,
        OutcomeCode.UNKNOWN_MAINTAINER,
        OutcomeCode.NOT_ADMITTED,
        OutcomeCode.NOT_ADMITTED,
    ]
    assert not world.verifier.admissible(world.propose(world.intent(PIN), MALLORY).to_bytes())


def test_nothing_under_a_policy_that_never_was_is_wanted(world: World) -> None:
    intent = foreign_policy(world)
    submit = replace(world.submit(PIN).certificate, intent=intent.to_bytes())
    proposal = Propose(intent=intent.to_bytes(), approval=approve(intent.to_bytes(), MALLORY))

    said = [agreed(world, request) for request in (Submit(certificate=submit), proposal)]

    assert said == [OutcomeCode.WRONG_POLICY] * 2


def test_a_vote_whose_signature_is_wrong_is_inadmissible_whatever_the_state(world: World) -> None:
    intent = world.intent(PIN)
    ignorant = ApprovalVerifier(world.genesis.cluster_id, VERIFIER)
    forged = [
        replace(yes(intent, BOB), approval=no(intent, BOB).approval),
        replace(no(intent, BOB), approval=yes(intent, BOB).approval),
        replace(yes(intent, BOB), intent_digest=Digest(bytes(32))),
        replace(yes(intent, BOB), scheme="another"),
        replace(world.propose(intent), scheme="another"),
        replace(world.propose(intent), approval=approve(b"other", ALICE)),
    ]

    assert not any(ignorant.admissible(request.to_bytes()) for request in forged)
    assert ignorant.admissible(yes(intent, BOB).to_bytes())


def test_a_vote_is_verified_once(world: World) -> None:
    counting = Counting()
    world.verifier = ApprovalVerifier(world.genesis.cluster_id, counting)
    world.ledger = Ledger(world.genesis, world.store, world.verifier)
    intent = world.intent(PIN)
    for request in (world.propose(intent, ALICE), yes(intent, BOB)):
        for _ in range(3):
            assert code(world, request) is None
        assert world.do(request).is_accepted

    assert counting.verified == [ALICE.public_key, BOB.public_key]


def test_what_was_used_is_not_wanted_again(world: World) -> None:
    submit, proposed = world.submit(PIN), world.intent(UnpinOperation(cid=cid_of(1)))
    world.run(submit, world.propose(proposed, ALICE), yes(proposed, BOB))
    again = [submit, world.propose(proposed, CAROL), yes(proposed, CAROL), no(proposed, CAROL)]

    assert [agreed(world, request) for request in again] == [OutcomeCode.REPLAYED] * 4

    world.reopen()
    assert [agreed(world, request) for request in again] == [OutcomeCode.REPLAYED] * 4


def test_what_has_expired_is_not_wanted(world: World) -> None:
    intent = world.intent(PIN)
    submit = world.submit(PIN)
    world.do(world.propose(intent))
    world.ledger._state.head = replace(world.ledger.head, timestamp_ms=START_MS + 2 * DAY_MS)

    said = [code(world, request) for request in (submit, yes(intent, BOB), world.propose(intent))]

    assert said == [OutcomeCode.EXPIRED] * 3


def test_votes_that_are_counted_already_are_not_wanted() -> None:
    world = World(genesis_of(policy=policy_of(*MAINTAINERS, threshold=3)))
    intent = world.intent(PIN)
    world.run(world.propose(intent), world.propose(other := world.intent(PIN)))
    world.do(yes(intent, BOB))

    assert agreed(world, yes(intent, BOB)) is OutcomeCode.ALREADY
    assert agreed(world, world.propose(intent, ALICE)) is OutcomeCode.ALREADY
    world.do(no(other, BOB))
    assert agreed(world, yes(other, BOB)) is OutcomeCode.REPLAYED


def test_who_rejected_neither_rejects_nor_approves_again(world: World) -> None:
    intent = world.intent(PIN)
    world.run(world.propose(intent), no(intent, BOB))

    assert agreed(world, no(intent, BOB)) is OutcomeCode.ALREADY
    assert agreed(world, yes(intent, BOB)) is OutcomeCode.ALREADY_REJECTED


def test_a_vote_on_nothing_is_not_wanted_until_its_proposal_comes(world: World) -> None:
    intent = world.intent(PIN)
    assert code(world, yes(intent, BOB)) is OutcomeCode.UNKNOWN_PROPOSAL

    proposal = world.propose(intent)
    assert world.verifier.is_wanted(proposal.to_bytes())

    assert code(world, yes(intent, BOB)) is None


def test_a_vote_is_owed_once_its_proposal_is_on_the_log(world: World) -> None:
    """Until then a primary that the proposal never reached does not want it."""
    intent = world.intent(PIN)
    proposal, vote = world.propose(intent), yes(intent, BOB).to_bytes()
    assert world.verifier.is_wanted(proposal.to_bytes())
    assert world.verifier.is_owed(proposal.to_bytes())
    assert not world.verifier.is_owed(vote)

    world.do(proposal)

    assert world.verifier.is_owed(vote)


def test_a_proposal_that_is_not_at_hand_is_found(world: World) -> None:
    intent = world.intent(PIN)
    world.do(world.propose(intent))
    world.reopen()

    assert code(world, yes(intent, BOB)) is None
    assert agreed(world, no(intent, MALLORY)) is OutcomeCode.UNKNOWN_MAINTAINER


def test_what_the_state_refused_is_wanted_again_once_the_state_has_changed(world: World) -> None:
    unpin = world.submit(UnpinOperation(cid=cid_of(1)))
    assert world.do(unpin).code is OutcomeCode.UNKNOWN_PIN

    others = Submit(certificate=replace(unpin.certificate, signers=b"\x05"))
    assert world.verifier.refusal(unpin.to_bytes()).code is OutcomeCode.UNKNOWN_PIN
    assert world.verifier.refusal(others.to_bytes()).code is OutcomeCode.UNKNOWN_PIN

    world.do(world.submit(PIN))
    assert code(world, unpin) is None


def test_an_announcement_must_say_something_newer(world: World) -> None:
    assert agreed(world, world.report(PEERS[0])) is OutcomeCode.NOT_ADMITTED
    world.do(world.join(PEERS[0], counter=7))

    assert agreed(world, world.join(PEERS[0], counter=7)) is OutcomeCode.REPLAYED
    assert agreed(world, world.report(PEERS[0], counter=6)) is OutcomeCode.REPLAYED
    assert code(world, world.report(PEERS[0], counter=8)) is None


@pytest.mark.parametrize(
    "spent",
    [
        {"requests": PEER_REQUESTS_PER_HOUR_MAX},
        {"requests": 1, "size_bytes": PEER_SIZE_PER_HOUR_MAX_BYTES},
    ],
)
def test_a_peer_that_announced_too_much_waits_for_the_next_hour(
    world: World, spent: dict[str, int]
) -> None:
    world.do(world.join(PEERS[0]))
    record = queries.peer_of(world.store, peer_id(PEERS[0]))
    used = Spent(hour=START_MS // HOUR_MS, counted_ms=START_MS, **spent)
    world.store.flush({(Space.PEER, record.peer): replace(record, spent=used).to_value()})
    world.reopen()

    assert agreed(world, world.join(PEERS[0])) is OutcomeCode.TOO_MUCH
    assert agreed(world, world.report(PEERS[0])) is OutcomeCode.TOO_MUCH
    assert code(world, world.join(PEERS[1])) is None

    world.run(after_ms=HOUR_MS)
    assert world.do(world.report(PEERS[0])).is_accepted


def test_the_first_report_about_a_pin_is_free_and_a_repeated_one_is_not(world: World) -> None:
    world.join_all()
    cids = [cid_of(number) for number in range(50)]
    for cid in cids:
        world.pin(cid)

    def spent() -> int:
        return queries.peer_of(world.store, peer_id(PEERS[0])).spent.size_bytes

    before = spent()
    world.do(world.report(PEERS[0], *cids))
    first, size = spent() - before, len(world.report(PEERS[0], *cids).payload)
    world.do(world.report(PEERS[0], *cids))

    assert first < 300
    assert spent() - before - first >= size


def test_a_maintainer_with_too_much_on_the_log_proposes_nothing_more(world: World) -> None:
    share = Share(opened=PROPOSALS_PER_MAINTAINER_MAX)
    world.store.flush({(Space.META, b"share/" + ALICE.public_key): share.to_value()})
    world.reopen()
    intent = world.intent(PIN)

    assert agreed(world, world.propose(intent, ALICE)) is OutcomeCode.TOO_MANY_PROPOSALS
    assert code(world, yes(intent, ALICE)) is OutcomeCode.UNKNOWN_PROPOSAL
    assert code(world, world.propose(intent, BOB)) is None
    assert code(world, world.submit(PIN)) is None


def test_evidence_is_taken_once_and_against_voters_only(world: World) -> None:
    assert agreed(world, contradiction(world, PEERS[6])) is OutcomeCode.UNKNOWN_PEER
    assert agreed(world, contradiction(world, PEERS[1], epoch=3)) is OutcomeCode.UNKNOWN_PEER
    world.do(contradiction(world, PEERS[1]))

    assert agreed(world, contradiction(world, PEERS[1])) is OutcomeCode.ALREADY


def test_what_is_new_is_known_to_be_new_without_the_disk(world: World) -> None:
    reads: list[Space] = []

    def read(space: Space, key: bytes) -> bytes | None:
        reads.append(space)
        return world.store.get(space, key)

    world.join_all()
    world.verifier = ApprovalVerifier(world.genesis.cluster_id, VERIFIER)
    world.ledger = Ledger(world.genesis, world.store, world.verifier, read=read)
    intent = world.intent(PIN)
    fresh = [world.submit(PIN), world.propose(intent), world.join(PEERS[0]), yes(intent, BOB)]

    assert [code(world, request) for request in fresh[:3]] == [None] * 3
    world.do(fresh[1])
    assert code(world, fresh[3]) is None
    assert reads == []


def test_an_intent_from_before_our_memory_is_looked_up(world: World) -> None:
    first = world.submit(PIN)
    world.do(first)
    seen = world.ledger._state.seen
    for number in range(2 * SEEN_INTENTS_MAX + 1):
        seen.note(Digest(number.to_bytes(32, "little")), world.now_ms + 1000)

    assert agreed(world, first) is OutcomeCode.REPLAYED


def test_what_is_asked_of_a_batch_does_not_depend_on_the_state(world: World) -> None:
    lags = ApprovalVerifier(world.genesis.cluster_id, VERIFIER)
    lags.learn(world.genesis.policy)
    intent = world.intent(PIN)
    ahead = [yes(intent, BOB), world.join(STRANGER), world.report(STRANGER), world.submit(PIN)]

    assert all(lags.admissible(request.to_bytes()) for request in ahead)
    assert PeerId(STRANGER.public_key) not in world.ledger._state.peers


def test_two_states_in_one_process_share_signatures_and_not_opinions(world: World) -> None:
    counting = Counting()
    first = ApprovalVerifier(world.genesis.cluster_id, counting)
    second = first.sibling()
    ahead, behind = World(), World()
    Ledger(ahead.genesis, ahead.store, first)
    Ledger(behind.genesis, behind.store, second)
    request = ahead.join(PEERS[0], counter=5).to_bytes()
    ahead.do(request)
    Ledger(ahead.genesis, ahead.store, first)

    assert first.admissible(request)
    assert second.admissible(request)
    assert counting.verified == [PEERS[0].public_key]
    assert not first.is_wanted(request)
    assert second.is_wanted(request)
