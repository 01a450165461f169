"""What waits for approvals, and who gave them, as the API's clients see it."""

from functools import partial

from bftcluster import codec
from bftcluster.api.http.errors import PinNotFoundError
from bftcluster.api.views import CertificateView, Pages, ProposalView, SignerView
from bftcluster.cid import Cid
from bftcluster.errors import NotFoundError
from bftcluster.ids import Digest
from bftcluster.ledger.state.records import ClosedProposal
from bftcluster.node.ports import Clock
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.approval_archive import approval_certificate, signatures_of
from bftcluster.node.service.proposal_views import closed_view, proposal_view


class ProposalService:
    """Implements the API's port of proposals."""

    def __init__(self, reads: LedgerReads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock

    async def proposals(self) -> Pages[ProposalView]:
        """Yield the open proposals."""
        policy = await self._reads.policy()
        now_ms = self._clock.wall_ms()
        show = partial(proposal_view, policy=policy, now_ms=now_ms)
        async for views in self._reads.proposals(show):
            yield sorted(
                (view for view in views if view.state == "pending"),
                key=lambda view: (view.proposed_ms, view.digest),
            )

    async def proposal(self, digest: Digest) -> ProposalView:
        """Return one proposal, open or decided."""
        record = await self._reads.proposal(digest)
        if record is None:
            raise NotFoundError(
                "no such proposal, or it has expired",
                hint="`bftcluster pin pending` lists those that wait",
            )
        policy = await self._reads.policy()
        if isinstance(record, ClosedProposal):
            return closed_view(digest, record, policy)
        return proposal_view(record, policy, now_ms=self._clock.wall_ms())

    async def certificate(self, cid: Cid) -> CertificateView:
        """Return the proof for one pin."""
        record = await self._reads.pin(cid)
        if record is None:
            raise PinNotFoundError
        policy = await self._reads.policy()
        certificate = await approval_certificate(self._reads, record, policy)
        entries = await self._reads.log_entries(record.seq, 1)
        return CertificateView(
            cid=cid,
            intent_digest=record.intent_digest,
            intent=certificate.intent,
            approval_certificate=codec.encode(certificate.to_wire()),
            policy=policy.to_bytes(),
            approvers=tuple(
                SignerView(maintainer=key, name=policy.name_of(key), signature=signature)
                for key, signature in signatures_of(certificate, policy)
            ),
            threshold=policy.threshold,
            seq=record.seq,
            timestamp_ms=record.timestamp_ms,
            log_entry=entries[0] if entries else b"",
        )
