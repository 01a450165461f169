"""VIEW-CHANGE and NEW-VIEW: what is signed, and the proofs that travel beside it unsigned.

Signed are claims only, a few bytes per slot. A certificate that proves a claim convinces by
itself, so a NEW-VIEW carries each one once, whoever of its VIEW-CHANGEs claimed it.
"""

from dataclasses import dataclass
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import (
    CERTIFICATE_SIZE_MAX_BYTES,
    CLAIMS_MAX,
    FRAME_SIZE_MAX_BYTES,
    REPLICAS_MAX,
)
from bftcluster.pbft import shapes
from bftcluster.pbft.certificates import (
    CheckpointCertificate,
    CommitCertificate,
    PreparedCertificate,
)

VIEW_CHANGE: Final = 5
NEW_VIEW: Final = 6

Proof = PreparedCertificate | CommitCertificate


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """That a digest was prepared, or even committed, at a sequence number.

    Of two claims for one sequence number the greater counts: committed before prepared, then the
    higher view.
    """

    seq: Seq
    is_committed: bool
    view: View
    digest: Digest

    def to_wire(self) -> list[object]:
        """Return the value to encode."""
        return [self.seq, self.is_committed, self.view, self.digest]

    @classmethod
    def from_wire(cls, value: Any) -> "Claim":  # noqa: ANN401 - decoded CBOR
        """Return the claim that ``value`` is.

        Raises:
            MalformedMessageError: It is none.
        """
        seq, is_committed, view, digest = shapes.array(value, 4, "a claim")
        if type(is_committed) is not bool:
            raise MalformedMessageError("committed or not")
        return cls(shapes.seq(seq), is_committed, shapes.view(view), shapes.digest(digest))

    @classmethod
    def of(cls, proof: Proof) -> "Claim":
        """Return the claim that ``proof`` proves."""
        is_committed = isinstance(proof, CommitCertificate)
        return cls(proof.seq, is_committed, proof.view, proof.digest)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An element of Q: a proposal its sender voted for, and whose batch it therefore holds.

    With signed certificates nothing depends on it; it says where to fetch a batch.
    """

    seq: Seq
    view: View
    digest: Digest


def _signed_head(cluster_id: ClusterId, message: "ViewChange | NewView") -> list[object]:
    """Return what either is signed with first: whose it is, and from which state on."""
    epoch, view, replica = message.epoch, message.view, message.replica
    return [cluster_id, epoch, view, replica, message.stable, message.state_root]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """A replica's signed wish to enter ``view``, and what it knows to be prepared."""

    epoch: Epoch
    view: View
    """The view wanted."""
    replica: ReplicaId
    stable: Seq
    """Its stable checkpoint."""
    state_root: Digest
    """Of the state there; zeros at genesis."""
    claims: tuple[Claim, ...]
    """One per sequence number above ``stable`` at which it was ever prepared, ascending: P."""
    accepted: tuple[Accepted, ...]
    """Proposals it voted for that no claim names, ascending: what Q says beyond P."""
    signature: bytes
    checkpoint: CheckpointCertificate | None
    """Proof of ``stable``; not signed. None at genesis."""
    proofs: tuple[Proof, ...]
    """Proof of each claim, in the same order; not signed."""

    def payload(self, cluster_id: ClusterId) -> bytes:
        """Return what is signed."""
        return codec.encode(self._signed(cluster_id))

    def _signed(self, cluster_id: ClusterId) -> list[object]:
        return [
            *_signed_head(cluster_id, self),
            [claim.to_wire() for claim in self.claims],
            [[a.seq, a.view, a.digest] for a in self.accepted],
        ]

    def to_wire(self, *, with_proofs: bool) -> list[object]:
        """Return the value to encode; a NEW-VIEW carries the proofs elsewhere."""
        signed = self._signed(ClusterId(b""))[1:]
        checkpoint = self.checkpoint.to_bytes() if with_proofs and self.checkpoint else b""
        proofs = [proof.to_bytes() for proof in self.proofs] if with_proofs else []
        return [*signed, self.signature, checkpoint, proofs]

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([VIEW_CHANGE, *self.to_wire(with_proofs=True)])

    @classmethod
    def from_wire(cls, value: Any, *, with_proofs: bool) -> "ViewChange":  # noqa: ANN401
        """Return the VIEW-CHANGE that ``value`` is; neither signature nor proofs are checked.

        Raises:
            MalformedMessageError: It is none.
        """
        epoch, view, replica, stable, root, claims, accepted, signature, checkpoint, proofs = (
            shapes.array(value, 10, "a view change")
        )
        parsed = tuple(
            Claim.from_wire(claim) for claim in shapes.items(claims, CLAIMS_MAX, "claims")
        )
        blobs = shapes.items(proofs, CLAIMS_MAX, "proofs")
        if len(blobs) != (len(parsed) if with_proofs else 0):
            raise MalformedMessageError("one proof per claim")
        return cls(
            epoch=shapes.epoch(epoch),
            view=shapes.view(view),
            replica=shapes.replica(replica),
            stable=shapes.seq(stable),
            state_root=shapes.digest(root),
            claims=parsed,
            accepted=tuple(
                _accepted(item) for item in shapes.items(accepted, CLAIMS_MAX, "accepted")
            ),
            signature=shapes.signature(signature),
            checkpoint=_checkpoint(checkpoint),
            proofs=tuple(
                _proof(blob, is_committed=claim.is_committed)
                for claim, blob in zip(parsed, blobs, strict=False)
            ),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What a new view orders at a sequence number."""

    seq: Seq
    digest: Digest
    """That of the null batch, if nothing can have been decided here."""
    is_committed: bool
    """Decided already: needs no votes in the new view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    """The new primary's signed opening of ``view``, with everything needed to check it."""

    epoch: Epoch
    view: View
    replica: ReplicaId
    """The primary of ``view``."""
    stable: Seq
    """Where the view starts: the highest stable checkpoint of the VIEW-CHANGEs."""
    state_root: Digest
    choices: tuple[Choice, ...]
    """For each sequence number from ``stable + 1`` on: the O of OSDI'99."""
    voters: tuple[Digest, ...]
    """SHA-256 of the signed bytes of each VIEW-CHANGE below, in order."""
    signature: bytes
    view_changes: tuple[ViewChange, ...]
    """A quorum of them, by replica, without proofs."""
    checkpoint: CheckpointCertificate | None
    """Proof of ``stable``."""
    proofs: tuple[Proof, ...]
    """Proof of each choice that is not null, ascending."""
    proposals: tuple[bytes, ...]
    """Signatures of the PRE-PREPAREs in ``view`` of all choices not committed, ascending."""

    def payload(self, cluster_id: ClusterId) -> bytes:
        """Return what is signed."""
        return codec.encode(self._signed(cluster_id))

    def _signed(self, cluster_id: ClusterId) -> list[object]:
        return [
            *_signed_head(cluster_id, self),
            [[c.seq, c.digest, c.is_committed] for c in self.choices],
            list(self.voters),
        ]

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        checkpoint = self.checkpoint.to_bytes() if self.checkpoint else b""
        return codec.encode(
            [
                NEW_VIEW,
                *self._signed(ClusterId(b""))[1:],
                self.signature,
                [change.to_wire(with_proofs=False) for change in self.view_changes],
                checkpoint,
                [[isinstance(p, CommitCertificate), p.to_bytes()] for p in self.proofs],
                list(self.proposals),
            ]
        )

    @classmethod
    def from_wire(cls, value: Any) -> "NewView":  # noqa: ANN401
        """Return the NEW-VIEW that ``value`` is; nothing is verified.

        Raises:
            MalformedMessageError: It is none.
        """
        epoch, view, replica, stable, root, choices, voters, signature, *beside = shapes.array(
            value, 12, "a new view"
        )
        changes, checkpoint, proofs, proposals = beside
        return cls(
            epoch=shapes.epoch(epoch),
            view=shapes.view(view),
            replica=shapes.replica(replica),
            stable=shapes.seq(stable),
            state_root=shapes.digest(root),
            choices=tuple(_choice(item) for item in shapes.items(choices, CLAIMS_MAX, "choices")),
            voters=tuple(
                shapes.digest(item) for item in shapes.items(voters, REPLICAS_MAX, "voters")
            ),
            signature=shapes.signature(signature),
            view_changes=tuple(
                ViewChange.from_wire(item, with_proofs=False)
                for item in shapes.items(changes, REPLICAS_MAX, "view changes")
            ),
            checkpoint=_checkpoint(checkpoint),
            proofs=tuple(
                _tagged_proof(item) for item in shapes.items(proofs, CLAIMS_MAX, "proofs")
            ),
            proposals=tuple(
                shapes.signature(item) for item in shapes.items(proposals, CLAIMS_MAX, "proposals")
            ),
        )


def parse_view_change_frame(data: bytes) -> ViewChange:
    """Return the VIEW-CHANGE in a frame of ours.

    Raises:
        MalformedMessageError: It is none.
    """
    kind, *value = shapes.tagged(codec.decode(data, size_max_bytes=FRAME_SIZE_MAX_BYTES))
    if kind != VIEW_CHANGE:
        raise MalformedMessageError("not a view change")
    return ViewChange.from_wire(value, with_proofs=True)


def parse_signed_view_change(data: bytes) -> ViewChange:
    """Return the VIEW-CHANGE in what somebody shows of one, without its proofs.

    Raises:
        MalformedMessageError: It is none.
    """
    value = codec.decode(data, size_max_bytes=FRAME_SIZE_MAX_BYTES)
    return ViewChange.from_wire(value, with_proofs=False)


def parse_new_view_frame(data: bytes) -> NewView:
    """Return the NEW-VIEW in a frame we accepted.

    Raises:
        MalformedMessageError: It is none.
    """
    kind, *value = shapes.tagged(codec.decode(data, size_max_bytes=FRAME_SIZE_MAX_BYTES))
    if kind != NEW_VIEW:
        raise MalformedMessageError("not a new view")
    return NewView.from_wire(value)


def _accepted(value: Any) -> Accepted:  # noqa: ANN401
    seq, view, digest = shapes.array(value, 3, "an accepted proposal")
    return Accepted(shapes.seq(seq), shapes.view(view), shapes.digest(digest))


def _choice(value: Any) -> Choice:  # noqa: ANN401
    seq, digest, is_committed = shapes.array(value, 3, "a choice")
    if type(is_committed) is not bool:
        raise MalformedMessageError("committed or not")
    return Choice(shapes.seq(seq), shapes.digest(digest), is_committed)


def _checkpoint(value: Any) -> CheckpointCertificate | None:  # noqa: ANN401
    data = shapes.blob(value, CERTIFICATE_SIZE_MAX_BYTES)
    return CheckpointCertificate.from_bytes(data) if data else None


def _tagged_proof(value: Any) -> Proof:  # noqa: ANN401
    is_committed, data = shapes.array(value, 2, "a proof")
    if type(is_committed) is not bool:
        raise MalformedMessageError("committed or not")
    return _proof(data, is_committed=is_committed)


def _proof(value: Any, *, is_committed: bool) -> Proof:  # noqa: ANN401
    data = shapes.blob(value, CERTIFICATE_SIZE_MAX_BYTES)
    if is_committed:
        return CommitCertificate.from_bytes(data)
    return PreparedCertificate.from_bytes(data)
