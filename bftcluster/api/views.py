"""What crosses the ports between the HTTP API and the node, besides what the core has types for.

Values, not behaviour. A pin, a policy or the genesis crosses as it is; what stands here is put
together for a client. Times are Unix milliseconds and 0 means never or unknown; sizes are bytes.
Nothing here knows JSON.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, TypeVar

from bftcluster.cid import Cid
from bftcluster.ids import ClusterId, Digest, Epoch, MaintainerId, PeerId, Seq, View
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.operations import PinMode, PinOperation
from bftcluster.ledger.wire.pin_strategy import PinStrategy
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.view import PinInfo

T = TypeVar("T")

Pages = AsyncGenerator[Sequence[T], None]
"""Items as they become available. A page is sent as one write, so it holds what is known now;
an empty page is skipped. The API closes the generator when the client has gone."""

CHUNK_SIZE_DEFAULT_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class IpfsView:
    """The IPFS side of a peer: its own daemon, or the embedded store's libp2p host."""

    id: str = ""
    addresses: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdView:
    """A peer as it introduces itself. An unreachable one has only ``peer`` and ``error``."""

    peer: PeerId
    peername: str = ""
    addresses: tuple[str, ...] = ()
    """Multiaddrs that end in ``/p2p/<id>``."""
    cluster_peers: tuple[PeerId, ...] = ()
    """Everybody admitted, this peer included."""
    cluster_peers_addresses: tuple[str, ...] = ()
    version: str = ""
    error: str = ""
    evidence: Digest | None = None
    """Of the proof that it contradicted itself, if there is one."""
    ipfs: IpfsView = field(default_factory=IpfsView)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinOptions:
    """What a client may choose about a pin whose CID may not be known yet.

    Zero and empty mean the cluster's default.
    """

    name: str = ""
    mode: PinMode = PinMode.RECURSIVE
    replication_min: int = 0
    replication_max: int = 0
    metadata: tuple[tuple[str, str], ...] = ()
    """Sorted by key, keys distinct."""
    user_allocations: tuple[PeerId, ...] = ()
    expire_at_ms: int = 0
    origins: tuple[str, ...] = ()
    pin_update: Cid | None = None
    strategy: PinStrategy | None = None

    def operation(self, cid: Cid) -> PinOperation:
        """Return what asks for these options for ``cid``.

        Raises:
            UsageError: They make no sense.
        """
        return PinOperation(
            cid=cid,
            name=self.name,
            replication_min=self.replication_min,
            replication_max=self.replication_max,
            mode=self.mode,
            metadata=self.metadata,
            user_allocations=self.user_allocations,
            expire_at_ms=self.expire_at_ms,
            origins=self.origins,
            pin_update=self.pin_update,
            strategy=self.strategy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPinView:
    """What one peer has done about one CID."""

    info: PinInfo
    peername: str
    ipfs: IpfsView = field(default_factory=IpfsView)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinStatusView:
    """What every peer has done about one CID; for a CID nobody pins, each says ``unpinned``."""

    cid: Cid
    record: PinRecord | None
    """None: nobody pins it."""
    peers: tuple[PeerPinView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairView:
    """A pin that has fewer live copies than it needs, or copies at suspended peers, and waits."""

    pin: PinRecord
    live: int
    """Copies at peers that were heard lately, as they were last counted; without haste, at those of
    them that are not suspended."""
    needed: int
    is_urgent: bool = True
    """False: suspended peers have enough live copies besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinOutcome:
    """A pin or unpin that was proposed in the name of this peer's maintainer."""

    pin: PinRecord | PinOperation
    """As it is now, or, for an unpin, as it was; as it was asked for until it is committed."""
    proposed_ms: int
    committed: bool
    """False: it waits for approvals, as proposal ``proposal``."""
    proposal: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageView:
    """What a peer deleted, since no pin keeps it."""

    peer: PeerId
    peername: str
    roots: tuple[Cid, ...]


class ContentKind(Enum):
    """What one part of an upload is, by its media type, or what a CID and path lead to."""

    FILE = "application/octet-stream"
    DIRECTORY = "application/x-directory"
    SYMLINK = "application/symlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPart:
    """One part of an upload, in the order the client sent it.

    ``content`` must be read to its end, or left alone, before the next part is asked for; what
    was left is then thrown away.
    """

    kind: ContentKind
    path: str
    """Relative, with ``/`` between names; never empty, absolute or with ``..`` in it."""
    content: AsyncIterator[bytes]
    """Chunks of any size. A symlink's content is its target; a directory's is empty."""


class UploadFormat(StrEnum):
    """How an upload is to be read."""

    UNIXFS = "unixfs"
    CAR = "car"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """How to build DAGs out of an upload."""

    pin: PinOptions
    format: UploadFormat = UploadFormat.UNIXFS
    chunk_size_bytes: int = CHUNK_SIZE_DEFAULT_BYTES
    raw_leaves: bool = False
    cid_version: int = 0
    wrap_with_directory: bool = False
    progress: bool = False
    local: bool = False
    """Blocks go only to this peer; others fetch them when they are allocated the pin."""
    no_pin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadEvent:
    """Progress of one file (``cid`` is None), or a file or directory that is complete."""

    name: str
    cid: Cid | None = None
    progress_bytes: int = 0
    size_bytes: int = 0
    """Cumulative size of the DAG."""
    allocations: tuple[PeerId, ...] = ()
    proposal: Digest | None = None
    """On the root: its pin still waits for approvals, under this digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOutcome:
    """What became of one submitted request."""

    digest: Digest | None
    """Of the intent it is about (what ``/proposals/{digest}`` takes); None if there is none."""
    code: str
    """``committed``, ``pending``, ``accepted`` (not waited for), ``timeout``, or why not."""
    detail: str
    seq: Seq
    """Where it was ordered; 0: not, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerView:
    """A maintainer who approved or rejected."""

    maintainer: MaintainerId
    name: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """A proposal on the log, open or decided."""

    digest: Digest
    intent: bytes
    """The exact bytes that maintainers sign; empty once it is decided, as kind and CID are."""
    kind: str
    """``pin``, ``unpin``, …"""
    cid: Cid | None
    name: str
    state: str
    """``pending``, ``committed``, ``rejected`` or ``expired``."""
    threshold: int
    approvals: tuple[SignerView, ...]
    rejections: tuple[SignerView, ...]
    proposed_ms: int
    not_before_ms: int
    expires_ms: int
    seq: Seq


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """Everything that proves who approved a pin and that the cluster ordered it."""

    cid: Cid
    intent_digest: Digest
    intent: bytes
    approval_certificate: bytes
    """Canonical wire form; verifiable under ``policy`` alone."""
    policy: bytes
    """The policy in force, canonical: its hash is inside the intent."""
    approvers: tuple[SignerView, ...]
    threshold: int
    seq: Seq
    timestamp_ms: int
    """Of the batch."""
    log_entry: bytes
    """Canonical ``[seq, batch, commit certificate]`` as stored; empty if it was pruned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentView:
    """A file, directory or symlink, resolved to its own CID."""

    cid: Cid
    kind: ContentKind
    path: str
    """Relative to what was asked for; empty for that itself."""
    size_bytes: int
    """Of a file's bytes; 0 otherwise."""
    content: AsyncGenerator[bytes, None]
    """A file's verified bytes, a symlink's target, nothing for a directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """This peer's link to another."""

    peer: PeerId
    peername: str
    is_connected: bool
    rtt_ms: float
    since_ms: int
    last_seen_ms: int
    queued_frames: int
    dropped_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconView:
    """What lots are drawn from, and who makes it."""

    period: int | None = None
    """The last one that has a beacon."""
    value: bytes = b""
    """That beacon, 32 bytes; empty: there is none."""
    holders: int = 0
    """How many hold shares of the key that makes the next; 0: no key was dealt."""
    threshold: int = 0
    """How many of them make it."""
    ceremony: str = ""
    """What is under way to deal a key or to pass it on; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """How this peer is doing, for its operator."""

    cluster_id: ClusterId
    peer: PeerId
    peername: str
    role: str
    """``replica``, ``storage``, ``removed`` or ``not admitted``."""
    epoch: Epoch
    view: View
    primary: PeerId
    last_executed: Seq
    last_stable: Seq
    links: tuple[LinkView, ...]
    used_bytes: int
    quota_bytes: int
    log_bytes: int
    """What the log takes, beside the quota."""
    log_budget_bytes: int
    log_full_in_ms: int | None
    """At the pace of late; None if it cannot be told."""
    blocks: int
    damaged_blocks: int
    damaged_found: int
    damaged_healed: int
    """Like ``damaged_found``, since the start."""
    pins: int
    """In the pinset."""
    proposals: int
    """Open, as of the last batch: what expired since is among them."""
    tracker: tuple[tuple[TrackerStatus, int], ...]
    """How many of this peer's items are in which status."""
    uptime_ms: int
    beacon: BeaconView = field(default_factory=BeaconView)
    problem: str = ""
    """Why this peer cannot serve now; empty: it can."""
    silence: str = ""
    """Why it does not vote, and until when; empty: it may vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricView:
    """The latest value of one metric of one peer."""

    name: str
    peer: PeerId
    value: str
    weight: int
    is_valid: bool
    received_at_ms: int
    expires_ms: int
