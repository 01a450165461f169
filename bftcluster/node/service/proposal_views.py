"""Proposals as the HTTP API shows them: values in, values out."""

from bftcluster.api.views import ProposalView, SignerView
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.state.records import ClosedProposal, ProposalRecord, ProposalState
from bftcluster.ledger.wire.operations import content_of, label_of
from bftcluster.signing.approvals import Approval
from bftcluster.signing.policies import Policy


def proposal_view(record: ProposalRecord, policy: Policy, *, now_ms: int) -> ProposalView:
    """Return a proposal as maintainers see it."""
    operation = record.operation
    state = "expired" if now_ms >= record.intent.expires_ms else "pending"
    return ProposalView(
        digest=record.intent.digest,
        intent=record.intent.encoded,
        kind=label_of(operation),
        cid=content_of(operation),
        name=operation.subject,
        state=state,
        threshold=policy.threshold,
        approvals=tuple(_signer(vote, policy) for vote in record.approvals),
        rejections=tuple(_signer(vote, policy) for vote in record.rejections),
        proposed_ms=record.proposed_ms,
        not_before_ms=record.intent.not_before_ms,
        expires_ms=record.intent.expires_ms,
        seq=Seq(0),
    )


def closed_view(digest: Digest, record: ClosedProposal, policy: Policy) -> ProposalView:
    """Return what is left of a decided proposal; what was signed is on the log."""
    return ProposalView(
        digest=digest,
        intent=b"",
        kind="",
        cid=None,
        name="",
        state="committed" if record.state is ProposalState.EXECUTED else "rejected",
        threshold=policy.threshold,
        approvals=(),
        rejections=(),
        proposed_ms=record.proposed_ms,
        not_before_ms=0,
        expires_ms=record.expires_ms,
        seq=record.seq,
    )


def _signer(vote: Approval, policy: Policy) -> SignerView:
    known = vote.maintainer in policy.positions
    return SignerView(
        maintainer=vote.maintainer,
        name=policy.name_of(vote.maintainer) if known else "",
        signature=vote.signature,
    )
