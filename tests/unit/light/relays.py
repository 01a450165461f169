"""A light peer and its relays, which have the ledger of a small cluster with real signatures."""

from collections.abc import Callable, Sequence

from bftcluster.cid import Cid
from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_proofs import prove
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.membership_rows import epoch_key
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.light.light_memory import LightMemory
from bftcluster.light.light_peer import LightActions, LightPeer
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import SigningKey
from bftcluster.sync.epoch_proofs import EpochLink
from bftcluster.sync.frames import (
    DutyHint,
    FetchHints,
    HandIn,
    Receiver,
    parse_sync_frame,
    read_question,
    receiver_of,
)
from bftcluster.sync.server import reply
from tests.unit.ledger.world import GIB, PEERS, World, genesis_of, key, peer_id
from tests.unit.signing.people import VERIFIER

INTERVAL = 8
LIGHT = key("light")
TERMS = PeerTerms(capacity_bytes=10 * GIB, is_light=True)
RELAYS = (PeerId(b"r" * 32), PeerId(b"s" * 32))
ROUNDS_MAX = 200

Lie = Callable[[bytes, list[bytes]], list[bytes]]
"""What a relay sends instead of its answers to a question."""


def certified(
    world: World,
    *,
    by: Sequence[SigningKey] = PEERS[:3],
    root: Digest | None = None,
    seq: int = 0,
    epoch: int = 0,
) -> CheckpointCertificate:
    """Return what voters sign of a world that stands at a checkpoint."""
    at = Seq(seq or world.ledger.head.seq)
    digest = root or world.ledger.checkpoint_root()
    assert digest is not None, "the world is at a checkpoint"
    votes = []
    for voter in by:
        replica, slot = ReplicaId(voter.public_key), (Epoch(epoch), View(0), at)
        payload = vote_payload(world.genesis.cluster_id, *slot, digest, replica)
        signature = sign(voter, DOMAINS[VoteKind.CHECKPOINT], payload)
        votes.append(Vote(VoteKind.CHECKPOINT, *slot, digest, replica, signature))
    return CheckpointCertificate.of(votes)


class LightWorld:
    """One ledger, relays that show it or lie, and a light peer that hears nothing else."""

    def __init__(self) -> None:
        self.world = World(
            genesis_of(checkpoint_interval=INTERVAL, replication_min=1, replication_max=1)
        )
        self.world.ledger.keep_earlier(True)
        self.world.join_all(free_bytes=0)
        admission = AdmitPeer(
            peer=peer_id(LIGHT), name="light", addresses=(), votes=False, terms=TERMS
        )
        assert self.world.do(self.world.submit(admission)).is_accepted
        assert self.world.do(self.world.join(LIGHT, addresses=())).is_accepted
        self.stable: CheckpointCertificate | None = None
        self.lies: dict[PeerId, Lie] = {}
        self.deaf: set[PeerId] = set()
        self.asked: list[tuple[PeerId, bytes]] = []
        self.verdicts: list[Verdict] = []
        self.actions: list[LightActions] = []
        self.now_ms = 0
        self.restart(None)

    def restart(self, memory: LightMemory | None) -> None:
        self.peer = LightPeer(
            genesis=self.world.genesis, me=peer_id(LIGHT), verifier=VERIFIER, memory=memory
        )
        self.peer.use(RELAYS, self.now_ms)

    def pin(self, cid: Cid) -> None:
        """Pin something; with these terms it is the light peer's."""
        assert self.world.pin(cid).is_accepted

    def checkpoint(self) -> None:
        self.world.run()
        while self.world.ledger.head.seq % INTERVAL:
            self.world.run()
        self.stable = certified(self.world)

    def next_epoch(self) -> None:
        """Let a fifth peer vote: keep the link to its epoch, and come to a checkpoint there."""
        voter = PEERS[4]
        admission = AdmitPeer(
            peer=peer_id(voter), name="fifth", addresses=(), votes=True, terms=PeerTerms()
        )
        assert self.world.do(self.world.submit(admission)).is_accepted
        self.checkpoint()
        key = epoch_key(Epoch(1))
        row = self.world.store.get(Space.EPOCH, key)
        assert row is not None, "the checkpoint names the next epoch"
        proof = prove(self.world.store, Space.EPOCH, key).to_bytes()
        assert self.stable is not None
        link = EpochLink(certificate=self.stable.to_bytes(), row=row, proof=proof)
        self.world.store.flush({(Space.EPOCH_LINK, key): link.to_bytes()})
        self.checkpoint()
        self.checkpoint()
        self.stable = certified(self.world, by=PEERS[:4], epoch=1)

    def hint(self, cid: Cid, *, seq: int = 0, by: Sequence[SigningKey] = ()) -> DutyHint:
        """Return a hint of a pin, approved by alice and bob if nobody else is named."""
        request = self.world.submit(PinOperation(cid=cid), *by)
        at = Seq(seq or self.world.ledger.head.seq)
        return DutyHint(seq=at, approval=request.to_bytes())

    def say(self, frame: bytes, relay: PeerId = RELAYS[0]) -> Verdict:
        """Have a relay say something."""
        return self.peer.on_frame(relay, frame, self.now_ms)

    def settle(self, after_ms: int = 0) -> None:
        """Let the peer ask and relays answer until nothing is under way."""
        self.now_ms += after_ms
        for _ in range(ROUNDS_MAX):
            actions = self.peer.step(self.now_ms)
            self.actions.append(actions)
            if not actions.sends:
                return
            for relay, frame in actions.sends:
                self.asked.append((relay, frame))
                self.answer(relay, frame)
        raise AssertionError("it asks for ever")

    def answer(self, relay: PeerId, frame: bytes) -> None:
        if relay in self.deaf or isinstance(self.read(frame), FetchHints | HandIn):
            return
        answers = reply(self.world.store, read_question(frame), self.stable)
        for each in self.lies.get(relay, lambda _, said: said)(frame, answers):
            self.verdicts.append(self.say(each, relay))

    @staticmethod
    def read(frame: bytes) -> object:
        return None if receiver_of(frame) is Receiver.REPLICA else parse_sync_frame(frame)

    def owed(self) -> list[Cid]:
        """Return what the ledger says that the light peer is to hold."""
        return sorted(duty.cid for duty in queries.duties_of(self.world.store, self.peer.me))

    def desired(self) -> set[Cid]:
        """Return what the light peer was told to hold so far, and not to drop since."""
        held: set[Cid] = set()
        for actions in self.actions:
            held |= set(actions.changes.desired)
            held -= set(actions.changes.dropped)
        return held

    def head_row(self) -> bytes | None:
        return self.world.store.get(Space.DUTY, self.peer.me)
