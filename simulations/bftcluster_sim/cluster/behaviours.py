"""Byzantine peers: a real replica whose words are changed, doubled, delayed or swallowed.

Everything they sign is signed with their own key only, so nothing here forges. The mutations are of
small scope, one field by one (ByzzFuzz, OOPSLA'23): those find more bugs than noise does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random

from bftcluster.errors import ClusterError
from bftcluster.ids import Digest, Epoch, Seq, View
from bftcluster.pbft import Batch, Outbound
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body, Entries, Status, parse_frame
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind
from bftcluster.signing.envelope import sign
from bftcluster_sim.cluster.nodes import Node

_REPLAYED_MAX = 64


class Vice(Enum):
    """One way to misbehave."""

    SILENT = "says nothing to some, for a while"
    EQUIVOCATE = "proposes one batch to some and another to the others, and votes for both"
    MUTATE = "changes one field of a vote, or a status, for some"
    REPLAY = "says again what it said long ago"
    WITHHOLD = "lets one other see its commits"
    SLOW = "speaks late"
    GARBAGE = "sends noise"


@dataclass(slots=True)
class Byzantine:
    """A behaviour made of vices, drawn by one generator."""

    vices: frozenset[Vice]
    random: Random
    _batches: dict[Digest, bytes] = field(default_factory=dict)
    _second: dict[tuple[View, Seq], Digest] = field(default_factory=dict)
    _digests: list[Digest] = field(default_factory=list)
    _said: list[bytes] = field(default_factory=list)

    def outbound(self, node: Node, outbound: Outbound) -> list[tuple[int, bytes]]:
        """See ``nodes.Behaviour``."""
        said = [(target, outbound.frame) for target in node.targets(outbound)]
        try:
            message = parse_frame(node.key, outbound.frame)
        except ClusterError:
            return said
        if isinstance(message, Body):
            self._batches[batch_digest(message.batch)] = message.batch
        if isinstance(message, Vote) and message.kind is not VoteKind.CHECKPOINT:
            self._digests.append(message.digest)
            said = self._twist_vote(node, message, said)
        elif isinstance(message, Status | Entries) and self._does(Vice.MUTATE, 20):
            said = self._twist_hint(message, said)
        return self._distort(node, said)

    def _twist_vote(
        self, node: Node, vote: Vote, said: list[tuple[int, bytes]]
    ) -> list[tuple[int, bytes]]:
        if Vice.EQUIVOCATE in self.vices:
            said = self._equivocate(node, vote, said)
        if Vice.WITHHOLD in self.vices and vote.kind is VoteKind.COMMIT and said:
            said = said[:1]
        if self._does(Vice.MUTATE, 30):
            other = _signed(node, self._mutate(vote))
            said = [
                (target, other if self.random.random() < 0.5 else frame) for target, frame in said
            ]
        return said

    def _equivocate(
        self, node: Node, vote: Vote, said: list[tuple[int, bytes]]
    ) -> list[tuple[int, bytes]]:
        """Tell peers of odd number about a second batch, consistently."""
        slot = (vote.view, vote.seq)
        odd = [target for target, _ in said if target % 2]
        if vote.kind is VoteKind.PRE_PREPARE and vote.digest in self._batches:
            batch = Batch.from_bytes(self._batches[vote.digest])
            second = replace(batch, timestamp_ms=batch.timestamp_ms + 1).to_bytes()
            self._second[slot] = batch_digest(second)
            for target in odd:
                node.world.send(node, target, Body(second).frame())
        digest = self._second.get(slot)
        if digest is None:
            return said
        other = _signed(node, replace(vote, digest=digest))
        return [(target, other if target in odd else frame) for target, frame in said]

    def _mutate(self, vote: Vote) -> Vote:
        step = self.random.choice((-1, 1))
        changes: list[Callable[[], Vote]] = [
            lambda: replace(vote, view=View(max(0, vote.view + step))),
            lambda: replace(vote, seq=Seq(max(1, vote.seq + step))),
            lambda: replace(vote, epoch=Epoch(vote.epoch + 1)),
            lambda: replace(vote, digest=self.random.choice(self._digests)),
            lambda: replace(vote, digest=Digest(self.random.randbytes(32))),
            lambda: replace(vote, kind=self.random.choice(tuple(VoteKind))),
        ]
        return self.random.choice(changes)()

    def _twist_hint(
        self, message: Status | Entries, said: list[tuple[int, bytes]]
    ) -> list[tuple[int, bytes]]:
        """Lie about where we are, or change a log entry that somebody asked for."""
        if isinstance(message, Status):
            ahead = self.random.choice((-1, 1, 7, 1_000))
            frame = replace(
                message,
                view=View(max(0, message.view + ahead)),
                target_view=View(max(0, message.target_view + ahead)),
                decided=Seq(max(0, message.decided + ahead)),
                executed=Seq(max(0, message.executed + ahead)),
            ).frame()
        else:
            entries = list(message.entries)
            if entries:
                entries[self.random.randrange(len(entries))] = self.random.randbytes(40)
            frame = replace(message, entries=tuple(entries)).frame()
        return [(target, frame) for target, _ in said]

    def _distort(self, node: Node, said: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
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
            later_ms = node.world.clock.now_ms + self.random.randint(100, 900)
            node.world.clock.call_at(later_ms, lambda: _send_all(node, said))
            return []
        return said

    def _does(self, vice: Vice, percent: int) -> bool:
        return vice in self.vices and self.random.random() * 100 < percent


def _send_all(node: Node, said: list[tuple[int, bytes]]) -> None:
    for target, frame in said:
        node.world.send(node, target, frame)


def _signed(node: Node, vote: Vote) -> bytes:
    payload = vote.payload(node.world.founding.cluster_id)
    return replace(vote, signature=sign(node.signer, DOMAINS[vote.kind], payload)).frame()
