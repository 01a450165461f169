"""All founders but one are replaced while that one sleeps; then their old keys fall to a liar.

Nobody is faulty while it happens. Afterwards the sleeper wakes, at some moment of the chaos, and
those who have left tell it of checkpoints far beyond their epoch. They are a quorum of the last
epoch that it knows.
"""

from random import Random

from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.messages import StableCheckpoint, Status
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster_sim.cluster.environment.signatures import signed_vote
from bftcluster_sim.cluster.faults.plans import RunPlan
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.states import TERMS
from bftcluster_sim.cluster.world import World

_TRIES = 10
_TRY_MS = 3_000
_FIRST_PIN = 1_000_000
"""Of numbers that no client uses."""
_PINS_BEFORE = 3
_INTERVALS_MAX = 200
_ROOT_SIZE_BYTES = 32


class Succession:
    """Who sleeps, who goes, who comes; and what old keys sign."""

    def __init__(self, plan: RunPlan, world: World) -> None:
        self._world = world
        self._random = Random(f"succession {plan.seed}")  # noqa: S311 - a simulation
        founders = world.nodes[: plan.n]
        self.sleeper = self._random.choice(founders)
        self._gone = [node for node in founders if node is not self.sleeper]
        self._successors = world.nodes[plan.n : plan.n + len(self._gone)]
        self._pin = _FIRST_PIN

    def happen(self) -> bool:
        """Carry it out; return whether every founder but the sleeper has been replaced."""
        world = self._world
        for node in (self.sleeper, *self._awake):
            node.start()
        for _ in range(self._random.randrange(_PINS_BEFORE)):
            self._order(self._gone[0])
        world.run_until(world.clock.now_ms + self._random.randint(100, 1_000))
        self.sleeper.kill()
        pairs = list(zip(self._gone, self._successors, strict=True))
        is_done = all(self._replace(number, *pair) for number, pair in enumerate(pairs))
        for node in self._gone:
            if self._random.random() < 0.7:
                node.kill()
        return is_done

    def wake_later(self, chaos_ms: int) -> None:
        """Let the sleeper start at some moment of the chaos."""
        clock = self._world.clock
        clock.call_at(clock.now_ms + self._random.randint(0, chaos_ms), self.sleeper.start)

    def lie(self) -> None:
        """Have those who left say something to somebody who may not have noticed."""
        world, random = self._world, self._random
        target = self.sleeper if random.random() < 0.8 else random.choice(self._successors)
        source = random.choice(self._gone)
        world.trace.line(f"old keys tell {target.index} of a far checkpoint")
        for frame in self._frames():
            self._say(source.key, target, frame)

    def _frames(self) -> list[bytes]:
        """Return a forged checkpoint beyond the first epoch, with a status that fits it."""
        world, random = self._world, self._random
        interval = world.settings.checkpoint_interval_seqs
        first = interval
        while world.discipline.of(Seq(first)).epoch == 0:
            first += interval
        seq = Seq(first + interval * random.randrange(_INTERVALS_MAX))
        root = Digest(random.randbytes(_ROOT_SIZE_BYTES))
        votes = [self._signed(node, seq, root) for node in self._gone]
        certificate = CheckpointCertificate.of(votes)
        epoch, view = Epoch(0), View(0)
        return [
            StableCheckpoint(certificate).frame(),
            Status(epoch, view, view, seq, seq, seq).frame(),
        ]

    def _signed(self, node: Node, seq: Seq, root: Digest) -> Vote:
        vote = Vote(VoteKind.CHECKPOINT, Epoch(0), View(0), seq, root, node.key, bytes(64))
        return signed_vote(vote, node.signer, self._world.founding.cluster_id)

    def _say(self, sender: ReplicaId, target: Node, frame: bytes) -> None:
        clock = self._world.clock
        clock.call_at(clock.now_ms + 1, lambda: target.receive(sender, frame))

    def _order(self, to: Node) -> None:
        self._world.submit(self._pin, to=to.index)
        self._pin += 1
        self._world.run_until(self._world.clock.now_ms + self._random.randint(20, 200))

    def _replace(self, number: int, old: Node, new: Node) -> bool:
        """Admit one and remove one; return whether both changes have taken place."""
        admit = AdmitPeer(
            peer=PeerId(new.key), name=f"{new.index}", addresses=(), votes=True, terms=TERMS
        )
        remove = RemovePeer(peer=PeerId(old.key))
        return self._change(2 * number, admit, new, is_in=True) and self._change(
            2 * number + 1, remove, old, is_in=False
        )

    def _change(
        self, number: int, operation: AdmitPeer | RemovePeer, peer: Node, *, is_in: bool
    ) -> bool:
        """Have it ordered: told to another each time, for one may be opening again just then."""
        world = self._world
        request = world.founding.member_request(number, operation)
        for _ in range(_TRIES):
            to = self._random.choice([node for node in self._awake if node.is_up])
            world.hand_in(request, f"{type(operation).__name__} in the succession", to=to.index)
            if world.run_until(world.clock.now_ms + _TRY_MS, lambda: self._is(peer, is_in)):
                self._order(to)
                return True
        return False

    @property
    def _awake(self) -> list[Node]:
        return [*self._gone, *self._successors]

    def _is(self, peer: Node, is_in: bool) -> bool:
        """Return whether all that are awake are in an epoch in which ``peer`` votes, or not."""
        awake = [node.replica for node in self._awake if node.replica is not None]
        latest = self._world.discipline.latest
        has_happened = (peer.key in latest.replicas) is is_in
        return has_happened and all(replica.membership == latest for replica in awake)
