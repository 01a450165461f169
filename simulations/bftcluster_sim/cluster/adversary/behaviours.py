"""Byzantine peers: a real replica whose words are changed, doubled, delayed or swallowed.

Everything they sign is signed with their own key only, so nothing here forges.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random

from bftcluster.errors import ClusterError, MalformedMessageError
from bftcluster.ids import Digest, MaintainerId, Seq, View
from bftcluster.ledger.wire.requests import Approve
from bftcluster.pbft import Batch, Outbound
from bftcluster.pbft.frames import kind_of, parse_frame
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import (
    BODY,
    ENTRIES,
    STABLE,
    STATUS,
    VOUCH,
    Body,
    Entries,
    Message,
    Requests,
    Status,
)
from bftcluster.pbft.view_messages import NEW_VIEW, VIEW_CHANGE, NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.signing.approvals import Approval
from bftcluster.sync.frames import Receiver, receiver_of
from bftcluster_sim.cluster.adversary.lies import forged_claims, forged_entries, forgetful, misgiven
from bftcluster_sim.cluster.adversary.mutations import mutate, sign_again
from bftcluster_sim.cluster.adversary.usurpers import Pretext, Usurper
from bftcluster_sim.cluster.environment.signatures import signed_vote
from bftcluster_sim.cluster.peers.processes import Process
from bftcluster_sim.cluster.peers.states import WALL_EPOCH_MS

_REPLAYED_MAX = 64
_DIGESTS_MAX = 32
_DRAWS_MAX = 8
_SELDOM_SAID = (VIEW_CHANGE, NEW_VIEW, STABLE, VOUCH)
_CORRUPTED_KINDS = (*VoteKind, VIEW_CHANGE, NEW_VIEW, BODY, STATUS, ENTRIES, STABLE, VOUCH)
_HOUR_MS = 3_600_000
_STALLS_MS = (300, 2_000)
_RELAYED = 4
_RELAYED_MAX = 120

Said = list[tuple[int, bytes]]
"""Who is told what."""


class Vice(Enum):
    """One way to misbehave."""

    SILENT = "says nothing to some, for a while"
    EQUIVOCATE = "proposes one batch to some and another to the others, and votes for both"
    ABSURD = "proposes batches that no correct replica would, and votes for them"
    MUTATE = "changes one place of what it says, now and then, for some"
    CORRUPT_ROUNDS = "changes or swallows a few messages, each for a set of peers of its own"
    REPLAY = "says again what it said long ago"
    DENY = "denies in view changes what was prepared"
    USURP = "opens views in which the past is another, and votes for that past"
    FORGE = "proves with certificates that nobody signed"
    MISGIVE = "gives states that are wrong, or not at all, and proves who votes with nothing"
    WITHHOLD = "lets one other see its commits"
    SLOW = "speaks late"
    STALL = "proposes what was asked for late, and null batches and ticks between"
    JUNK = "relays requests that can change nothing to some, and vouches for them"
    REHASH = "relays what was ordered long ago"
    GARBAGE = "sends noise"


@dataclass(frozen=True, slots=True)
class Corruption:
    """What happens to one message of a run: ByzzFuzz's fault, scoped by round and receivers."""

    kind: int
    nth: int
    """Which message of that kind, from 0."""
    receivers: int
    """Bit ``i`` is set if the peer with the index ``i`` is meant."""
    is_lost: bool

    def concerns(self, target: int) -> bool:
        """Return whether ``target`` gets something else."""
        return bool(self.receivers >> target & 1)


def draw_corruption(random: Random) -> Corruption:
    """Return a corruption of one of the messages that a short run has."""
    kind = random.choice(_CORRUPTED_KINDS)
    return Corruption(
        kind=kind,
        nth=random.randrange(3 if kind in _SELDOM_SAID else 16),
        receivers=random.randrange(1, 1 << 8),
        is_lost=random.random() < 0.3,
    )


@dataclass(slots=True)
class Byzantine:
    """A behaviour made of vices, drawn by one generator."""

    vices: frozenset[Vice]
    random: Random
    corruptions: tuple[Corruption, ...] = ()
    """For ``Vice.CORRUPT_ROUNDS``."""
    _batches: dict[Digest, bytes] = field(default_factory=dict)
    _second: dict[tuple[View, Seq], Digest] = field(default_factory=dict)
    _digests: list[Digest] = field(default_factory=list)
    _said: list[bytes] = field(default_factory=list)
    _usurped: dict[bytes, list[bytes]] = field(default_factory=dict)
    """What is said in place of each NEW-VIEW, however often."""
    _relayed: int = 0
    """How many requests it relayed without need."""
    _count: dict[int | None, int] = field(default_factory=dict)
    """How many messages of each kind there were."""

    def outbound(self, node: Process, outbound: Outbound) -> Said:
        """See ``nodes.Behaviour``."""
        frame = outbound.frame
        said = [(target, frame) for target in node.targets(outbound)]
        if receiver_of(frame) is not Receiver.REPLICA:
            return self._distort(node, self._misgive(said))
        try:
            message = parse_frame(node.key, frame)
        except ClusterError:
            return said
        if isinstance(message, Body):
            self._batches[batch_digest(message.batch)] = message.batch
        if isinstance(message, Status):
            said = [*said, *self._relay(node)]
        if isinstance(message, Vote) and message.kind is not VoteKind.CHECKPOINT:
            self._digests = [*self._digests[1 - _DIGESTS_MAX :], message.digest]
            said = self._twist_vote(node, message, said)
        if isinstance(message, NewView) and Vice.USURP in self.vices:
            said = [(to, what) for to, _ in said for what in self._usurp(node, message, frame)]
        lie = self._lie(message)
        if lie is not None:
            cluster_id = node.world.founding.cluster_id
            lied = sign_again(lie.frame(), node.signer, cluster_id, is_mended=True)
            said = [(target, lied) for target, _ in said]
        if self._does(Vice.MUTATE, 20):
            other = self._mutated(node, frame)
            said = [(to, other if self.random.random() < 0.5 else what) for to, what in said]
        if Vice.CORRUPT_ROUNDS in self.vices:
            said = self._corrupt(node, frame, said)
        if Vice.STALL in self.vices and kind_of(frame) in (VoteKind.PRE_PREPARE, BODY):
            return _later(node, said, self.random.randint(*_STALLS_MS))
        return self._distort(node, said)

    def _relay(self, node: Process) -> Said:
        """Return what is relayed that nobody asked for, or that was ordered before; not much."""
        requests: list[bytes] = []
        if Vice.JUNK in self.vices:
            requests += [self._useless() for _ in range(_RELAYED)]
        if Vice.REHASH in self.vices and self._batches:
            batch = self._batches[self.random.choice(list(self._batches))]
            with suppress(MalformedMessageError):  # it may be one of its own absurd ones
                requests += Batch.from_bytes(batch).requests[:_RELAYED]
        self._relayed += len(requests)
        if not requests or self._relayed > _RELAYED_MAX:
            return []
        frame = Requests(tuple(dict.fromkeys(requests)), relayed=True).frame()
        others = node.world.others[node.index]
        return [(to, frame) for to in self.random.sample(others, len(others) // 2 + 1)]

    def _useless(self) -> bytes:
        draw = self.random.randbytes
        approval = Approval(maintainer=MaintainerId(draw(32)), signature=draw(64))
        return Approve(intent_digest=Digest(draw(32)), approval=approval).to_bytes()

    def _misgive(self, said: Said) -> Said:
        if Vice.MISGIVE not in self.vices:
            return said
        given = [(target, misgiven(frame, self.random)) for target, frame in said]
        return [(target, frame) for target, frame in given if frame is not None]

    def _twist_vote(self, node: Process, vote: Vote, said: Said) -> Said:
        if Vice.EQUIVOCATE in self.vices:
            odd = {target for target, _ in said if target % 2}
            said = self._tell_otherwise(node, vote, said, odd)
        elif Vice.ABSURD in self.vices or (Vice.STALL in self.vices and vote.seq % 2):
            said = self._tell_otherwise(node, vote, said, {target for target, _ in said})
        if Vice.WITHHOLD in self.vices and vote.kind is VoteKind.COMMIT and said:
            said = said[:1]
        return said

    def _tell_otherwise(self, node: Process, vote: Vote, said: Said, to: set[int]) -> Said:
        """Tell some peers about another batch, consistently, however often they ask."""
        slot = (vote.view, vote.seq)
        if vote.kind is VoteKind.PRE_PREPARE and vote.digest in self._batches:
            if slot not in self._second:
                second = self._other_batch(Batch.from_bytes(self._batches[vote.digest]))
                self._second[slot] = batch_digest(second)
                self._batches[self._second[slot]] = second
            second = self._batches[self._second[slot]]
            for target in sorted(to):
                node.world.send(node, target, Body(second).frame())
        digest = self._second.get(slot)
        if digest is None:
            return said
        cluster_id = node.world.founding.cluster_id
        other = signed_vote(replace(vote, digest=digest), node.signer, cluster_id).frame()
        return [(target, other if target in to else frame) for target, frame in said]

    def _other_batch(self, batch: Batch) -> bytes:
        """Return a batch that could be in its place; or that could not, if we are absurd."""
        if Vice.STALL in self.vices:
            timestamp_ms = self.random.choice((0, batch.timestamp_ms))
            return replace(batch, timestamp_ms=timestamp_ms, requests=()).to_bytes()
        if Vice.ABSURD not in self.vices:
            return replace(batch, timestamp_ms=batch.timestamp_ms + 1).to_bytes()
        return self.random.choice(
            (
                replace(batch, timestamp_ms=batch.timestamp_ms + _HOUR_MS).to_bytes(),
                replace(batch, timestamp_ms=1).to_bytes(),
                replace(batch, requests=()).to_bytes(),
                replace(batch, timestamp_ms=0, requests=()).to_bytes(),
                replace(batch, requests=(*batch.requests, b"nobody asked")).to_bytes(),
                replace(batch, requests=batch.requests * 2).to_bytes(),
                self.random.choice(list(self._batches.values())),
                self.random.randbytes(40),
            )
        )

    def _usurp(self, node: Process, new_view: NewView, frame: bytes) -> list[bytes]:
        """Return what is said in place of a NEW-VIEW: the batch it wants, the lie, the votes."""
        if frame not in self._usurped:
            pretext = self.random.choice(list(Pretext))
            world = node.world
            requests = (world.founding.request(0),)
            other = Batch(WALL_EPOCH_MS + world.clock.now_ms, requests).to_bytes()
            usurper = Usurper(signer=node.signer, cluster_id=node.world.founding.cluster_id)
            self._usurped[frame] = [
                Body(other).frame(),
                *usurper.usurp(new_view, pretext, batch_digest(other)),
            ]
        return self._usurped[frame]

    def _lie(self, message: Message) -> ViewChange | Entries | None:
        """Return what a liar about the past says instead, if it lies about that."""
        match message:
            case ViewChange() if Vice.FORGE in self.vices and message.proofs and self._digests:
                return forged_claims(message, self.random.choice(self._digests))
            case ViewChange() if Vice.DENY in self.vices:
                return forgetful(message)
            case Entries() if Vice.FORGE in self.vices:
                return forged_entries(message)
            case _:
                return None

    def _mutated(self, node: Process, frame: bytes) -> bytes:
        """Return another frame; a change that the new signature undid is drawn again."""
        cluster_id = node.world.founding.cluster_id
        for _ in range(_DRAWS_MAX):
            other = mutate(frame, self.random, digests=self._digests)
            is_mended = self.random.random() < 0.5
            other = sign_again(other, node.signer, cluster_id, is_mended=is_mended)
            if other != frame:
                return other
        return frame

    def _corrupt(self, node: Process, frame: bytes, said: Said) -> Said:
        """Apply the corruptions of this message, one content for all receivers of each."""
        kind = kind_of(frame)
        nth = self._count.get(kind, 0)
        self._count[kind] = nth + 1
        for one in self.corruptions:
            if (one.kind, one.nth) != (kind, nth):
                continue
            if one.is_lost:
                said = [(target, what) for target, what in said if not one.concerns(target)]
            else:
                other = self._mutated(node, frame)
                said = [(to, other if one.concerns(to) else what) for to, what in said]
        return said

    def _distort(self, node: Process, said: Said) -> Said:
        if Vice.SILENT in self.vices and node.world.clock.now_ms // 1000 % 3 != 2:
            said = [(target, frame) for target, frame in said if target % 3 == 1]
        if Vice.REPLAY in self.vices and said:
            self._said = [*self._said[-_REPLAYED_MAX:], said[0][1]]
            if self._does(Vice.REPLAY, 20):
                said = [*said, (said[-1][0], self.random.choice(self._said))]
        if self._does(Vice.GARBAGE, 10) and said:
            target, frame = said[0]
            noise = bytearray(frame)
            noise[self.random.randrange(len(noise))] ^= 1 << self.random.randrange(8)
            said = [*said, (target, bytes(noise))]
        if Vice.SLOW in self.vices and said:
            return _later(node, said, self.random.randint(100, 900))
        return said

    def _does(self, vice: Vice, percent: int) -> bool:
        return vice in self.vices and self.random.random() * 100 < percent


def _later(node: Process, said: Said, delay_ms: int) -> Said:
    clock = node.world.clock
    clock.call_at(clock.now_ms + delay_ms, lambda: _send_all(node, said))
    return []


def _send_all(node: Process, said: Said) -> None:
    for target, frame in said:
        node.world.send(node, target, frame)
