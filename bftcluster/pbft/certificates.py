"""Quorums of signed votes, which convince anybody who knows the membership of their epoch."""

from collections.abc import Iterable
from dataclasses import dataclass

from bftcluster import codec
from bftcluster.errors import BadSignatureError, ThresholdNotMetError, UnknownSignerError
from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import CERTIFICATE_SIZE_MAX_BYTES
from bftcluster.membership import Membership
from bftcluster.pbft import shapes
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.signing.envelope import Verifier


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """COMMITs of a quorum: ``digest`` is what ``seq`` orders, for ever."""

    epoch: Epoch
    view: View
    seq: Seq
    digest: Digest
    """SHA-256 of the batch."""
    signatures: tuple[tuple[ReplicaId, bytes], ...]
    """Sorted by replica."""

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            [self.epoch, self.view, self.seq, self.digest, [list(s) for s in self.signatures]]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "CommitCertificate":
        """Return the certificate that ``data`` encodes; nothing is verified.

        Raises:
            MalformedMessageError: Not a commit certificate.
        """
        value = codec.decode(data, size_max_bytes=CERTIFICATE_SIZE_MAX_BYTES)
        epoch, view, seq, digest, signatures = shapes.array(value, 5, "a commit certificate")
        return cls(
            shapes.epoch(epoch),
            shapes.view(view),
            shapes.seq(seq),
            shapes.digest(digest),
            shapes.signatures(signatures),
        )

    @classmethod
    def of(cls, votes: Iterable[Vote]) -> "CommitCertificate":
        """Return the certificate made of ``votes``, which agree."""
        first, *_ = votes = sorted(votes, key=lambda vote: vote.replica)
        signatures = tuple((vote.replica, vote.signature) for vote in votes)
        return cls(first.epoch, first.view, first.seq, first.digest, signatures)

    def votes(self) -> tuple[Vote, ...]:
        """Return the votes it claims."""
        return tuple(
            Vote(VoteKind.COMMIT, self.epoch, self.view, self.seq, self.digest, signer, made)
            for signer, made in self.signatures
        )


@dataclass(frozen=True, slots=True)
class CheckpointCertificate:
    """CHECKPOINTs of a quorum: ``state_root`` is the state after ``seq``."""

    epoch: Epoch
    seq: Seq
    state_root: Digest
    signatures: tuple[tuple[ReplicaId, bytes], ...]
    """Sorted by replica."""

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            [self.epoch, self.seq, self.state_root, [list(s) for s in self.signatures]]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "CheckpointCertificate":
        """Return the certificate that ``data`` encodes; nothing is verified.

        Raises:
            MalformedMessageError: Not a checkpoint certificate.
        """
        value = codec.decode(data, size_max_bytes=CERTIFICATE_SIZE_MAX_BYTES)
        epoch, seq, root, signatures = shapes.array(value, 4, "a checkpoint certificate")
        return cls(
            shapes.epoch(epoch),
            shapes.seq(seq),
            shapes.digest(root),
            shapes.signatures(signatures),
        )

    @classmethod
    def of(cls, votes: Iterable[Vote]) -> "CheckpointCertificate":
        """Return the certificate made of ``votes``, which agree."""
        first, *_ = votes = sorted(votes, key=lambda vote: vote.replica)
        signatures = tuple((vote.replica, vote.signature) for vote in votes)
        return cls(first.epoch, first.seq, first.digest, signatures)

    def votes(self) -> tuple[Vote, ...]:
        """Return the votes it claims."""
        kind, view = VoteKind.CHECKPOINT, View(0)
        return tuple(
            Vote(kind, self.epoch, view, self.seq, self.state_root, signer, made)
            for signer, made in self.signatures
        )


@dataclass(frozen=True, slots=True)
class PreparedCertificate:
    """The primary's PRE-PREPARE and PREPAREs of others, together a quorum: the P of OSDI'99.

    No other digest can be prepared for the same view and sequence number.
    """

    epoch: Epoch
    view: View
    seq: Seq
    digest: Digest
    proposal_signature: bytes
    """The primary's, over the PRE-PREPARE."""
    signatures: tuple[tuple[ReplicaId, bytes], ...]
    """Of the PREPAREs, sorted by replica; the primary's is not among them."""

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            [
                self.epoch,
                self.view,
                self.seq,
                self.digest,
                self.proposal_signature,
                [list(pair) for pair in self.signatures],
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "PreparedCertificate":
        """Return the certificate that ``data`` encodes; nothing is verified.

        Raises:
            MalformedMessageError: Not a prepared certificate.
        """
        value = codec.decode(data, size_max_bytes=CERTIFICATE_SIZE_MAX_BYTES)
        epoch, view, seq, digest, proposed, signatures = shapes.array(
            value, 6, "a prepared certificate"
        )
        return cls(
            shapes.epoch(epoch),
            shapes.view(view),
            shapes.seq(seq),
            shapes.digest(digest),
            shapes.signature(proposed),
            shapes.signatures(signatures),
        )

    @classmethod
    def of(cls, proposal: Vote, prepares: Iterable[Vote]) -> "PreparedCertificate":
        """Return the certificate made of the PRE-PREPARE and ``prepares``, which agree."""
        pairs = sorted((vote.replica, vote.signature) for vote in prepares)
        return cls(
            proposal.epoch,
            proposal.view,
            proposal.seq,
            proposal.digest,
            proposal.signature,
            tuple(pairs),
        )

    def votes(self, primary: ReplicaId) -> tuple[Vote, ...]:
        """Return the votes it claims, the PRE-PREPARE of ``primary`` first."""
        epoch, view, seq, digest = self.epoch, self.view, self.seq, self.digest
        proposal = Vote(
            VoteKind.PRE_PREPARE, epoch, view, seq, digest, primary, self.proposal_signature
        )
        return (
            proposal,
            *(
                Vote(VoteKind.PREPARE, epoch, view, seq, digest, signer, made)
                for signer, made in self.signatures
            ),
        )


Certificate = CommitCertificate | CheckpointCertificate | PreparedCertificate


def check_certificate(
    certificate: Certificate, membership: Membership, signatures: Signatures
) -> None:
    """Check that a quorum of ``membership`` signed ``certificate``. Cheap checks come first.

    Raises:
        UnknownSignerError: Of another epoch, or signed by somebody who is no member of it.
        ThresholdNotMetError: Fewer signers than a quorum.
        BadSignatureError: A signature is forged.
    """
    if certificate.epoch != membership.epoch:
        raise UnknownSignerError(f"of epoch {certificate.epoch}, not {membership.epoch}")
    if len(certificate.signatures) > membership.n:
        raise UnknownSignerError("more signers than members")
    if isinstance(certificate, PreparedCertificate):
        primary = membership.primary(certificate.view)
        votes = certificate.votes(primary)
        if primary in {signer for signer, _ in certificate.signatures}:
            raise UnknownSignerError("the primary prepared its own proposal")
    else:
        votes = certificate.votes()
    signers = {vote.replica for vote in votes}
    if not signers <= set(membership.replicas):
        raise UnknownSignerError("a signer is no member of the epoch")
    if len(signers) < membership.quorum:
        raise ThresholdNotMetError(required=membership.quorum, signers=signers)
    for vote in votes:
        if not signatures.is_genuine(vote):
            raise BadSignatureError(f"a forged {vote.kind.name.lower()} in a certificate")


def verify_commit_certificate(
    data: bytes, membership: Membership, cluster_id: ClusterId, verifier: Verifier
) -> CommitCertificate:
    """Return the commit certificate in ``data``, for those who follow the log without voting.

    Raises:
        MalformedMessageError: Not a commit certificate.
        SigningError: A quorum of ``membership`` did not sign it.
    """
    certificate = CommitCertificate.from_bytes(data)
    check_certificate(certificate, membership, Signatures(cluster_id=cluster_id, verifier=verifier))
    return certificate


def verify_checkpoint_certificate(
    data: bytes, membership: Membership, cluster_id: ClusterId, verifier: Verifier
) -> CheckpointCertificate:
    """Return the checkpoint certificate in ``data``, likewise.

    Raises:
        MalformedMessageError: Not a checkpoint certificate.
        SigningError: A quorum of ``membership`` did not sign it.
    """
    certificate = CheckpointCertificate.from_bytes(data)
    check_certificate(certificate, membership, Signatures(cluster_id=cluster_id, verifier=verifier))
    return certificate
