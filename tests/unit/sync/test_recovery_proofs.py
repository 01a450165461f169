"""Whoever was not there believes a recovery once its voters have shown that it is in force."""

from dataclasses import replace

import pytest

from bftcluster.errors import ClusterError, HaltedError, MalformedMessageError
from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree import stored_root
from bftcluster.ledger.rules.recovery import VerifiedRecovery, verify_recovery
from bftcluster.ledger.state.membership_rows import epoch_key
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import parse_operation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import RECOVERY_EPOCHS
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.approvals import approve
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.schemes import scheme_of
from bftcluster.sync.epoch_proofs import EpochLink, epoch_link, follow, links_after, recoveries_in
from tests.unit.ledger.recoveries import recovery_of
from tests.unit.ledger.world import PEERS, World, genesis_of, peer_id
from tests.unit.signing.people import ALICE, BOB, CAROL, VERIFIER

INTERVAL = 8
GENESIS = genesis_of(checkpoint_interval=INTERVAL)
VOTERS = (*PEERS[:2], *PEERS[4:6])


def operation(**changes: object) -> RecoverCluster:
    """Return a recovery from the genesis: two founders stay, two peers come for the others."""
    fields = {
        "state_root": stored_root(World(GENESIS).store.get),
        "executed": Seq(3),
        "staying": tuple(map(peer_id, PEERS[:2])),
        "coming": tuple(
            AdmitPeer(peer=peer_id(key), name="new", addresses=(), votes=True) for key in PEERS[4:6]
        ),
        "leaving": tuple(map(peer_id, PEERS[2:4])),
    }
    return recovery_of(**(fields | changes))


def signed(what: RecoverCluster, *signers: SigningKey) -> bytes:
    world = World(GENESIS)
    intent = world.intent(what).to_bytes()
    votes = {each.maintainer: each.signature for each in (approve(intent, s) for s in signers)}
    certificate = scheme_of(GENESIS.policy).combine(intent, votes, GENESIS.policy)
    return Submit(certificate=certificate).to_bytes()


def certificate(
    signers: tuple[SigningKey, ...] = VOTERS[:3], epoch: int = RECOVERY_EPOCHS
) -> bytes:
    slot, root = (Epoch(epoch), View(0), Seq(INTERVAL)), Digest(b"r" * 32)
    votes = []
    for signer in signers:
        me = ReplicaId(signer.public_key)
        payload = vote_payload(GENESIS.cluster_id, *slot, root, me)
        signature = sign(signer, DOMAINS[VoteKind.CHECKPOINT], payload)
        votes.append(Vote(VoteKind.CHECKPOINT, *slot, root, me, signature))
    return CheckpointCertificate.of(votes).to_bytes()


REQUEST = signed(operation(), ALICE, BOB)
LINK = EpochLink(certificate=certificate(), row=REQUEST, proof=b"")


def followed(*links: EpochLink, known: object = None):
    sent = [EpochLink.from_bytes(link.to_bytes()) for link in links]
    known = known or GENESIS.membership()
    return follow(sent, known, GENESIS.cluster_id, VERIFIER, GENESIS.policy)


def recovery(request: bytes = REQUEST) -> VerifiedRecovery:
    return verify_recovery(request, GENESIS.cluster_id, GENESIS.policy, VERIFIER)


def test_a_recovery_in_force_leads_from_the_genesis_to_its_voters() -> None:
    [start] = followed(LINK)

    assert start == operation().start
    assert start.membership.replicas == tuple(ReplicaId(key.public_key) for key in VOTERS)


@pytest.mark.parametrize(
    "link",
    [
        replace(LINK, certificate=b""),
        replace(LINK, certificate=certificate(VOTERS[:2])),
        replace(LINK, certificate=certificate(PEERS[:3])),
        replace(LINK, certificate=certificate(VOTERS[:3], epoch=0)),
    ],
    ids=["not in force", "f + 1 of its voters", "the old voters", "another epoch"],
)
def test_a_recovery_that_its_voters_did_not_show_leads_nowhere(link: EpochLink) -> None:
    with pytest.raises(ClusterError):
        followed(link)


def test_a_recovery_that_too_few_maintainers_signed_leads_nowhere() -> None:
    with pytest.raises(ClusterError, match="1 of 2"):
        followed(replace(LINK, row=signed(operation(), CAROL)))


def test_a_recovery_of_another_cluster_leads_nowhere() -> None:
    other = replace(GENESIS, nonce=b"\x01" * 32)

    with pytest.raises(ClusterError, match="another cluster"):
        follow([LINK], other.membership(), other.cluster_id, VERIFIER, other.policy)


def test_a_recovery_leads_on_only() -> None:
    later = operation(epoch=Epoch(2 * RECOVERY_EPOCHS)).start.membership

    with pytest.raises(ClusterError, match="a recovery before epoch"):
        followed(LINK, known=later)


def test_a_recovery_is_shown_to_others_once_it_is_in_force() -> None:
    world = World(GENESIS)
    key = (Space.EPOCH_LINK, epoch_key(Epoch(RECOVERY_EPOCHS)))
    world.store.flush({key: replace(LINK, certificate=b"").to_bytes()})
    before = links_after(world.store, Epoch(0))

    proved = CheckpointCertificate.from_bytes(certificate())
    world.store.flush(epoch_link(world.ledger, proved))

    assert before == []
    assert links_after(world.store, Epoch(0)) == [LINK.to_bytes()]
    assert links_after(world.store, Epoch(RECOVERY_EPOCHS)) == []
    kept = recoveries_in(world.store, GENESIS.cluster_id, GENESIS.policy, VERIFIER)
    assert kept == [recovery()]


def reopened(world: World, *requests: bytes) -> Ledger:
    recoveries = [recovery(request) for request in requests or (REQUEST,)]
    world.ledger = Ledger(GENESIS, world.store, world.verifier, recoveries=recoveries)
    return world.ledger


def test_a_recovery_asks_for_batches_up_to_its_first_checkpoint() -> None:
    world = World(GENESIS)
    ledger = reopened(world)
    world.store.flush(ledger.recover())

    wanted = [ledger.wants_batches, *(world.run().wants_batches for _ in range(INTERVAL))]

    assert wanted[:INTERVAL] == [True] * INTERVAL
    moves = ledger._state.moves
    assert wanted[INTERVAL] is bool(moves)


def test_a_recovery_is_carried_out_once() -> None:
    world = World(GENESIS)
    world.store.flush(reopened(world).recover())

    assert reopened(world).recover() == {}
    assert reopened(world).epochs == (operation().start,)


def test_changes_of_members_under_way_are_void() -> None:
    world = World(GENESIS)
    for _ in range(INTERVAL):
        world.run(world.submit(RemovePeer(peer=PeerId(b"x" * 32)), ALICE, BOB))
    admitted = AdmitPeer(peer=peer_id(PEERS[6]), name="late", addresses=(), votes=True)
    for _ in range(INTERVAL):
        world.run(world.submit(admitted, ALICE, BOB))
    named = world.ledger.epochs[-1]
    proof = CheckpointCertificate(Epoch(0), Seq(2 * INTERVAL), world.last.roots[2 * INTERVAL], ())
    request = signed(
        operation(
            seq=proof.seq, executed=proof.seq, state_root=proof.state_root,
            certificate=proof.to_bytes(),
        ),
        ALICE, BOB,
    )  # fmt: skip

    ledger = reopened(world, request)
    world.store.flush(ledger.recover())

    assert named.membership.epoch == 1
    assert [start.membership.epoch for start in ledger.epochs] == [0, RECOVERY_EPOCHS]
    assert ledger._state.changes == ()
    assert [start.membership.epoch for start in reopened(world, request).epochs] == [
        0, RECOVERY_EPOCHS,
    ]  # fmt: skip


def test_a_ledger_with_another_state_stops_instead() -> None:
    world = World(GENESIS)
    wrong = signed(operation(state_root=Digest(b"x" * 32)), ALICE, BOB)

    with pytest.raises(HaltedError, match="not the one that the cluster recovered from"):
        reopened(world, wrong).recover()


def test_a_recovery_is_never_ordered() -> None:
    world = World(GENESIS)

    assert not world.verifier.admissible(REQUEST)
    outcome = world.do(REQUEST)

    assert outcome.code is OutcomeCode.MALFORMED
    assert "a recovery is not ordered" in outcome.detail


def test_a_recovery_s_bytes_mean_one_thing() -> None:
    what = operation()

    assert parse_operation(what.to_bytes()) == what


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": Epoch(RECOVERY_EPOCHS + 1)},
        {"epoch": Epoch(0)},
        {"seq": Seq(5), "executed": Seq(5)},
        {"leaving": tuple(map(peer_id, PEERS[:1]))},
        {"staying": (), "coming": ()},
        {"state_root": Digest(b"short")},
    ],
)
def test_a_recovery_that_contradicts_itself_is_none(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedMessageError):
        operation(**changes)
