"""What of a peer's words about audits counts: once, in time, about itself, or as a voter."""

from dataclasses import replace

import pytest

from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.ledger.wire.audit_requests import (
    AnswerLine,
    PledgeLine,
    SightLine,
    make_answer,
    make_attest,
    make_pledge,
)
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.limits import PEER_REQUESTS_PER_HOUR_MAX
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.audits import AuditWorld, silent
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id
from tests.unit.signing.people import key

DIGEST = bytes(range(32))


@pytest.fixture
def world() -> AuditWorld:
    world = AuditWorld(pins=1, copies=4)
    world.draw()
    return world


def pledge(world: AuditWorld, peer: SigningKey, audit: Challenge, mark: bytes = b"") -> bytes:
    line = PledgeLine(audit.number, mark or audit.mark, DIGEST)
    return make_pledge(peer, world.genesis.cluster_id, [line]).to_bytes()


def lacks(world: AuditWorld, peer: SigningKey, audit: Challenge) -> bytes:
    line = AnswerLine(audit.number, audit.mark, b"", b"")
    return make_answer(peer, world.genesis.cluster_id, [line]).to_bytes()


def sight(
    world: AuditWorld, voter: SigningKey, audit: Challenge, place: int, *, asked: int = 0
) -> bytes:
    line = SightLine(audit.number, audit.mark, asked or audit.asked_times, place, DIGEST)
    return make_attest(voter, world.genesis.cluster_id, [line]).to_bytes()


def refused(world: AuditWorld, request: bytes) -> OutcomeCode:
    """Return why a request does not count, as foreseen and as executed."""
    foreseen = world.verifier.refusal(request)
    assert foreseen is not None
    outcome = world.do(request)
    assert not outcome.is_accepted
    assert outcome.code is foreseen.code
    return outcome.code


def test_a_pledge_counts_once_and_a_second_one_changes_nothing(world: AuditWorld) -> None:
    audit = world.audits[0]
    request = pledge(world, PEERS[0], audit)
    assert world.verifier.is_wanted(request)
    assert world.do(request).is_accepted

    assert refused(world, request) is OutcomeCode.REPLAYED


def test_a_pledge_counts_for_the_audit_of_this_branch_of_the_log_alone(world: AuditWorld) -> None:
    other = pledge(world, PEERS[0], world.audits[0], mark=b"elsewher")

    assert refused(world, other) is OutcomeCode.REPLAYED


def test_an_answer_that_was_not_pledged_does_not_count(world: AuditWorld) -> None:
    audit = world.audits[0]
    for peer in PEERS[:4]:
        assert world.do(pledge(world, peer, audit)).is_accepted
    line = AnswerLine(audit.number, audit.mark, DIGEST, bytes(16))
    answer = make_answer(PEERS[0], world.genesis.cluster_id, [line]).to_bytes()

    assert refused(world, answer) is OutcomeCode.REPLAYED


def test_nobody_answers_before_all_have_pledged_or_had_the_time(world: AuditWorld) -> None:
    audit = world.audits[0]
    first, *_ = world.said()
    assert world.do(first).is_accepted
    line = AnswerLine(audit.number, audit.mark, DIGEST, bytes(16))
    answer = make_answer(PEERS[0], world.genesis.cluster_id, [line]).to_bytes()

    assert refused(world, answer) is OutcomeCode.REPLAYED


def test_a_stranger_is_not_heard(world: AuditWorld) -> None:
    request = pledge(world, key("a stranger"), world.audits[0])

    assert refused(world, request) is OutcomeCode.NOT_ADMITTED


def test_a_wrong_signature_and_another_cluster_have_no_place_in_the_order(
    world: AuditWorld,
) -> None:
    audit = world.audits[0]
    line = PledgeLine(audit.number, audit.mark, DIGEST)
    right = make_pledge(PEERS[0], world.genesis.cluster_id, [line])
    wrong = make_pledge(PEERS[1], world.genesis.cluster_id, [line])
    forged = right.to_bytes().replace(right.signature, wrong.signature)
    other = World(genesis=world.genesis.__class__.from_bytes(world.genesis.to_bytes())).genesis
    elsewhere = make_pledge(PEERS[0], type(other.cluster_id)(b"\x07" * 32), [line]).to_bytes()

    for request in (forged, elsewhere):
        assert not world.verifier.admissible(request)
        assert not world.do(request).is_accepted


def test_what_a_peer_says_of_another_pin_under_a_true_number_and_seed_is_nothing(
    world: AuditWorld,
) -> None:
    """A relay that shows a light peer another pin would have it sign what convicts it."""
    audit = world.audits[0]
    shown = replace(audit, cid=cid_of("another"))

    for request in (lacks(world, PEERS[0], shown), pledge(world, PEERS[0], shown)):
        assert refused(world, request) is OutcomeCode.REPLAYED
    other_seed = replace(audit, seed=audit.seed[:31] + bytes([audit.seed[31] ^ 1]))
    assert refused(world, pledge(world, PEERS[0], other_seed)) is OutcomeCode.REPLAYED
    assert world.verdicts(PEERS[0]) == []


def test_what_is_refused_is_charged_to_whoever_signed_it(world: AuditWorld) -> None:
    request = pledge(world, PEERS[0], world.audits[0], mark=b"elsewher")
    before = world.ledger._state.peers[peer_id(PEERS[0])].spent.requests
    world.do(request)

    assert world.ledger._state.peers[peer_id(PEERS[0])].spent.requests == before + 1


def test_who_has_used_up_its_hour_is_heard_once_a_minute(world: AuditWorld) -> None:
    audits = world.audits
    state, peer = world.ledger._state, peer_id(PEERS[0])
    record = state.peers[peer]
    spent = replace(
        record.spent.at(world.now_ms),
        requests=PEER_REQUESTS_PER_HOUR_MAX,
        counted_ms=world.now_ms,
    )
    state.put_peer(replace(record, spent=spent))

    assert refused(world, pledge(world, PEERS[0], audits[0])) is OutcomeCode.TOO_MUCH


def suspected(world: AuditWorld) -> Challenge:
    """Have the first peer be a suspect in all audits."""
    world.lies[PEERS[0]] = silent
    world.false_sights = dict.fromkeys(PEERS[:4], silent)
    world.settle(120)
    return next(each for each in world.audits if each.asked_times)


def test_only_who_votes_says_what_it_saw_and_of_suspects_alone(world: AuditWorld) -> None:
    audit = suspected(world)
    place = audit.place_of(peer_id(PEERS[0]))
    other = audit.place_of(peer_id(PEERS[1]))
    assert place is not None
    assert other is not None

    assert refused(world, sight(world, PEERS[0], audit, place)) is OutcomeCode.REPLAYED
    assert refused(world, sight(world, PEERS[2], audit, other)) is OutcomeCode.REPLAYED
    late = sight(world, PEERS[2], audit, place, asked=audit.asked_times + 1)
    assert refused(world, late) is OutcomeCode.REPLAYED
    assert world.do(sight(world, PEERS[2], audit, place)).is_accepted
    assert refused(world, sight(world, PEERS[2], audit, place)) is OutcomeCode.REPLAYED


def test_who_says_it_lacks_the_blocks_says_so_once(world: AuditWorld) -> None:
    request = lacks(world, PEERS[0], world.audits[0])
    assert world.do(request).is_accepted

    assert refused(world, request) is OutcomeCode.REPLAYED
