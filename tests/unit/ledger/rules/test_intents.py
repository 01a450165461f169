"""What must not count: the same guards for certificates and for approvals on the log."""

from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import Approve, Propose, Reject, Submit
from bftcluster.signing.approvals import Approval, Intent, approve, reject
from tests.unit.ledger.world import World, cid_of, genesis_of
from tests.unit.signing.people import ALICE, BOB, CAROL, DAY_MS, MALLORY, policy_of

OPERATION = PinOperation(cid=cid_of(1))


def outcomes_of(world: World, intent: Intent) -> list[OutcomeCode]:
    """How the intent fares with a certificate, and as a proposal."""
    certificate = world.certificate(intent)
    submitted = world.do(Submit(certificate=certificate), after_ms=0)
    proposed = world.do(world.propose(intent), after_ms=0)
    assert submitted.intent_digest == proposed.intent_digest == intent.digest
    return [submitted.code, proposed.code]


def test_an_intent_for_another_cluster_is_refused() -> None:
    world = World()
    intent = world.intent(OPERATION, genesis=genesis_of(nonce=b"\x01" * 32))

    assert outcomes_of(world, intent) == [OutcomeCode.WRONG_CLUSTER] * 2


def test_an_intent_under_another_policy_version_is_refused() -> None:
    world = World(genesis_of(policy=policy_of(ALICE, BOB, CAROL, version=2)))
    intent = world.intent(OPERATION, genesis=genesis_of())
    intent = replace(intent, cluster_id=world.genesis.cluster_id, encoded=b"")

    assert world.do(world.propose(intent)).code is OutcomeCode.WRONG_POLICY


def test_an_intent_with_another_policy_hash_is_refused() -> None:
    world = World()
    other = replace(world.intent(OPERATION), policy_hash=bytes(32), encoded=b"")
    certificate = replace(world.certificate(world.intent(OPERATION)), intent=other.encoded)

    assert world.do(Submit(certificate=certificate)).code is OutcomeCode.WRONG_POLICY


def test_an_intent_counts_from_its_first_millisecond() -> None:
    world = World()
    intent = world.intent(OPERATION, begin_ms=world.now_ms + 10)
    request = Submit(certificate=world.certificate(intent))

    early = world.do(request, after_ms=9)
    assert early.code is OutcomeCode.NOT_YET_VALID
    assert early.detail == f"valid from {world.now_ms + 1} ms, it is {world.now_ms} ms"
    assert world.do(request).code is OutcomeCode.COMMITTED


def test_an_intent_counts_until_the_millisecond_before_its_expiry() -> None:
    world = World()
    end = world.now_ms + DAY_MS
    one, two = (world.intent(OPERATION, end_ms=end) for _ in range(2))

    last = world.do(Submit(certificate=world.certificate(one)), after_ms=DAY_MS - 1)
    late = world.do(Submit(certificate=world.certificate(two)))

    assert last.code is OutcomeCode.COMMITTED
    assert late.code is OutcomeCode.EXPIRED
    assert late.detail == f"expired at {end} ms, it is {end} ms"
    assert outcomes_of(world, two) == [OutcomeCode.EXPIRED] * 2


def test_expiry_goes_by_a_clock_that_never_runs_backwards() -> None:
    world = World()
    intent = world.intent(OPERATION, end_ms=world.now_ms + 10)
    world.run(after_ms=10)

    late = world.do(Submit(certificate=world.certificate(intent)), after_ms=-10)

    assert late.code is OutcomeCode.EXPIRED


def test_a_used_intent_does_not_count_again() -> None:
    world = World()
    intent = world.intent(OPERATION)
    assert world.do(Submit(certificate=world.certificate(intent))).is_accepted

    assert outcomes_of(world, intent) == [OutcomeCode.REPLAYED] * 2


def test_the_same_approval_in_another_certificate_is_a_replay_too() -> None:
    world = World()
    intent = world.intent(OPERATION)
    world.do(Submit(certificate=world.certificate(intent, ALICE, BOB)))

    again = world.do(Submit(certificate=world.certificate(intent, ALICE, CAROL)))

    assert again.code is OutcomeCode.REPLAYED
    assert again.detail == "this intent was used or rejected in batch 1"


def test_a_replay_is_noticed_within_one_batch() -> None:
    world = World()
    request = world.submit(OPERATION)

    codes = [outcome.code for outcome in world.run(request, request).outcomes]

    assert codes == [OutcomeCode.COMMITTED, OutcomeCode.REPLAYED]


def test_a_replay_is_noticed_after_a_restart() -> None:
    world = World()
    request = world.submit(OPERATION)
    world.do(request)

    world.reopen()

    assert world.do(request).code is OutcomeCode.REPLAYED


def test_a_certificate_with_a_signer_too_few_is_refused() -> None:
    world = World()
    certificate = replace(world.certificate(world.intent(OPERATION)), signers=b"\x01")

    outcome = world.do(Submit(certificate=certificate))

    assert outcome.code is OutcomeCode.THRESHOLD_NOT_MET
    assert outcome.detail == "1 of 2 required signatures"


def test_a_certificate_with_a_forged_signature_is_refused() -> None:
    world = World()
    certificate = replace(world.certificate(world.intent(OPERATION)), signatures=bytes(128))

    outcome = world.do(Submit(certificate=certificate))

    assert outcome.code is OutcomeCode.BAD_SIGNATURE
    assert outcome.cid == OPERATION.cid


def test_a_certificate_with_a_signer_outside_the_policy_is_refused() -> None:
    world = World()
    certificate = replace(world.certificate(world.intent(OPERATION)), signers=b"\x09")

    assert world.do(Submit(certificate=certificate)).code is OutcomeCode.UNKNOWN_MAINTAINER


def test_a_proposal_by_a_stranger_is_refused_by_name() -> None:
    world = World()

    outcome = world.do(world.propose(world.intent(OPERATION), MALLORY))

    assert outcome.code is OutcomeCode.UNKNOWN_MAINTAINER
    assert outcome.detail.startswith("z6Mk")


def test_a_proposal_with_a_forged_approval_is_refused() -> None:
    world = World()
    data = world.intent(OPERATION).to_bytes()
    forged = Approval(maintainer=ALICE.public_key, signature=approve(data, MALLORY).signature)

    outcome = world.do(Propose(intent=data, approval=forged))

    assert outcome.code is OutcomeCode.BAD_SIGNATURE
    assert world.ledger.head.proposals_open == 0


@pytest.mark.parametrize("kind", [Approve, Reject])
def test_a_vote_with_a_forged_signature_is_refused(kind: type[Approve | Reject]) -> None:
    world = World()
    intent = world.intent(OPERATION)
    world.do(world.propose(intent))
    signed = approve(intent.to_bytes(), MALLORY)
    forged = Approval(maintainer=BOB.public_key, signature=signed.signature)

    outcome = world.do(kind(intent_digest=intent.digest, approval=forged))

    assert outcome.code is OutcomeCode.BAD_SIGNATURE
    assert outcome.detail == "the signature of bob does not verify"


def test_a_yes_sent_as_a_no_is_refused() -> None:
    world = World()
    intent = world.intent(OPERATION)
    world.do(world.propose(intent))
    yes, no = approve(intent.to_bytes(), BOB), reject(intent.to_bytes(), BOB)

    crossed = [
        Reject(intent_digest=intent.digest, approval=yes),
        Approve(intent_digest=intent.digest, approval=no),
    ]

    codes = [world.do(request).code for request in crossed]
    assert codes == [OutcomeCode.BAD_SIGNATURE] * 2


@pytest.mark.parametrize(
    "operation", [b"", b"\x80", b"\x01", codec.encode([3, b""]), codec.encode([2, b"no cid"])]
)
def test_an_intent_whose_operation_is_none_is_malformed(operation: bytes) -> None:
    world = World()
    intent = world.intent(operation)

    submitted = world.do(Submit(certificate=world.certificate(intent)))
    proposed = world.do(world.propose(intent))

    assert [submitted.code, proposed.code] == [OutcomeCode.MALFORMED] * 2


def test_bytes_that_are_no_request_are_an_outcome() -> None:
    outcome = World().do(b"\xff")

    assert outcome.code is OutcomeCode.MALFORMED
    assert outcome.label == "malformed"
    assert not outcome.is_accepted


def test_a_refusal_says_what_to_do_next() -> None:
    world = World()
    request = world.submit(OPERATION)
    done = world.do(request)

    assert done.hint == ""
    assert "propose it again" in world.do(request).hint
