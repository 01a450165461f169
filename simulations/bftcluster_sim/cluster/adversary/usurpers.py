"""A primary that opens a view in which the past is another, and votes for that past.

A lie in a NEW-VIEW alone forks nothing: the replica behind it never votes for it, and without that
vote no quorum comes together. Here the votes come along, so that the rules of NEW-VIEW are all
that stands between the lie and a second decision.
"""

from dataclasses import dataclass, replace
from enum import Enum

from bftcluster.ids import ClusterId, Digest, View
from bftcluster.pbft.certificates import CommitCertificate
from bftcluster.pbft.log import NULL_DIGEST
from bftcluster.pbft.view_messages import Choice, Claim, NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.signing.envelope import Domain, Signer, sign
from bftcluster_sim.cluster.adversary.lies import forgetful
from bftcluster_sim.cluster.adversary.mutations import sign_again
from bftcluster_sim.cluster.environment.signatures import signed_vote


class Pretext(Enum):
    """How a NEW-VIEW comes to order something else."""

    DROP = "nothing in place of what was prepared"
    SUBSTITUTE = "another batch in place of what was prepared"
    INVENT = "another batch, decided already by certificates that nobody signed"
    OUTVOTE = "view changes of one who claims nothing, as often as it takes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usurper:
    """Whoever opens the view."""

    signer: Signer
    cluster_id: ClusterId

    def usurp(self, new_view: NewView, pretext: Pretext, digest: Digest) -> list[bytes]:
        """Return what is said in place of ``new_view``: the lie, and votes for what it orders.

        Args:
            new_view: What follows from its VIEW-CHANGEs.
            pretext: What is wrong with it instead.
            digest: Of the batch to order, where the pretext asks for one; whoever says it has to
                spread the batch as well.
        """
        digest = NULL_DIGEST if pretext is Pretext.DROP else digest
        lie = self._lie(new_view, pretext, digest)
        said = [sign_again(lie.frame(), self.signer, self.cluster_id, is_mended=True)]
        kinds = (VoteKind.PRE_PREPARE, VoteKind.COMMIT)
        for one in () if pretext is Pretext.INVENT else new_view.choices:
            for kind in kinds if pretext is Pretext.OUTVOTE else kinds[1:]:
                vote = Vote(kind, lie.epoch, lie.view, one.seq, digest, lie.replica, bytes(64))
                said.append(signed_vote(vote, self.signer, self.cluster_id).frame())
        return said

    def _lie(self, new_view: NewView, pretext: Pretext, digest: Digest) -> NewView:
        match pretext:
            case Pretext.DROP | Pretext.SUBSTITUTE:
                choices = tuple(Choice(one.seq, digest, False) for one in new_view.choices)
                return replace(new_view, choices=choices)
            case Pretext.INVENT:
                return self._invented(new_view, digest)
            case Pretext.OUTVOTE:
                change = self._resigned(forgetful(_own_change(new_view)))
                changes = (change,) * len(new_view.view_changes)
                return replace(new_view, choices=(), proofs=(), view_changes=changes)

    def _invented(self, new_view: NewView, digest: Digest) -> NewView:
        view = View(max(0, new_view.view - 1))
        nobody = tuple((change.replica, bytes(64)) for change in new_view.view_changes)
        proofs = tuple(
            CommitCertificate(new_view.epoch, view, one.seq, digest, nobody)
            for one in new_view.choices
        )
        claims = tuple(Claim.of(proof) for proof in proofs)
        own = _own_change(new_view)
        changed = self._resigned(replace(own, claims=claims, accepted=()))
        return replace(
            new_view,
            choices=tuple(Choice(one.seq, digest, True) for one in new_view.choices),
            proofs=proofs,
            view_changes=tuple(
                changed if change is own else change for change in new_view.view_changes
            ),
        )

    def _resigned(self, change: ViewChange) -> ViewChange:
        payload = change.payload(self.cluster_id)
        return replace(change, signature=sign(self.signer, Domain.VIEW_CHANGE, payload))


def _own_change(new_view: NewView) -> ViewChange:
    return next(c for c in new_view.view_changes if c.replica == new_view.replica)
