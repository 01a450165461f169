from dataclasses import replace

from bftcluster import codec
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.requests import Approve, Propose, Reject, Submit
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.limits import EVIDENCE_SIZE_MAX_BYTES
from bftcluster.pbft import request_digest
from bftcluster.signing.approvals import Approval, Intent, approve, reject
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, resigned
from tests.unit.signing.people import ALICE, BOB, CAROL, MALLORY, VERIFIER, policy_of

OPERATION = PinOperation(cid=cid_of(1))


class CountingVerifier:
    """Really verifies, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.calls += 1
        return VERIFIER.verify(public_key, message, signature)


def knowing(world: World, verifier: Verifier = VERIFIER) -> ApprovalVerifier:
    approvals = ApprovalVerifier(world.genesis.cluster_id, verifier)
    approvals.learn(world.genesis.policy)
    return approvals


def test_good_requests_of_every_kind_are_admissible() -> None:
    world = World()
    intent = world.intent(OPERATION)
    yes, no = approve(intent.to_bytes(), BOB), reject(intent.to_bytes(), BOB)
    requests = [
        world.submit(OPERATION),
        world.propose(intent),
        Approve(intent_digest=intent.digest, approval=yes),
        Reject(intent_digest=intent.digest, approval=no),
        world.report(PEERS[0], cid_of(1)),
        world.join(PEERS[0]),
    ]

    assert all(knowing(world).admissible(request.to_bytes()) for request in requests)


def test_what_is_provably_bad_is_inadmissible() -> None:
    world = World()
    certificate = world.certificate(world.intent(OPERATION))
    data = world.intent(OPERATION).to_bytes()
    forged = Approval(maintainer=ALICE.public_key, signature=approve(data, MALLORY).signature)
    requests = [
        b"no request",
        Submit(certificate=replace(certificate, signatures=bytes(128))).to_bytes(),
        Submit(certificate=replace(certificate, signers=b"\x01")).to_bytes(),
        Propose(intent=data, approval=forged).to_bytes(),
        Propose(intent=data, approval=approve(data, MALLORY)).to_bytes(),
        resigned(world.report(PEERS[0], cid_of(1)), bytes(64)).to_bytes(),
        resigned(world.join(PEERS[0]), bytes(64)).to_bytes(),
    ]

    assert not any(knowing(world).admissible(request) for request in requests)


def test_anything_for_another_cluster_is_inadmissible() -> None:
    world, other = World(), World(genesis_of(nonce=b"\x01" * 32))
    intent = other.intent(OPERATION)
    requests = [
        other.submit(OPERATION),
        other.propose(intent),
        other.report(PEERS[0], cid_of(1)),
        other.join(PEERS[0]),
    ]

    assert not any(knowing(world).admissible(request.to_bytes()) for request in requests)


def test_an_unknown_policy_is_left_to_the_execution() -> None:
    world = World()
    ignorant = ApprovalVerifier(world.genesis.cluster_id, VERIFIER)
    intent = world.intent(OPERATION)

    assert ignorant.admissible(world.submit(OPERATION).to_bytes())
    assert ignorant.admissible(world.propose(intent).to_bytes())


def test_signatures_are_verified_once_however_often_they_are_looked_at() -> None:
    world = World()
    counting = CountingVerifier()
    world.verifier = knowing(world, counting)
    world.ledger._verifier = world.verifier
    intent = world.intent(OPERATION)
    requests = [
        world.submit(OPERATION).to_bytes(),
        world.propose(intent).to_bytes(),
        world.join(PEERS[0]).to_bytes(),
        world.report(PEERS[0], cid_of(1)).to_bytes(),
    ]

    for request in requests * 2:
        assert world.verifier.admissible(request)
    assert counting.calls == 5
    assert all(outcome.is_accepted for outcome in world.run(*requests).outcomes)
    assert counting.calls == 5


def test_a_bad_certificate_is_judged_once_too() -> None:
    world = World()
    counting = CountingVerifier()
    verifier = knowing(world, counting)
    certificate = replace(world.certificate(world.intent(OPERATION)), signatures=bytes(128))
    request = Submit(certificate=certificate).to_bytes()

    assert not verifier.admissible(request)
    assert not verifier.admissible(request)
    assert counting.calls == 1


def test_every_choice_of_signers_of_one_intent_has_one_name() -> None:
    world = World(genesis_of(policy=policy_of(ALICE, BOB, CAROL, threshold=2)))
    verifier = knowing(world)
    one, other = world.intent(OPERATION), world.intent(OPERATION)

    def submit(intent: Intent, *signers: SigningKey) -> bytes:
        return Submit(certificate=world.certificate(intent, *signers)).to_bytes()

    variants = [submit(one, ALICE, BOB), submit(one, BOB, CAROL), submit(one, ALICE, BOB, CAROL)]
    vote = Approve(intent_digest=one.digest, approval=approve(one.to_bytes(), BOB)).to_bytes()
    others = [submit(other, ALICE, BOB), world.propose(one).to_bytes(), vote, b"no request"]

    assert len({verifier.name(request) for request in variants}) == 1
    assert len({verifier.name(request) for request in (variants[0], *others)}) == 5


def test_a_name_is_given_without_remembering_and_without_parsing_what_has_no_variants() -> None:
    world = World()
    verifier = knowing(world)
    report = world.report(PEERS[0], *map(cid_of, range(1_000))).to_bytes()
    submit = world.submit(OPERATION).to_bytes()

    names = [verifier.name(request) for request in (report, submit)]

    assert not any(verifier._memory_of(request).get(request) for request in (report, submit))
    assert all(verifier.admissible(request) for request in (report, submit))
    assert [verifier.name(request) for request in (report, submit)] == names


def test_what_is_cut_short_has_a_name_too() -> None:
    world = World()
    submit = world.submit(OPERATION).to_bytes()

    names = {knowing(world).name(submit[:size]) for size in range(len(submit))}

    assert len(names) == len(submit)


def test_what_no_request_is_has_the_name_of_its_bytes_and_of_none_that_is_one() -> None:
    world = World()
    verifier = knowing(world)
    submit = world.submit(OPERATION)
    intent, scheme = submit.certificate.intent, submit.certificate.scheme
    signers, signatures = submit.certificate.signers, submit.certificate.signatures

    garbage = [
        codec.encode([1, intent, scheme, signers]),
        codec.encode([1, intent, scheme, signers, [signatures]]),
        codec.encode([1, intent, scheme, signers, signatures, b""]),
        codec.encode([1, intent, scheme, signers, signatures]) + b"\x00",
        codec.encode([7, intent, scheme, signers, signatures]),
        codec.encode([7, bytes(EVIDENCE_SIZE_MAX_BYTES + 1)]),
        codec.encode([7, [0] * 1_000]),
        b"\x85\x18" + submit.to_bytes()[1:],
    ]

    assert not any(verifier.admissible(each) for each in garbage)
    assert [verifier.name(each) for each in garbage] == [*map(request_digest, garbage)]
