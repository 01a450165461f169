"""What a replica says when it gives up a view, or opens one (OSDI'99, section 4.4)."""

from dataclasses import replace

from bftcluster.ids import View
from bftcluster.pbft.core import Core
from bftcluster.pbft.new_view import GENESIS_ROOT, NewViewPlan, voter_digests
from bftcluster.pbft.view_messages import Accepted, Claim, NewView, Proof, ViewChange
from bftcluster.pbft.votes import VoteKind
from bftcluster.signing.envelope import Domain


def make_view_change(core: Core, view: View) -> ViewChange:
    """Return our signed wish for ``view``: what is decided, prepared or voted for."""
    proofs: list[Proof] = []
    accepted: list[Accepted] = []
    for seq in sorted(core.log.slots):
        slot = core.log.slots[seq]
        proof: Proof | None = slot.decided or slot.prepared
        if proof is not None:
            proofs.append(proof)
        voted = slot.accepted_proposal
        if voted is not None and (proof is None or proof.digest != voted.digest):
            accepted.append(Accepted(seq, voted.view, voted.digest))
    stable = core.stable
    unsigned = ViewChange(
        epoch=core.epoch,
        view=view,
        replica=core.me,
        stable=core.log.low,
        state_root=stable.state_root if stable is not None else GENESIS_ROOT,
        claims=tuple(Claim.of(proof) for proof in proofs),
        accepted=tuple(accepted),
        signature=b"",
        checkpoint=stable,
        proofs=tuple(proofs),
    )
    payload = unsigned.payload(core.cluster_id)
    signature = core.guard.sign_view_message(Domain.VIEW_CHANGE, core.epoch, view, payload)
    return replace(unsigned, signature=signature)


def make_new_view(core: Core, plan: NewViewPlan, changes: list[ViewChange]) -> NewView:
    """Return the signed NEW-VIEW that ``plan``, computed from ``changes``, asks for.

    ``changes`` is a quorum of proven VIEW-CHANGEs; the sign guard must allow each proposal.
    """
    changes = sorted(changes, key=lambda change: change.replica)
    proofs: dict[Claim, Proof] = {}
    checkpoint = None
    for change in changes:
        proofs.update(zip(change.claims, change.proofs, strict=True))
        if (change.stable, change.state_root) == (plan.stable, plan.state_root):
            checkpoint = change.checkpoint
    proposals = tuple(
        core.guard.vote(
            VoteKind.PRE_PREPARE, core.epoch, plan.view, choice.seq, choice.digest
        ).signature
        for choice in plan.choices
        if not choice.is_committed
    )
    unsigned = NewView(
        epoch=core.epoch,
        view=plan.view,
        replica=core.me,
        stable=plan.stable,
        state_root=plan.state_root,
        choices=plan.choices,
        voters=voter_digests(changes, core.cluster_id),
        signature=b"",
        view_changes=tuple(replace(c, checkpoint=None, proofs=()) for c in changes),
        checkpoint=checkpoint,
        proofs=tuple(proofs[claim] for claim in plan.claims),
        proposals=proposals,
    )
    payload = unsigned.payload(core.cluster_id)
    signature = core.guard.sign_view_message(Domain.NEW_VIEW, core.epoch, plan.view, payload)
    return replace(unsigned, signature=signature)
