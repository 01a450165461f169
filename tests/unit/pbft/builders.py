"""Signed protocol values made by hand, for vectors that change one field at a time."""

from collections.abc import Sequence

from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.membership import Membership
from bftcluster.pbft.certificates import (
    CheckpointCertificate,
    CommitCertificate,
    PreparedCertificate,
)
from bftcluster.pbft.epochs import Epochs, EpochStart
from bftcluster.pbft.new_view import ViewRules
from bftcluster.pbft.pool import request_digest
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key

A = Digest(b"a" * 32)
B = Digest(b"b" * 32)
ROOT = Digest(b"r" * 32)
WINDOW = 32


class WantsAll:
    """A state that refused everything, and wants everything again."""

    def __init__(self, _entries: Sequence[bytes] = ()) -> None:
        pass

    def admissible(self, request: bytes) -> bool:
        return bool(request)

    def name(self, request: bytes) -> Digest:
        return request_digest(request)

    def is_wanted(self, request: bytes) -> bool:
        return bool(request)

    def is_owed(self, request: bytes) -> bool:
        return bool(request)


def members(n: int = 4, epoch: int = 0) -> Membership:
    return Membership(Epoch(epoch), tuple(ReplicaId(sim_key(i)) for i in range(n)))


def rules(n: int = 4) -> ViewRules:
    signatures = Signatures(cluster_id=CLUSTER_ID, verifier=SimVerifier())
    return ViewRules(
        CLUSTER_ID, members(n), Epochs([EpochStart(Seq(1), members(n))]), signatures, WINDOW
    )


def vote(
    kind: VoteKind,
    voter: int,
    *,
    seq: int,
    digest: Digest = A,
    view: int = 0,
    epoch: int = 0,
    cluster_id: ClusterId = CLUSTER_ID,
) -> Vote:
    replica = ReplicaId(sim_key(voter))
    slot = (Epoch(epoch), View(view), Seq(seq))
    payload = vote_payload(cluster_id, *slot, digest, replica)
    signature = sign(SimSigner(replica), DOMAINS[kind], payload)
    return Vote(kind, *slot, digest, replica, signature)


def prepared(
    seq: int,
    digest: Digest = A,
    *,
    view: int = 0,
    n: int = 4,
    voters: tuple[int, ...] | None = None,
    epoch: int = 0,
) -> PreparedCertificate:
    membership = members(n)
    primary = view % n
    others = [i for i in range(n) if i != primary][: membership.quorum - 1]
    proposal = vote(VoteKind.PRE_PREPARE, primary, seq=seq, digest=digest, view=view, epoch=epoch)
    chosen = others if voters is None else voters
    return PreparedCertificate.of(
        proposal,
        [vote(VoteKind.PREPARE, i, seq=seq, digest=digest, view=view, epoch=epoch) for i in chosen],
    )


def committed(
    seq: int, digest: Digest = A, *, view: int = 0, voters: tuple[int, ...] = (0, 1, 2)
) -> CommitCertificate:
    return CommitCertificate.of(
        [vote(VoteKind.COMMIT, i, seq=seq, digest=digest, view=view) for i in voters]
    )


def checkpoint(
    seq: int, root: Digest = ROOT, *, voters: tuple[int, ...] = (0, 1, 2)
) -> CheckpointCertificate:
    return CheckpointCertificate.of(
        [vote(VoteKind.CHECKPOINT, i, seq=seq, digest=root) for i in voters]
    )
