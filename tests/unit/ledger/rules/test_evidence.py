"""Proof against a replica is recorded once, and the state root covers it."""

import pytest

from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_proofs import prove, proves
from bftcluster.ledger.rules.effects import PeerAccused, PeerChanged
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import RemovePeer
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import ReportEvidence
from bftcluster.pbft.evidence import Evidence
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.state.test_reopened import recover, recovery_of
from tests.unit.ledger.world import PEERS, World, genesis_of, peer_id

A, B, C = (Digest(letter * 32) for letter in (b"a", b"b", b"c"))
CULPRIT = PEERS[1]


def vote(
    world: World, signer: SigningKey, digest: Digest, *, view: int = 0, epoch: int = 0
) -> Vote:
    replica, kind = ReplicaId(signer.public_key), VoteKind.COMMIT
    slot = (Epoch(epoch), View(view), Seq(1))
    payload = vote_payload(world.genesis.cluster_id, *slot, digest, replica)
    return Vote(kind, *slot, digest, replica, sign(signer, DOMAINS[kind], payload))


def evidence(
    world: World, *, culprit: SigningKey = CULPRIT, other: Digest = B, epoch: int = 0
) -> ReportEvidence:
    first, second = (vote(world, culprit, digest, epoch=epoch) for digest in (A, other))
    return ReportEvidence(evidence=Evidence(first, second).to_bytes())


def replica_of(signer: SigningKey) -> ReplicaId:
    return ReplicaId(signer.public_key)


def test_a_replica_that_contradicted_itself_is_accused_for_all_to_see() -> None:
    world = World()
    report = evidence(world)

    applied = world.run(report)

    assert applied.outcomes[0].code is OutcomeCode.RECORDED
    assert applied.effects == (PeerAccused(peer_id(CULPRIT)), PeerChanged(peer_id(CULPRIT)))
    [record] = queries.evidence_by_peer(world.store).values()
    assert record.evidence == report.evidence


def test_all_proof_against_one_replica_of_one_epoch_has_one_name() -> None:
    world = World()
    reports = [
        evidence(world),
        evidence(world, other=C),
        evidence(world, epoch=1),
        evidence(world, culprit=PEERS[2]),
    ]

    first, again, later, another = (world.verifier.name(each.to_bytes()) for each in reports)

    assert first == again
    assert len({first, later, another}) == 3


def test_the_state_root_covers_the_accusation() -> None:
    world = World(genesis_of(checkpoint_interval=2))
    world.do(evidence(world))

    world.run()

    root = world.last.roots[Seq(2)]
    culprit = peer_id(CULPRIT)
    value = world.store.get(Space.EVIDENCE, culprit)
    assert value is not None
    assert proves(root, Space.EVIDENCE, culprit, value, prove(world.store, Space.EVIDENCE, culprit))


def test_the_first_proof_stays() -> None:
    world = World()
    world.do(evidence(world))
    before = queries.evidence_by_peer(world.store)

    outcome = world.do(evidence(world, other=C))

    assert outcome.code is OutcomeCode.ALREADY
    assert queries.evidence_by_peer(world.store) == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"culprit": PEERS[5]}, OutcomeCode.UNKNOWN_PEER),
        ({"epoch": 1}, OutcomeCode.UNKNOWN_PEER),
    ],
    ids=["a stranger", "an epoch that there is not"],
)
def test_only_those_who_vote_can_be_accused(changes: dict, code: OutcomeCode) -> None:
    world = World()

    applied = world.run(evidence(world, **changes))

    assert applied.outcomes[0].code is code
    assert applied.effects == ()


def test_votes_of_two_views_accuse_nobody() -> None:
    world = World()
    votes = vote(world, CULPRIT, A), vote(world, CULPRIT, B, view=1)
    report = ReportEvidence(evidence=Evidence(*votes).to_bytes())

    outcome = world.do(report)

    assert outcome.code is OutcomeCode.BAD_SIGNATURE
    assert queries.evidence_by_peer(world.store) == {}
    assert not world.verifier.admissible(report.to_bytes())


def test_evidence_of_a_recoverys_epoch_is_ordered_and_that_of_one_it_gave_up_is_not() -> None:
    """Its number is far from its place among the epochs there were."""
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=2))
    world.run(world.submit(RemovePeer(peer=peer_id(PEERS[4]))))
    while world.ledger.head.seq < 4:
        world.run()
    given_up = world.ledger.epochs[-1].membership
    newcomers = tuple(map(peer_id, PEERS[5:7]))
    recover(world, recovery_of(world, leaving=2, coming=newcomers))
    now = world.ledger.epochs[-1].membership
    assert given_up.epoch == 1
    assert replica_of(PEERS[2]) in given_up.replicas
    assert replica_of(PEERS[2]) in now.replicas

    old, new = (
        evidence(world, culprit=PEERS[2], epoch=each.epoch).to_bytes() for each in (given_up, now)
    )

    assert [world.verifier.is_wanted(each) for each in (old, new)] == [False, True]
    assert world.do(old).code is OutcomeCode.UNKNOWN_PEER
    assert world.do(new).code is OutcomeCode.RECORDED
