"""One peer as its HTTP clients see it: reads of the ledger, and the one door in."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from bftcluster import __version__, codec
from bftcluster.api.errors import PinNotFoundError
from bftcluster.api.member_views import MemberView
from bftcluster.api.ports import Wait
from bftcluster.api.views import (
    AddEvent,
    AddOptions,
    AddPart,
    CertificateView,
    ContentView,
    GenesisView,
    IdView,
    IpfsView,
    MetricView,
    Pages,
    PinOptions,
    PinOutcome,
    PinStatusView,
    PinView,
    PolicyView,
    ProposalView,
    SignerView,
    StatusView,
    SubmitOutcome,
)
from bftcluster.cid import Cid
from bftcluster.errors import NotFoundError
from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import ClosedProposal, PeerRecord, PinRecord
from bftcluster.ledger.wire.operations import UnpinOperation
from bftcluster.node.ingress.delegated_proposals import DelegatedProposer
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.submissions import submit_all
from bftcluster.node.loops.tracking import TrackerLoop
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.approval_archive import approval_certificate, signatures_of
from bftcluster.node.service.content import Content
from bftcluster.node.service.metric_views import metric_views
from bftcluster.node.service.peer_status import PeerStatus
from bftcluster.node.service.pin_views import (
    closed_view,
    genesis_view,
    pin_operation,
    pin_status_view,
    pin_view,
    policy_view,
    proposal_view,
    unpinned_view,
)
from bftcluster.signing.keys import peer_id_text


class NodeService:
    """Implements the API's ``ClusterService``."""

    def __init__(
        self,
        *,
        parts: Parts,
        reads: LedgerReads,
        peer_status: PeerStatus,
        gateway: Gateway,
        tracker: TrackerLoop,
        content: Content,
        proposer: DelegatedProposer,
        clock: Clock,
        judges: Workers,
    ) -> None:
        self._parts = parts
        self._reads = reads
        self._peer_status = peer_status
        self._gateway = gateway
        self._tracker = tracker
        self._content = content
        self._proposer = proposer
        self._clock = clock
        self._judges = judges
        self._started_ms = clock.now_ms()

    # This peer and the others

    def version(self) -> str:
        """Return the version of the software."""
        return __version__

    def id(self) -> IdView:
        """Return this peer."""
        return self._id_view(self._peer_status.own_record())

    def peers(self) -> Sequence[IdView]:
        """Return every admitted peer, sorted by id."""
        peers = self._reads.peers()
        evidence = queries.evidence_by_peer(self._parts.store.reader)
        views = [self._id_view(peers[peer]) for peer in sorted(peers)]
        return [
            replace(view, evidence=evidence[view.peer].digest) if view.peer in evidence else view
            for view in views
        ]

    def problem(self) -> str:
        """Return why this peer cannot serve now; reads memory only."""
        return self._peer_status.problem()

    async def status(self) -> StatusView:
        """Return how this peer is doing."""
        parts, replica = self._parts, self._parts.replica
        head = await self._reads.head()
        stat = parts.blocks.stat()
        damage = parts.blocks.damage()
        log_use = self._peer_status.log_use()
        return StatusView(
            cluster_id=parts.genesis.cluster_id,
            peer=parts.me,
            peername=parts.name,
            role=self._peer_status.role(),
            epoch=replica.membership.epoch,
            view=replica.view,
            primary=PeerId(replica.primary),
            last_executed=replica.last_executed,
            last_stable=replica.stable,
            links=tuple(self._peer_status.links()),
            used_bytes=stat.used_bytes,
            quota_bytes=stat.quota_bytes,
            log_bytes=log_use.size_bytes,
            log_budget_bytes=log_use.budget_bytes,
            log_full_in_ms=log_use.full_in_ms,
            blocks=stat.blocks,
            damaged_blocks=damage.blocks,
            damaged_found=damage.found,
            damaged_healed=damage.healed,
            pins=head.pins,
            proposals=head.proposals_open,
            tracker=self._tracker.counts(),
            uptime_ms=self._clock.now_ms() - self._started_ms,
            problem=self.problem(),
            silence=replica.silence,
        )

    async def members(self) -> Sequence[MemberView]:
        """Return every admitted peer's place in the cluster."""
        return await self._peer_status.members()

    def metrics(self) -> Sequence[MetricView]:
        """Return who is reachable, what each peer last said it has free, and what rotted here."""
        return metric_views(
            self._reads.peers(),
            self._peer_status.is_connected,
            me=self._parts.me,
            damage=self._parts.blocks.damage(),
            now_ms=self._clock.wall_ms(),
            lifetime_ms=2 * self._parts.config.network.heartbeat_interval_ms,
        )

    # The pinset

    async def allocations(self) -> Pages[PinView]:
        """Yield the pinset."""
        async for page in self._reads.pins():
            yield [pin_view(record) for record in page]

    async def allocation(self, cid: Cid) -> PinView:
        """Return one pin."""
        return pin_view(await self._pin(cid))

    async def pins(self, *, local: bool) -> Pages[PinStatusView]:
        """Yield the status of the whole pinset."""
        async for page in self._reads.pins():
            yield await self._status_views(page, local=local)

    async def pin_status(self, cid: Cid, *, local: bool) -> PinStatusView:
        """Return the status of any CID."""
        record = await self._reads.pin(cid)
        if record is None:
            return unpinned_view(cid, self._shown_peers(local=local))
        [view] = await self._status_views([record], local=local)
        return view

    async def pin(self, cid: Cid, options: PinOptions) -> PinOutcome:
        """Propose a pin in the name of this peer's maintainer key."""
        proposed = await self._proposer.propose(pin_operation(cid, options))
        record = await self._reads.pin(cid)
        shown = PinView(cid=cid, options=options, timestamp_ms=self._clock.wall_ms())
        return PinOutcome(
            pin=pin_view(record) if record is not None and proposed.committed else shown,
            committed=proposed.committed,
            proposal=proposed.digest,
        )

    async def unpin(self, cid: Cid) -> PinOutcome:
        """Propose an unpin likewise."""
        record = await self._pin(cid)
        proposed = await self._proposer.propose(UnpinOperation(cid=cid))
        return PinOutcome(
            pin=pin_view(record), committed=proposed.committed, proposal=proposed.digest
        )

    async def recover(self, cid: Cid) -> PinStatusView:
        """Retry this peer's failed work on one CID now."""
        record = await self._pin(cid)
        self._tracker.recover(cid)
        [view] = await self._status_views([record], local=True)
        return view

    async def recover_all(self) -> Pages[PinStatusView]:
        """Retry all of this peer's failed work now."""
        for cid in self._tracker.recover_all():
            record = await self._reads.pin(cid)
            if record is not None:
                yield await self._status_views([record], local=True)

    async def collect_garbage(self) -> Sequence[Cid]:
        """Delete this peer's blocks that no pin keeps."""
        return await self._content.collect_garbage()

    # Content

    def add(
        self, parts: AsyncIterator[AddPart], options: AddOptions
    ) -> AsyncGenerator[AddEvent, None]:
        """Import an upload, then propose its pin unless ``no_pin``."""
        return self._content.add(parts, options)

    async def resolve(self, cid: Cid, path: Sequence[str]) -> Cid:
        """Return what ``path`` below ``cid`` is."""
        return await self._content.reader.resolve(cid, path)

    async def content(self, cid: Cid) -> ContentView:
        """Open a file, directory or symlink for reading."""
        return await self._content.reader.open(cid)

    def walk(self, cid: Cid) -> AsyncGenerator[ContentView, None]:
        """Yield ``cid`` and everything below it."""
        return self._content.reader.walk(cid)

    def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        """Yield a CARv1 of the DAG below ``cid``."""
        return self._content.reader.car(cid)

    # Proposals and proofs

    async def submit(
        self, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
    ) -> Sequence[SubmitOutcome]:
        """Hand signed requests to the order; return one outcome for each."""
        return await submit_all(
            self._gateway, requests, wait=wait, timeout_ms=timeout_ms, judges=self._judges
        )

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
        record = await self._pin(cid)
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

    def policy(self) -> PolicyView:
        """Return the policy in force."""
        return policy_view(self._reads.policy_now())

    def genesis(self) -> GenesisView:
        """Return the genesis."""
        return genesis_view(self._parts.genesis)

    async def _pin(self, cid: Cid) -> PinRecord:
        record = await self._reads.pin(cid)
        if record is None:
            raise PinNotFoundError
        return record

    async def _status_views(
        self, records: Sequence[PinRecord], *, local: bool
    ) -> list[PinStatusView]:
        peers = self._shown_peers(local=local)
        infos = await self._tracker.infos(records)
        return [
            pin_status_view(record, peers, own=info)
            for record, info in zip(records, infos, strict=True)
        ]

    def _shown_peers(self, *, local: bool) -> dict[PeerId, PeerRecord]:
        peers = self._reads.peers()
        return {self._parts.me: self._peer_status.own_record()} if local else peers

    def _id_view(self, record: PeerRecord) -> IdView:
        peers = self._reads.peers()
        me = record.peer == self._parts.me
        addresses = _with_id(record.addresses, record.peer)
        if not me and not self._peer_status.is_connected(record.peer):
            return IdView(peer=record.peer, error="not connected", peername=record.name)
        return IdView(
            peer=record.peer,
            peername=self._parts.name if me else record.name,
            addresses=addresses,
            cluster_peers=tuple(sorted(peers)) if me else (),
            cluster_peers_addresses=tuple(
                address
                for other in sorted(peers)
                if me and other != record.peer
                for address in _with_id(peers[other].addresses, other)
            ),
            version=__version__ if me else "",
            ipfs=IpfsView(id=peer_id_text(record.peer), addresses=addresses),
        )


def _with_id(addresses: Sequence[str], peer: PeerId) -> tuple[str, ...]:
    return tuple(f"{address}/p2p/{peer_id_text(peer)}" for address in addresses)
