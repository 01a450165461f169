"""A peer in memory: it really keeps pins, proposals and content, and obeys the port's contract."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import trio

from bftcluster import cid as cids
from bftcluster.api import views
from bftcluster.api.ports import ClusterService, Wait
from bftcluster.cid import Cid
from bftcluster.errors import (
    NotFoundError,
    NotReachedError,
    RefusedError,
)
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.view import PinInfo
from bftcluster.signing.policies import Policy
from tests.unit.api.memory_audits import MemoryAudits
from tests.unit.api.memory_content import Tree
from tests.unit.api.memory_peers import MemoryPeers
from tests.unit.api.ordered import (
    GENESIS,
    MAINTAINER,
    ME,
    NOW_MS,
    PEERS,
    POLICY,
    pin_record,
)


@dataclass
class MemoryService(MemoryPeers, MemoryAudits):
    """One peer of four. ``approvals_needed`` 1: what its maintainer proposes is committed."""

    has_key: bool = True
    approvals_needed: int = 1
    fails_after_pages: int | None = None
    """Page number from which every listing fails."""
    statuses: dict[tuple[Cid, PeerId], TrackerStatus] = field(default_factory=dict)
    waiting: list[views.RepairView] = field(default_factory=list)
    submitted: list[bytes] = field(default_factory=list)
    pages_submitted: list[int] = field(default_factory=list)
    last_add: views.UploadOptions | None = None
    closed_listings: int = 0
    stalled: trio.Event | None = None
    """Uploads, reads, submissions and the deleting of garbage wait until it is set."""

    @property
    def ports(self) -> ClusterService:
        """This peer, as the API takes it."""
        return ClusterService(
            operations=self,
            peers=self,
            members=self,
            audits=self,
            health=self,
            cluster_health=self,
            exposition=self,
            pinset=self,
            pins=self,
            uploads=self,
            content=self,
            garbage=self,
            proposals=self,
            policy=self.policy,
            genesis=self.genesis,
        )

    def genesis(self) -> Genesis:
        return GENESIS

    async def pins(self) -> views.Pages[PinRecord]:
        async with aclosing(self._listing()) as listing:
            async for page in listing:
                yield [self.kept[cid] for cid in page]

    async def pin(self, cid: Cid) -> PinRecord | None:
        return self.kept.get(cid)

    async def pin_statuses(self, *, local: bool) -> views.Pages[views.PinStatusView]:
        async with aclosing(self._listing()) as listing:
            async for page in listing:
                yield [await self.pin_status(cid, local=local) for cid in page]

    async def pin_status(self, cid: Cid, *, local: bool) -> views.PinStatusView:
        record = self.kept.get(cid)
        missing = TrackerStatus.PINNED if record else TrackerStatus.UNPINNED
        return views.PinStatusView(
            cid=cid,
            record=record,
            peers=tuple(
                views.PeerPinView(
                    info=PinInfo(
                        cid=cid,
                        peer=peer,
                        status=self.statuses.get((cid, peer), missing),
                        timestamp_ms=NOW_MS,
                    ),
                    peername=f"peer-{peer[0]}",
                    ipfs=views.IpfsView(id="12D3KooWipfs", addresses=("/ip4/127.0.0.1/tcp/4001",)),
                )
                for peer in (PEERS[:1] if local else PEERS[:2])
            ),
        )

    async def propose_pin(self, operation: PinOperation) -> views.PinOutcome:
        self._require_key()
        cid, committed = operation.cid, self.approvals_needed == 1
        if committed:
            self.kept[cid] = pin_record(operation)
        return views.PinOutcome(
            pin=self.kept[cid] if committed else operation,
            proposed_ms=NOW_MS,
            committed=committed,
            proposal=self._propose("pin", cid, operation.name),
        )

    async def propose_unpin(self, cid: Cid) -> views.PinOutcome:
        self._require_key()
        record = self._pinned(cid)
        committed = self.approvals_needed == 1
        if committed:
            del self.kept[cid]
        return views.PinOutcome(
            pin=record,
            proposed_ms=NOW_MS,
            committed=committed,
            proposal=self._propose("unpin", cid, ""),
        )

    async def recover(self, cid: Cid) -> views.PinStatusView:
        self._pinned(cid)
        if self.statuses.get((cid, ME)) is TrackerStatus.PIN_ERROR:
            self.statuses[cid, ME] = TrackerStatus.PIN_QUEUED
        return await self.pin_status(cid, local=True)

    async def recover_all(self) -> views.Pages[views.PinStatusView]:
        for cid, peer in sorted(self.statuses):
            if peer == ME and self.statuses[cid, ME] is TrackerStatus.PIN_ERROR:
                yield [await self.recover(cid)]

    async def collect_garbage(self) -> views.GarbageView:
        if self.stalled is not None:
            await self.stalled.wait()
        garbage = sorted(cid for cid in self.content_of if cid not in self.kept)
        for cid in garbage:
            del self.content_of[cid]
        return views.GarbageView(peer=ME, peername="peer-1", roots=tuple(garbage))

    async def add(
        self, parts: AsyncIterator[views.UploadPart], options: views.UploadOptions
    ) -> AsyncGenerator[views.UploadEvent, None]:
        self.last_add = options
        if self.stalled is not None:
            await self.stalled.wait()
        if not options.no_pin:
            self._require_key()
        tree: Tree = {}
        held: views.UploadEvent | None = None
        async for part in parts:
            async for event in self.import_part(part, tree, progress=options.progress):
                if held is not None:
                    yield held
                held = event
        if options.wrap_with_directory or isinstance(next(iter(tree.values())), dict):
            for event in self.store_tree("", tree):
                if event.name or options.wrap_with_directory:
                    assert held is not None, "the API refuses an empty upload"
                    yield held
                    held = event
        assert held is not None, "the API refuses an empty upload"
        assert held.cid is not None, "what is last is complete"
        proposal = None
        if not options.no_pin:
            outcome = await self.propose_pin(options.pin.operation(held.cid))
            proposal = None if outcome.committed else outcome.proposal
        yield replace(held, allocations=PEERS[:2], proposal=proposal)

    async def open(self, cid: Cid) -> views.ContentView:
        if self.stalled is not None:
            await self.stalled.wait()
        return await super().open(cid)

    async def submit(
        self, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
    ) -> Sequence[views.SubmitOutcome]:
        if any(request == b"unreachable" for request in requests):
            raise NotReachedError("no quorum")
        if self.stalled is not None:
            await self.stalled.wait()
        self.pages_submitted.append(len(requests))
        return [self._outcome(request, wait, timeout_ms) for request in requests]

    async def repairs(self, limit: int) -> Sequence[views.RepairView]:
        return self.waiting[:limit]

    async def proposals(self) -> views.Pages[views.ProposalView]:
        for proposal in self.open_proposals.values():
            yield [proposal]

    async def proposal(self, digest: Digest) -> views.ProposalView:
        if digest not in self.open_proposals:
            raise NotFoundError("no such proposal")
        return self.open_proposals[digest]

    async def certificate(self, cid: Cid) -> views.CertificateView:
        pin = self._pinned(cid)
        return views.CertificateView(
            cid=cid,
            intent_digest=Digest(b"\xdd" * 32),
            intent=b"intent",
            approval_certificate=b"certificate",
            policy=b"policy",
            approvers=(self._signer(),),
            threshold=1,
            seq=Seq(5),
            timestamp_ms=pin.timestamp_ms,
            log_entry=b"entry",
        )

    def policy(self) -> Policy:
        return POLICY

    def _pinned(self, cid: Cid) -> PinRecord:
        if cid not in self.kept:
            raise NotFoundError(f"{cids.text(cid)} is not pinned")
        return self.kept[cid]

    async def _listing(self) -> views.Pages[Cid]:
        """Two pins a page."""
        try:
            ordered = sorted(self.kept)
            for number, start in enumerate(range(0, len(ordered), 2)):
                if number == self.fails_after_pages:
                    raise NotReachedError("the store stopped answering")
                yield ordered[start : start + 2]
        finally:
            self.closed_listings += 1

    def _outcome(self, request: bytes, wait: Wait, timeout_ms: int) -> views.SubmitOutcome:
        self.submitted.append(request)
        digest = Digest(hashlib.sha256(request).digest())
        if request == b"\xff":
            return views.SubmitOutcome(digest=None, code="malformed", detail="not CBOR", seq=Seq(0))
        if wait is Wait.NONE:
            return views.SubmitOutcome(digest=digest, code="accepted", detail="", seq=Seq(0))
        if timeout_ms == 0:
            return views.SubmitOutcome(digest=digest, code="timeout", detail="", seq=Seq(0))
        seq = Seq(len(self.submitted))
        return views.SubmitOutcome(digest=digest, code="committed", detail="", seq=seq)

    def _require_key(self) -> None:
        if not self.has_key:
            raise RefusedError(
                "this peer holds no maintainer key", hint="sign with `bftcluster pin add`"
            )

    def _propose(self, kind: str, cid: Cid, name: str) -> Digest:
        intent = f"{kind} {cids.text(cid)} {len(self.open_proposals)}".encode()
        digest = Digest(hashlib.sha256(intent).digest())
        if self.approvals_needed > 1:
            self.open_proposals[digest] = views.ProposalView(
                digest=digest,
                intent=intent,
                kind=kind,
                cid=cid,
                name=name,
                state="pending",
                threshold=self.approvals_needed,
                approvals=(self._signer(),),
                rejections=(),
                proposed_ms=NOW_MS,
                not_before_ms=0,
                expires_ms=NOW_MS + 3_600_000,
                seq=Seq(9),
            )
        return digest

    def _signer(self) -> views.SignerView:
        return views.SignerView(maintainer=MAINTAINER, name="ada", signature=b"\x55" * 64)
