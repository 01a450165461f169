"""What a new view must order: one pure function of the VIEW-CHANGEs, whatever their order.

A NEW-VIEW is believed only by recomputing it (OSDI'99, section 4.4). Each way to get it wrong has
its own reason.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from bftcluster.errors import SigningError
from bftcluster.ids import ClusterId, Digest, Seq, View
from bftcluster.limits import DIGEST_SIZE_BYTES
from bftcluster.membership import Membership
from bftcluster.pbft.certificates import CheckpointCertificate, check_certificate
from bftcluster.pbft.epochs import Epochs
from bftcluster.pbft.log import NULL_DIGEST
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.view_messages import Choice, Claim, NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.signing.envelope import Domain

GENESIS_ROOT = Digest(bytes(DIGEST_SIZE_BYTES))
"""Stands for the state root where no checkpoint is stable yet."""


class Rejection(Enum):
    """Why a VIEW-CHANGE or NEW-VIEW is not believed. The checks run in this order."""

    WRONG_EPOCH = "of another epoch"
    NOT_A_MEMBER = "its sender does not vote in this epoch"
    NOT_THE_PRIMARY = "its sender is not the primary of the view"
    BAD_SIGNATURE = "its signature is forged"
    UNPROVEN_CHECKPOINT = "its checkpoint is not certified"
    CLAIMS_OUT_OF_ORDER = "its claims are not ascending"
    CLAIM_OUTSIDE_WINDOW = "a claim is outside the window above its checkpoint"
    CLAIM_FROM_THE_FUTURE = "a claim is not of an earlier view"
    PROOF_OF_ANOTHER_CLAIM = "a proof is not for its claim"
    UNPROVEN_CLAIM = "a claim's certificate does not hold"
    TOO_FEW_VIEW_CHANGES = "fewer view changes than a quorum"
    DUPLICATE_VOTER = "one replica's view change is counted twice, or they are not sorted"
    WRONG_VIEW = "a view change is for another view"
    OTHER_VIEW_CHANGES = "the view changes are not those its primary signed for"
    WRONG_CHECKPOINT = "it does not start at the highest checkpoint of its view changes"
    WRONG_CHOICES = "its choices do not follow from its view changes"
    WRONG_PROPOSALS = "not one proposal per choice to be voted on"
    FORGED_PROPOSAL = "a proposal's signature is forged"


@dataclass(frozen=True, slots=True)
class NewViewPlan:
    """What follows from a set of VIEW-CHANGEs."""

    view: View
    stable: Seq
    state_root: Digest
    choices: tuple[Choice, ...]
    claims: tuple[Claim, ...]
    """The claim behind each choice that is not null, ascending."""

    @property
    def top(self) -> Seq:
        """The last sequence number the plan decides about: fresh proposals come after it."""
        return Seq(self.stable + len(self.choices))


def compute_new_view(view_changes: Iterable[ViewChange], membership: Membership) -> NewViewPlan:
    """Return what the view that ``view_changes`` ask for must order.

    It starts at their highest stable checkpoint. Up to the highest sequence number any of them
    claims, it orders what the greatest claim says, and null batches where there is none: a batch
    that was decided anywhere was prepared at a quorum, so some correct replica among any quorum
    claims it, and no claim of a later view can differ.

    Args:
        view_changes: Of a quorum of distinct members, for one view, each checked.
        membership: Who votes.
    """
    by_replica = {change.replica: change for change in view_changes}
    changes = [by_replica[replica] for replica in sorted(by_replica)]
    assert len(changes) >= membership.quorum, "a quorum wants the view"
    assert len({change.view for change in changes}) == 1, "they want the same view"
    stable, state_root = max((change.stable, change.state_root) for change in changes)
    best: dict[Seq, Claim] = {}
    for change in changes:
        for claim in change.claims:
            if claim.seq > stable and (claim.seq not in best or best[claim.seq] < claim):
                best[claim.seq] = claim
    choices = []
    for number in range(stable + 1, max(best, default=stable) + 1):
        seq = Seq(number)
        known = best.get(seq)
        if known is None:
            choices.append(Choice(seq, NULL_DIGEST, is_committed=False))
        else:
            choices.append(Choice(seq, known.digest, known.is_committed))
    claims = tuple(best[seq] for seq in sorted(best))
    return NewViewPlan(changes[0].view, stable, state_root, tuple(choices), claims)


@dataclass(frozen=True, slots=True)
class ViewRules:
    """What VIEW-CHANGEs and NEW-VIEWs are checked against."""

    cluster_id: ClusterId
    membership: Membership
    epochs: Epochs
    """A checkpoint may have been certified by the epoch before."""
    signatures: Signatures
    window_size_seqs: int

    def reject_view_change(self, change: ViewChange) -> Rejection | None:
        """Return why ``change`` is not believed, with its proofs, or None."""
        return (
            self.reject_unproven(change)
            or self._reject_checkpoint(change.checkpoint, change.stable, change.state_root)
            or self._reject_proofs(change)
        )

    def reject_unproven(self, change: ViewChange) -> Rejection | None:
        """Return why ``change`` is not believed, without looking at its proofs, or None."""
        if change.epoch != self.membership.epoch:
            return Rejection.WRONG_EPOCH
        if change.replica not in self.membership.replicas:
            return Rejection.NOT_A_MEMBER
        payload = change.payload(self.cluster_id)
        if not self.signatures.is_signed(
            Domain.VIEW_CHANGE, change.replica, payload, change.signature
        ):
            return Rejection.BAD_SIGNATURE
        seqs = [claim.seq for claim in change.claims]
        if any(after <= before for before, after in pairwise(seqs)):
            return Rejection.CLAIMS_OUT_OF_ORDER
        high = change.stable + self.window_size_seqs
        if seqs and not change.stable < seqs[0] <= seqs[-1] <= high:
            return Rejection.CLAIM_OUTSIDE_WINDOW
        if any(claim.view >= change.view for claim in change.claims):
            return Rejection.CLAIM_FROM_THE_FUTURE
        return None

    def reject_new_view(self, new_view: NewView) -> Rejection | None:
        """Return why ``new_view`` is not believed, or None: cheap checks, then signatures."""
        membership = self.membership
        if new_view.epoch != membership.epoch:
            return Rejection.WRONG_EPOCH
        if new_view.replica != membership.primary(new_view.view):
            return Rejection.NOT_THE_PRIMARY
        voters = [change.replica for change in new_view.view_changes]
        if len(voters) < membership.quorum:
            return Rejection.TOO_FEW_VIEW_CHANGES
        if voters != sorted(set(voters)):
            return Rejection.DUPLICATE_VOTER
        if any(change.view != new_view.view for change in new_view.view_changes):
            return Rejection.WRONG_VIEW
        if new_view.voters != voter_digests(new_view.view_changes, self.cluster_id):
            return Rejection.OTHER_VIEW_CHANGES
        payload = new_view.payload(self.cluster_id)
        if not self.signatures.is_signed(
            Domain.NEW_VIEW, new_view.replica, payload, new_view.signature
        ):
            return Rejection.BAD_SIGNATURE
        for change in new_view.view_changes:
            rejection = self.reject_unproven(change)
            if rejection is not None:
                return rejection
        return self._reject_plan(new_view)

    def _reject_plan(self, new_view: NewView) -> Rejection | None:
        """Recompute the plan and compare; only the claims that were chosen need a proof."""
        plan = compute_new_view(new_view.view_changes, self.membership)
        if (new_view.stable, new_view.state_root) != (plan.stable, plan.state_root):
            return Rejection.WRONG_CHECKPOINT
        if new_view.choices != plan.choices:
            return Rejection.WRONG_CHOICES
        if tuple(Claim.of(proof) for proof in new_view.proofs) != plan.claims:
            return Rejection.PROOF_OF_ANOTHER_CLAIM
        if len(new_view.proposals) != sum(not c.is_committed for c in new_view.choices):
            return Rejection.WRONG_PROPOSALS
        rejection = self._reject_checkpoint(
            new_view.checkpoint, new_view.stable, new_view.state_root
        )
        if rejection is not None:
            return rejection
        for proof in new_view.proofs:
            try:
                check_certificate(proof, self.membership, self.signatures)
            except SigningError:
                return Rejection.UNPROVEN_CLAIM
        if not all(self.signatures.is_genuine(vote) for vote in proposals_of(new_view)):
            return Rejection.FORGED_PROPOSAL
        return None

    def _reject_checkpoint(
        self, certificate: CheckpointCertificate | None, stable: Seq, state_root: Digest
    ) -> Rejection | None:
        if certificate is None:
            is_genesis = stable == 0 and state_root == GENESIS_ROOT
            return None if is_genesis else Rejection.UNPROVEN_CHECKPOINT
        if (certificate.seq, certificate.state_root) != (stable, state_root):
            return Rejection.UNPROVEN_CHECKPOINT
        try:
            check_certificate(certificate, self.epochs.of(stable), self.signatures)
        except SigningError:
            return Rejection.UNPROVEN_CHECKPOINT
        return None

    def _reject_proofs(self, change: ViewChange) -> Rejection | None:
        if tuple(Claim.of(proof) for proof in change.proofs) != change.claims:
            return Rejection.PROOF_OF_ANOTHER_CLAIM
        for proof in change.proofs:
            try:
                check_certificate(proof, self.membership, self.signatures)
            except SigningError:
                return Rejection.UNPROVEN_CLAIM
        return None


def voter_digests(view_changes: Sequence[ViewChange], cluster_id: ClusterId) -> tuple[Digest, ...]:
    """Return how a NEW-VIEW names its VIEW-CHANGEs."""
    return tuple(
        Digest(hashlib.sha256(change.payload(cluster_id)).digest()) for change in view_changes
    )


def proposals_of(new_view: NewView) -> tuple[Vote, ...]:
    """Return the PRE-PREPAREs that ``new_view`` contains."""
    open_choices = [choice for choice in new_view.choices if not choice.is_committed]
    return tuple(
        Vote(
            VoteKind.PRE_PREPARE,
            new_view.epoch,
            new_view.view,
            choice.seq,
            choice.digest,
            new_view.replica,
            signature,
        )
        for choice, signature in zip(open_choices, new_view.proposals, strict=True)
    )
