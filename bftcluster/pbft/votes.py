"""Votes, what exactly is signed, and counting them without verifying more than needed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from bftcluster import codec
from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES
from bftcluster.pbft.verdicts import Verdict
from bftcluster.signing.envelope import Domain


class VoteKind(IntEnum):
    """The votes of PBFT; the number is the frame's kind on the wire."""

    PRE_PREPARE = 1
    PREPARE = 2
    COMMIT = 3
    CHECKPOINT = 4


DOMAINS: Final = {
    VoteKind.PRE_PREPARE: Domain.PRE_PREPARE,
    VoteKind.PREPARE: Domain.PREPARE,
    VoteKind.COMMIT: Domain.COMMIT,
    VoteKind.CHECKPOINT: Domain.CHECKPOINT,
}


@dataclass(frozen=True, slots=True)
class Vote:
    """A replica's signed word that ``digest`` is what ``(epoch, view, seq)`` orders.

    A correct replica signs one per kind, epoch, view and sequence number: two that differ prove
    that it is not correct. The digest covers content only (a re-proposal in a later view keeps
    it); the view is bound by the signature.
    """

    kind: VoteKind
    epoch: Epoch
    view: View
    """0 in a checkpoint vote: checkpoints belong to no view."""
    seq: Seq
    digest: Digest
    """Of the batch; in a checkpoint vote the state root after ``seq``."""
    replica: ReplicaId
    """Who voted: the authenticated sender, or named by a certificate."""
    signature: bytes

    def payload(self, cluster_id: ClusterId) -> bytes:
        """Return what is signed, behind the tag of the kind's domain."""
        return vote_payload(cluster_id, self.epoch, self.view, self.seq, self.digest, self.replica)

    def frame(self) -> bytes:
        """Return the bytes on the wire. The voter is who sends them."""
        return codec.encode(
            [int(self.kind), self.epoch, self.view, self.seq, self.digest, self.signature]
        )


def vote_payload(
    cluster_id: ClusterId, epoch: Epoch, view: View, seq: Seq, digest: Digest, replica: ReplicaId
) -> bytes:
    """Return the signed part of a vote: everything it means, so that it can mean nothing else.

    It is the canonical encoding of ``[cluster, epoch, view, seq, digest, replica]``.
    """
    assert len(replica) == PUBLIC_KEY_SIZE_BYTES, "a replica is named by its key"
    return _payload_prefix(cluster_id, epoch, view, seq, digest) + replica


@lru_cache(maxsize=256)
def _payload_prefix(
    cluster_id: ClusterId, epoch: Epoch, view: View, seq: Seq, digest: Digest
) -> bytes:
    """Return the encoding of a vote's payload up to the voter's key, which comes last.

    Everybody's votes for one slot differ in that only, and each is encoded for its signature.
    """
    voter = bytes(PUBLIC_KEY_SIZE_BYTES)
    return codec.encode([cluster_id, epoch, view, seq, digest, voter])[: -len(voter)]


class VoteSet:
    """The votes of one kind for one slot: the first of each replica, verified only if needed."""

    __slots__ = ("votes",)

    def __init__(self) -> None:
        self.votes: dict[ReplicaId, Vote] = {}

    def add(self, vote: Vote) -> Verdict:
        """Take ``vote`` unless its replica has voted; the second vote never replaces the first."""
        first = self.votes.setdefault(vote.replica, vote)
        if first is vote:
            return Verdict.COUNTED
        return Verdict.DUPLICATE if first.digest == vote.digest else Verdict.CONFLICTING

    def add_known(self, vote: Vote) -> None:
        """Take a vote of our own, or one already verified: it is counted before the others."""
        assert vote.replica not in self.votes, "a correct replica votes once"
        self.votes = {vote.replica: vote, **self.votes}

    def find_certified(
        self,
        digest: Digest,
        quorum: int,
        is_genuine: Callable[[Vote], bool],
        on_forged: Callable[[Vote], None],
    ) -> tuple[Vote, ...] | None:
        """Return ``quorum`` verified votes for ``digest``, or None if there are not as many.

        Verifies nothing until enough votes are here, then as few as it can. A forged vote is
        removed and named; its replica may vote again.
        """
        if len(self.votes) < quorum:
            return None
        candidates = [vote for vote in self.votes.values() if vote.digest == digest]
        if len(candidates) < quorum:
            return None
        genuine: list[Vote] = []
        for vote in candidates:
            if is_genuine(vote):
                genuine.append(vote)
            else:
                del self.votes[vote.replica]
                on_forged(vote)
            if len(genuine) == quorum:
                return tuple(genuine)
        return None

    def popular(self, quorum: int) -> Digest | None:
        """Return the digest that ``quorum`` replicas claim to have voted for, if there is one."""
        if len(self.votes) < quorum:
            return None
        counts: dict[Digest, int] = {}
        for vote in self.votes.values():
            count = counts.get(vote.digest, 0) + 1
            if count >= quorum:
                return vote.digest
            counts[vote.digest] = count
        return None
