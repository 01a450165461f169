"""What a ledger has in memory is what it would read from its rows: after changes and recoveries."""

from bftcluster.ids import Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.tree import stored_root
from bftcluster.ledger.rules.recovery import VerifiedRecovery, verify_recovery
from bftcluster.ledger.state.shares import Share
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.limits import TIME_MAX_MS
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.epochs import recovery_after
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import VERIFIER

INTERVAL = 4


def reopened(world: World, *recoveries: VerifiedRecovery) -> Ledger:
    """Return the ledger that would be there after a restart."""
    verifier = ApprovalVerifier(world.genesis.cluster_id, VERIFIER)
    return Ledger(world.genesis, world.store, verifier, recoveries=recoveries)


def memory_of(ledger: Ledger) -> dict[str, object]:
    """Return what a ledger knows without asking its store."""
    state = ledger._state
    return {
        "peers": state.peers,
        "joined": state.peers_joined,
        "roster": state.roster._entries,
        "reputations": state.reputations._by_peer,
        "waiting": state.waiting,
        "reported": state.reported_ms,
        "changes": state.changes,
        "moves": (list(state.moves), state.moves._keys),
        "absence": state.absence,
        "period": state.period_turn,
        "repair": state.repair,
        "heard": sorted(state.heard.until(TIME_MAX_MS)),
        "epochs": state.epochs,
        "accused": state.accused,
        "turns": state.turns,
        "shares": {who: share for who, share in state.shares.items() if share != Share()},
        "head": state.head,
        "policy": state.policy,
        "due": state.earliest_deadline,
    }


def assert_reopens_alike(world: World, *recoveries: VerifiedRecovery) -> None:
    assert memory_of(world.ledger) == memory_of(reopened(world, *recoveries))


def recovery_of(world: World, *, leaving: int, coming: tuple[PeerId, ...]) -> VerifiedRecovery:
    """Return a recovery at the world's last batch, a checkpoint, without its first voters."""
    ledger, seq = world.ledger, world.ledger.head.seq
    state, root = ledger._state, stored_root(world.store.get)
    now = state.membership_at(Seq(seq + 1)).replicas
    epoch = state.membership_at(seq).epoch
    votes = []
    for signer in PEERS[:3]:
        me, slot = ReplicaId(signer.public_key), (epoch, View(0), seq, root)
        payload = vote_payload(world.genesis.cluster_id, *slot, ReplicaId(signer.public_key))
        signature = sign(signer, DOMAINS[VoteKind.CHECKPOINT], payload)
        votes.append(Vote(VoteKind.CHECKPOINT, *slot, me, signature))
    operation = RecoverCluster(
        seq=seq,
        state_root=root,
        certificate=CheckpointCertificate.of(votes).to_bytes(),
        epoch=Epoch(recovery_after(state.epochs[-1].membership.epoch)),
        executed=seq,
        staying=tuple(map(PeerId, now[leaving:])),
        coming=tuple(AdmitPeer(peer=p, name="new", addresses=(), votes=True) for p in coming),
        leaving=tuple(map(PeerId, now[:leaving])),
    )
    request = world.submit(operation).to_bytes()
    return verify_recovery(request, world.genesis.cluster_id, world.genesis.policy, VERIFIER)


def recover(world: World, recovery: VerifiedRecovery) -> None:
    """Have the world's ledger know of a recovery, as its peer does after its next start."""
    world.ledger = reopened(world, recovery)
    world.verifier = world.ledger._verifier
    world.store.flush(world.ledger.recover())


def test_a_voter_whose_removal_a_recovery_gave_up_is_weighed_alike_by_all() -> None:
    """Its epoch has begun, an interval too early for it to go; then the cluster is lost."""
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=INTERVAL))
    world.join_all()
    gone = peer_id(PEERS[4])
    assert world.do(world.submit(RemovePeer(peer=gone))).is_accepted
    while world.ledger.head.seq < 3 * INTERVAL:
        world.run()
    assert not world.ledger._state.peers[gone].is_replica
    assert gone not in world.ledger._state.roster

    recover(world, recovery_of(world, leaving=2, coming=(peer_id(PEERS[5]), peer_id(PEERS[6]))))

    assert gone in world.ledger._state.roster
    assert_reopens_alike(world)


def test_a_voter_that_is_to_go_is_given_no_pins_before_and_after_a_restart() -> None:
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=INTERVAL))
    world.join_all()
    gone = peer_id(PEERS[4])

    assert world.do(world.submit(RemovePeer(peer=gone))).is_accepted

    for number in range(20):
        world.pin(cid_of(number), replication_min=1, replication_max=1)
        assert world.record(cid_of(number)).allocations != (gone,)
        assert_reopens_alike(world)
        world.reopen()
