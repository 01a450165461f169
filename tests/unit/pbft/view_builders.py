"""VIEW-CHANGEs and NEW-VIEWs made by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bftcluster.ids import Epoch, ReplicaId, Seq, View
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.new_view import GENESIS_ROOT, compute_new_view, voter_digests
from bftcluster.pbft.view_messages import Claim, NewView, Proof, ViewChange
from bftcluster.pbft.votes import VoteKind
from bftcluster.signing.envelope import Domain, sign
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner, sim_key
from tests.unit.pbft.builders import members, vote


def resign(change: ViewChange) -> ViewChange:
    payload = change.payload(CLUSTER_ID)
    signature = sign(SimSigner(change.replica), Domain.VIEW_CHANGE, payload)
    return replace(change, signature=signature)


def view_change(
    voter: int,
    *,
    view: int = 1,
    proofs: Sequence[Proof] = (),
    stable: CheckpointCertificate | None = None,
) -> ViewChange:
    return resign(
        ViewChange(
            epoch=Epoch(0),
            view=View(view),
            replica=ReplicaId(sim_key(voter)),
            stable=stable.seq if stable else Seq(0),
            state_root=stable.state_root if stable else GENESIS_ROOT,
            claims=tuple(Claim.of(proof) for proof in proofs),
            accepted=(),
            signature=b"",
            checkpoint=stable,
            proofs=tuple(proofs),
        )
    )


def sign_new_view(new_view: NewView, *, signer: int | None = None) -> NewView:
    key = new_view.replica if signer is None else sim_key(signer)
    payload = new_view.payload(CLUSTER_ID)
    return replace(new_view, signature=sign(SimSigner(key), Domain.NEW_VIEW, payload))


def new_view(changes: Iterable[ViewChange], *, n: int = 4) -> NewView:
    """Return what a correct primary makes of ``changes``."""
    changes = sorted(changes, key=lambda change: change.replica)
    plan = compute_new_view(changes, members(n))
    proofs = {c: p for change in changes for c, p in zip(change.claims, change.proofs, strict=True)}
    checkpoints = {change.stable: change.checkpoint for change in changes}
    return sign_new_view(
        NewView(
            epoch=Epoch(0),
            view=plan.view,
            replica=members(n).primary(plan.view),
            stable=plan.stable,
            state_root=plan.state_root,
            choices=plan.choices,
            voters=voter_digests(changes, CLUSTER_ID),
            signature=b"",
            view_changes=tuple(replace(c, checkpoint=None, proofs=()) for c in changes),
            checkpoint=checkpoints[plan.stable],
            proofs=tuple(proofs[claim] for claim in plan.claims),
            proposals=tuple(
                vote(
                    VoteKind.PRE_PREPARE,
                    plan.view % n,
                    seq=choice.seq,
                    digest=choice.digest,
                    view=plan.view,
                ).signature
                for choice in plan.choices
                if not choice.is_committed
            ),
        )
    )
