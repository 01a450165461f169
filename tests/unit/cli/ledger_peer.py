"""A peer for the commands to talk to: the real HTTP API over a real ledger, on a real socket.

Only the order is made up: each submission is a batch of its own, decided at once.
"""

import io
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import trio

from bftcluster.api.app import create_app
from bftcluster.api.http.server import serve
from bftcluster.api.ports import Wait
from bftcluster.api.reputation_views import ReputationView
from bftcluster.api.settings import ApiSettings
from bftcluster.api.views import (
    ContentKind,
    LinkView,
    Pages,
    PeerPinView,
    PinStatusView,
    ProposalView,
    SignerView,
    StatusView,
    SubmitOutcome,
    UploadEvent,
    UploadOptions,
    UploadPart,
)
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.adder import Adder, AddEvent
from bftcluster.blocks.importer.car import export_car
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import NotFoundError, NotReachedError, StoreFullError
from bftcluster.ids import Digest, PeerId, Seq, View
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore as StateStore
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import ClosedProposal, PinRecord, ProposalRecord
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import PinOperation, content_of, parse_operation
from bftcluster.ledger.wire.requests import join
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.node.service.proposal_views import closed_view
from bftcluster.node.service.reputation_views import reputation_views
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.view import PinInfo
from bftcluster.signing.approvals import Approval
from bftcluster.signing.keys import Ed25519Verifier, SigningKey
from bftcluster.signing.policies import Policy
from tests.unit.api.memory_service import MemoryService

GIB = 1 << 30


@dataclass
class LedgerPeer(MemoryService):
    """Pins, proposals, policy and genesis come from the ledger; uploads stay in memory."""

    genesis_of: Genesis = None  # type: ignore[assignment]
    peer_keys: Sequence[SigningKey] = ()
    url: str = ""
    is_silent: bool = False
    """Requests are taken and never decided: too few peers are up."""
    intent_shown: bytes | None = None
    """What this peer shows for every proposal, if it lies."""
    policy_shown: Policy | None = None
    """What this peer says is the policy, if it lies."""
    cid_shown: Cid | None = None
    """What this peer says every proposal is about, if it lies."""
    blocks: MemoryBlockStore = field(default_factory=MemoryBlockStore)
    root_shown: Cid | None = None
    """What this peer says it made of every upload, if it lies."""
    car_sent: bytes | None = None
    """What this peer sends for every content, if it lies."""
    added_parts: list[tuple[ContentKind, str]] = field(default_factory=list)  # type: ignore[assignment]
    down: tuple[str, ...] = ()
    """Names of peers without a link."""
    holders: dict[tuple[Cid, str], tuple[TrackerStatus, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = StateStore()
        self.store.flush(genesis_delta(self.genesis_of))
        verifier = ApprovalVerifier(self.genesis_of.cluster_id, Ed25519Verifier())
        self.ledger = Ledger(self.genesis_of, self.store, verifier)
        self.names = {peer.peer: peer.name for peer in self.genesis_of.peers}
        for key, peer in zip(self.peer_keys, self.genesis_of.peers, strict=True):
            self.execute(
                join(
                    key,
                    cluster_id=self.genesis_of.cluster_id,
                    counter=1,
                    name=peer.name,
                    addresses=peer.addresses,
                    capacity_bytes=GIB,
                    free_bytes=GIB,
                    tags={},
                ).to_bytes()
            )

    def execute(self, request: bytes) -> SubmitOutcome:
        """Order one request and return what the ledger says of it."""
        seq = Seq(self.ledger.head.seq + 1)
        now_ms = time.time_ns() // 1_000_000
        executed = self.ledger.execute(
            [OrderedBatch(seq=seq, timestamp_ms=now_ms, view=View(0), requests=(request,))]
        )
        self.store.flush(executed.delta)
        outcome = executed.applied[0].outcomes[0]
        return SubmitOutcome(
            digest=outcome.intent_digest, code=outcome.label, detail=outcome.detail, seq=seq
        )

    def let_everybody_hold(self, cid: Cid) -> None:
        """Say that every peer has pinned it."""
        self.holders = {(cid, name): (TrackerStatus.PINNED, "") for name in self.names.values()}

    def record(self, cid: Cid) -> PinRecord | None:
        return queries.pins_of(self.store, [cid]).get(cid)

    async def submit(
        self, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
    ) -> Sequence[SubmitOutcome]:
        if self.is_silent:
            return [SubmitOutcome(digest=None, code="timeout", detail="", seq=Seq(0))]
        return [self.execute(request) for request in requests]

    async def reputation(self, peer: PeerId) -> ReputationView:
        views = reputation_views(self.store, self.genesis_of)  # type: ignore[arg-type]
        return views.get(peer) or await super().reputation(peer)

    async def status(self) -> StatusView:
        links = tuple(
            LinkView(
                peer=peer,
                peername=name,
                is_connected=name not in self.down,
                rtt_ms=0.5,
                since_ms=1,
                last_seen_ms=1,
                queued_frames=0,
                dropped_frames=0,
            )
            for peer, name in list(self.names.items())[1:]
        )
        return replace(await super().status(), links=links)

    async def add(
        self, parts: AsyncIterator[UploadPart], options: UploadOptions
    ) -> AsyncGenerator[UploadEvent, None]:
        self.last_add = options
        layout = Layout(
            chunk_size_bytes=options.chunk_size_bytes,
            cid_version=options.cid_version,
            raw_leaves=options.raw_leaves,
        )
        built: list[AddEvent] = []
        with Adder(self.blocks, layout=layout, progress=built.append) as adder:
            async for part in parts:
                self.added_parts.append((part.kind, part.path))
                data = b"".join([chunk async for chunk in part.content])
                if len(data) > self.quota_bytes:
                    raise StoreFullError("the quota is used up")
                match part.kind:
                    case ContentKind.FILE:
                        adder.add_file(part.path, [data])
                    case ContentKind.DIRECTORY:
                        adder.add_directory(part.path)
                    case ContentKind.SYMLINK:
                        adder.add_symlink(part.path, data)
            adder.finish(wrap=options.wrap_with_directory)
        for event in built:
            if event.entry is not None:
                cid = self.root_shown or event.entry.cid
                yield UploadEvent(name=event.path, cid=cid, size_bytes=event.entry.tsize)

    async def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        data = self.car_sent
        if data is None:
            out = io.BytesIO()
            export_car(self.blocks, cid, out)
            data = out.getvalue()
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    async def pin(self, cid: Cid) -> PinRecord | None:
        return self.record(cid)

    async def pin_statuses(self, *, local: bool) -> Pages[PinStatusView]:
        for record in queries.pins_behind(self.store, b"", 1000):
            yield [await self.pin_status(record.cid, local=local)]
            if self.fails_after_pages is not None:
                raise NotReachedError("the store stopped answering")

    async def pin_status(self, cid: Cid, *, local: bool) -> PinStatusView:
        record = self.record(cid)
        peers = []
        for peer, name in self.names.items():
            is_wanted = record is not None and record.is_owed_by(peer)
            default = TrackerStatus.PIN_QUEUED if is_wanted else TrackerStatus.REMOTE
            status, error = self.holders.get((cid, name), (default, ""))
            info = PinInfo(cid=cid, peer=peer, status=status, timestamp_ms=1, error=error)
            peers.append(PeerPinView(info=info, peername=name))
        return PinStatusView(cid=cid, record=record, peers=tuple(peers))

    async def proposals(self) -> Pages[ProposalView]:
        records, _ = queries.open_proposals_behind(self.store, b"", 1000)
        for record in records:
            yield [self._view(record)]

    async def proposal(self, digest: Digest) -> ProposalView:
        record = queries.proposal_of(self.store, digest)
        if record is None:
            raise NotFoundError("no such proposal")
        if isinstance(record, ClosedProposal):
            view = closed_view(digest, record, self.genesis_of.policy)
        else:
            view = self._view(record)
        return view if self.intent_shown is None else replace(view, intent=self.intent_shown)

    def policy(self) -> Policy:
        return self.policy_shown or self.genesis_of.policy

    def genesis(self) -> Genesis:
        return self.genesis_of

    def _view(self, record: ProposalRecord) -> ProposalView:
        operation = parse_operation(record.intent.operation)
        is_pin = isinstance(operation, PinOperation)
        return ProposalView(
            digest=record.intent.digest,
            intent=record.intent.encoded,
            kind="pin" if is_pin else "unpin",
            cid=self.cid_shown or content_of(operation),
            name=operation.name if is_pin else "",
            state="pending",
            threshold=self.genesis_of.policy.threshold,
            approvals=tuple(map(self._signer_of, record.approvals)),
            rejections=tuple(map(self._signer_of, record.rejections)),
            proposed_ms=record.proposed_ms,
            not_before_ms=record.intent.not_before_ms,
            expires_ms=record.intent.expires_ms,
            seq=Seq(0),
        )

    def _signer_of(self, vote: Approval) -> SignerView:
        name = self.genesis_of.policy.name_of(vote.maintainer)
        return SignerView(maintainer=vote.maintainer, name=name, signature=vote.signature)


@contextmanager
def serving(service: LedgerPeer) -> Iterator[LedgerPeer]:
    """Serve on a free loopback port, in a thread, until the end of the block."""
    started = threading.Event()
    stop: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def run() -> None:
        settings = ApiSettings(listen=("127.0.0.1:0",), has_access_log=False)
        event = trio.Event()
        async with trio.open_nursery() as nursery:

            async def serve_app(task_status: object) -> None:
                app = create_app(service.ports, settings)
                await serve(app, settings, stop=event, task_status=task_status)

            (address,) = await nursery.start(serve_app)
            service.url = f"http://{address}"
            stop.append((trio.lowlevel.current_trio_token(), event))
            started.set()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert started.wait(10), "the server starts"
    try:
        yield service
    finally:
        token, event = stop[0]
        token.run_sync_soon(event.set)
        thread.join(10)
        assert not thread.is_alive(), "the server stops"
