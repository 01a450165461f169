"""Peers come and go by approval, voters at checkpoints; liars are primary no more."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.membership_rows import Change, next_membership
from bftcluster.ledger.state.progress.moves import Move, MoveQueue
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import ReportEvidence
from bftcluster.limits import MOVES_MAX, PEERS_MAX
from bftcluster.membership import Membership
from bftcluster.pbft import Evidence
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import PEERS, TERMS, World, cid_of, genesis_of, peer_id

INTERVAL = 4


@pytest.fixture
def world() -> World:
    """Four replicas of seven possible ones, and a checkpoint every four batches."""
    return World(genesis_of(checkpoint_interval=INTERVAL))


def admit(
    world: World, peer: SigningKey, *, votes: bool = True, terms: PeerTerms = TERMS
) -> OutcomeCode:
    operation = AdmitPeer(peer=peer_id(peer), name="new", addresses=(), votes=votes, terms=terms)
    return world.do(world.submit(operation)).code


def remove(world: World, peer: SigningKey) -> OutcomeCode:
    return world.do(world.submit(RemovePeer(peer=peer_id(peer)))).code


def run_to(world: World, seq: int) -> None:
    """Execute batches without a request up to ``seq``."""
    while world.ledger.head.seq < seq:
        world.run()


def replica(peer: SigningKey) -> ReplicaId:
    return ReplicaId(peer_id(peer))


def voters(*peers: SigningKey) -> tuple[ReplicaId, ...]:
    return tuple(map(replica, peers))


def contradiction(world: World, culprit: SigningKey, *, other: bytes = b"b" * 32) -> ReportEvidence:
    def vote(digest: Digest) -> Vote:
        where = (Epoch(0), View(0), Seq(3))
        payload = vote_payload(world.genesis.cluster_id, *where, digest, replica(culprit))
        signature = sign(culprit, DOMAINS[VoteKind.PREPARE], payload)
        return Vote(VoteKind.PREPARE, *where, digest, replica(culprit), signature)

    evidence = Evidence(vote(Digest(b"a" * 32)), vote(Digest(other)))
    return ReportEvidence(evidence=evidence.to_bytes())


def test_a_new_voter_votes_one_interval_after_the_next_checkpoint(world: World) -> None:
    assert admit(world, PEERS[4]) is OutcomeCode.COMMITTED
    assert world.ledger.wants_batches

    run_to(world, INTERVAL)

    first, second = world.ledger.epochs
    assert first.membership.replicas == voters(*PEERS[:4])
    assert second.first == 2 * INTERVAL + 1
    assert second.membership == Membership(Epoch(1), voters(*PEERS[:5]))
    run_to(world, 3 * INTERVAL)
    assert not world.ledger.wants_batches


def test_a_removed_voter_is_a_peer_until_its_epoch_has_come_to_its_end(world: World) -> None:
    admit(world, PEERS[4])
    run_to(world, 3 * INTERVAL)

    assert remove(world, PEERS[1]) is OutcomeCode.COMMITTED

    run_to(world, 4 * INTERVAL)
    last = world.ledger.epochs[-1]
    assert last.membership.replicas == voters(PEERS[0], *PEERS[2:5])
    assert world.do(world.join(PEERS[1])).is_accepted
    run_to(world, 6 * INTERVAL)
    assert world.do(world.join(PEERS[1])).code is OutcomeCode.NOT_ADMITTED
    assert not world.ledger.wants_batches


def test_four_voters_do_not_become_three(world: World) -> None:
    assert remove(world, PEERS[0]) is OutcomeCode.INVALID_OPERATION


def test_a_second_change_of_a_peer_waits_for_the_first(world: World) -> None:
    admit(world, PEERS[4])

    assert remove(world, PEERS[4]) is OutcomeCode.CHANGE_UNDER_WAY


def test_storage_peers_come_and_go_at_once(world: World) -> None:
    assert admit(world, PEERS[5], votes=False) is OutcomeCode.COMMITTED
    assert world.do(world.join(PEERS[5])).is_accepted
    assert remove(world, PEERS[5]) is OutcomeCode.COMMITTED

    assert world.do(world.join(PEERS[5])).code is OutcomeCode.NOT_ADMITTED
    assert len(world.ledger.epochs) == 1


def test_changes_survive_a_restart(world: World) -> None:
    admit(world, PEERS[4])
    world.reopen()
    assert world.ledger.wants_batches
    run_to(world, INTERVAL)
    before = world.ledger.epochs

    world.reopen()

    assert world.ledger.epochs == before
    assert len(before) == 2


def test_the_pins_of_a_removed_peer_go_to_others(world: World) -> None:
    for peer in PEERS[:4]:
        world.do(world.join(peer))
    admit(world, PEERS[4], votes=False)
    world.do(world.join(PEERS[4]))
    for number in range(20):
        world.pin(
            cid_of(number),
            replication_min=2,
            replication_max=2,
            user_allocations=(peer_id(PEERS[4]),) if number % 2 else (),
        )
    gone = peer_id(PEERS[4])
    assert any(gone in world.record(cid_of(number)).allocations for number in range(20))

    remove(world, PEERS[4])
    run_to(world, world.ledger.head.seq + 4)

    for number in range(20):
        allocations = world.record(cid_of(number)).allocations
        assert gone not in allocations
        assert len(allocations) == 2
    assert not world.ledger.wants_batches


def test_who_contradicted_itself_still_votes_but_is_primary_no_more(world: World) -> None:
    assert world.do(contradiction(world, PEERS[2])).code is OutcomeCode.RECORDED

    run_to(world, INTERVAL)

    membership = world.ledger.epochs[-1].membership
    assert membership == Membership(Epoch(1), voters(*PEERS[:4]), frozenset(voters(PEERS[2])))
    primaries = {membership.primary(View(view)) for view in range(12)}
    assert primaries == set(voters(PEERS[0], PEERS[1], PEERS[3]))
    world.reopen()
    assert world.ledger.epochs[-1].membership == membership


def test_at_most_f_are_passed_over_and_the_first_stay_so(world: World) -> None:
    world.do(contradiction(world, PEERS[3]))
    run_to(world, INTERVAL)
    for peer in (PEERS[0], PEERS[1], PEERS[2]):
        world.do(contradiction(world, peer))
    run_to(world, 4 * INTERVAL)

    assert len(world.ledger.epochs) == 2
    assert world.ledger.epochs[-1].membership.barred == set(voters(PEERS[3]))


def test_proof_is_recorded_once(world: World) -> None:
    world.do(contradiction(world, PEERS[2]))
    world.reopen()

    again = world.do(contradiction(world, PEERS[2], other=b"c" * 32))

    assert again.code is OutcomeCode.ALREADY


def test_a_forged_contradiction_accuses_nobody(world: World) -> None:
    data = bytearray(contradiction(world, PEERS[2]).evidence)
    data[-1] ^= 1

    refused = world.do(ReportEvidence(evidence=bytes(data)))

    assert refused.code is OutcomeCode.BAD_SIGNATURE
    run_to(world, INTERVAL)
    assert len(world.ledger.epochs) == 1


@pytest.mark.parametrize(("n", "most"), [(4, 1), (7, 2), (10, 3), (16, 5)])
def test_so_few_change_at_once_that_quorums_of_both_epochs_meet(n: int, most: int) -> None:
    current = Membership(Epoch(0), tuple(ReplicaId(bytes([number]) * 32) for number in range(n)))
    coming = [Change(peer=bytes([100 + number]) * 32, votes=True) for number in range(n)]
    going = [Change(peer=each, votes=False) for each in current.replicas]

    following = next_membership(
        current, [*coming, *going], set(), sitting_out=[], last_primary=current.replicas[0]
    )

    assert following is not None
    assert len(set(following.replicas) - set(current.replicas)) == most
    assert len(set(current.replicas) - set(following.replicas)) == most
    staying = [each for each in current.replicas if each in following.replicas]
    assert list(following.replicas[: len(staying)]) == staying


def test_no_more_peers_are_admitted_than_can_keep_links_to_each_other(world: World) -> None:
    template = world.ledger._state.peers[peer_id(PEERS[0])]
    reputation = world.ledger._state.reputations.of(peer_id(PEERS[0])).to_value()
    for number in range(PEERS_MAX - 4):
        key = PeerId(number.to_bytes(32, "big"))
        value = replace(template, peer=key, is_replica=False).to_value()
        world.store.flush({(Space.PEER, key): value, (Space.REPUTATION, key): reputation})
    world.reopen()

    outcome = world.do(
        world.submit(AdmitPeer(peer=peer_id(PEERS[5]), name="new", addresses=(), votes=False))
    )

    assert outcome.code is OutcomeCode.INVALID_OPERATION
    assert f"{PEERS_MAX} peers are admitted" in outcome.detail


def test_a_removal_waits_while_the_pins_of_many_removed_peers_are_on_the_move(
    world: World,
) -> None:
    queue = MoveQueue(())
    moves = [Move(peer=PeerId(n.to_bytes(32, "big")), slot=0) for n in range(MOVES_MAX)]
    assert admit(world, PEERS[5], votes=False) is OutcomeCode.COMMITTED
    for key, value in map(queue.set, moves):
        world.store.flush({(Space.META, key): value})
    world.reopen()

    assert remove(world, PEERS[5]) is OutcomeCode.CHANGE_UNDER_WAY
