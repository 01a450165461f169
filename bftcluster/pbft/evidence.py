"""Proof that a member contradicted itself, which convinces anybody and cannot be made up.

Two valid signatures of one key, over statements that a correct replica never both signs. Silence,
slowness and wrong content prove nothing and are not evidence.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster import codec
from bftcluster.errors import BadSignatureError, MalformedMessageError, UnknownSignerError
from bftcluster.ids import ClusterId, ReplicaId
from bftcluster.limits import EVIDENCE_SIZE_MAX_BYTES
from bftcluster.membership import Membership
from bftcluster.pbft import shapes
from bftcluster.pbft.core import Core
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind
from bftcluster.signing.envelope import Verifier, is_valid

_KINDS: Final = {kind.value: kind for kind in VoteKind}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two votes of one replica for one slot that differ in the digest only."""

    first: Vote
    second: Vote

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: equal for both orders of the votes."""
        low, high = sorted((self.first, self.second), key=lambda vote: vote.digest)
        return codec.encode(
            [
                low.kind.value,
                low.epoch,
                low.view,
                low.seq,
                low.replica,
                low.digest,
                low.signature,
                high.digest,
                high.signature,
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Evidence":
        """Return the evidence that ``data`` encodes; nothing is verified.

        Raises:
            MalformedMessageError: Not evidence, or the two digests are equal.
        """
        value = codec.decode(data, size_max_bytes=EVIDENCE_SIZE_MAX_BYTES)
        number, epoch, view, seq, replica, digest, made, other, also = shapes.array(
            value, 9, "evidence"
        )
        kind = _KINDS.get(shapes.counter(number))
        if kind is None:
            raise MalformedMessageError("evidence is about votes")
        slot = (shapes.epoch(epoch), shapes.view(view), shapes.seq(seq))
        culprit = shapes.replica(replica)
        if not shapes.digest(digest) < shapes.digest(other):
            raise MalformedMessageError("the digests differ, the lower one first")
        return cls(
            Vote(kind, *slot, digest, culprit, shapes.signature(made)),
            Vote(kind, *slot, other, culprit, shapes.signature(also)),
        )


def verify_evidence(
    data: bytes, membership: Membership, cluster_id: ClusterId, verifier: Verifier
) -> ReplicaId:
    """Return whom the evidence in ``data`` convicts.

    Raises:
        MalformedMessageError: Not evidence.
        UnknownSignerError: Not about a member of that epoch.
        BadSignatureError: It convicts nobody, except perhaps who made it up.
    """
    evidence = Evidence.from_bytes(data)
    culprit = evidence.first.replica
    if evidence.first.epoch != membership.epoch or culprit not in membership.replicas:
        raise UnknownSignerError("evidence against somebody who did not vote in this epoch")
    for vote in (evidence.first, evidence.second):
        domain, payload = DOMAINS[vote.kind], vote.payload(cluster_id)
        if not is_valid(verifier, domain, culprit, payload, vote.signature):
            raise BadSignatureError("a vote in the evidence is forged")
    return culprit


def accuse(core: Core, first: Vote, second: Vote) -> None:
    """Hand out evidence, if both votes are genuine and there is none against the voter yet."""
    if first.replica in core.accused:
        return
    if core.signatures.is_genuine(first) and core.signatures.is_genuine(second):
        core.accused.add(first.replica)
        core.out.evidence.append(Evidence(first, second).to_bytes())
