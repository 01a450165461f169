"""What the HTTP API needs of the node: a port for each group of routes, which takes no other.

The node implements them; the API knows nothing behind them. What the core has a type for crosses
as it is.

Errors: methods raise ``ClusterError`` subclasses, and ``errors.py`` maps them to statuses.
``RefusedError`` -> 403, ``UsageError`` -> 400, ``NotFoundError`` and ``BlockNotFoundError`` -> 404,
``RequestTimeoutError`` -> 504, ``NotReachedError`` -> 503, ``StoreFullError`` -> 507. A generator
that raises before its first item still gives that status; afterwards the stream is broken off.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from bftcluster.api.audit_views import AuditView
from bftcluster.api.health_views import ClusterHealthView, MetricFamily
from bftcluster.api.member_views import MemberView
from bftcluster.api.reputation_views import ReputationView
from bftcluster.api.views import (
    CertificateView,
    ContentView,
    GarbageView,
    IdView,
    MetricView,
    Pages,
    PinOutcome,
    PinStatusView,
    ProposalView,
    RepairView,
    StatusView,
    SubmitOutcome,
    UploadEvent,
    UploadOptions,
    UploadPart,
)
from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.state.loans.invitations import InviteRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.signing.policies import Policy


class Wait(Enum):
    """What a submitter waits for."""

    COMMITTED = "committed"
    NONE = "none"


class OperationsPort(Protocol):
    """Hands signed requests to the order."""

    async def submit(
        self, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
    ) -> Sequence[SubmitOutcome]:
        """Hand signed requests to the order, in this order; return one outcome for each.

        A request that cannot be parsed or was refused is an outcome, never an exception.
        ``Wait.NONE``: return once they are handed over (code ``accepted``). After ``timeout_ms``
        those still open have the code ``timeout``: they may yet be ordered.
        """
        ...


class IdPort(Protocol):
    """Says which peer this is."""

    def id(self) -> IdView:
        """Return this peer."""
        ...


class PeersPort(IdPort, Protocol):
    """Shows this peer and the others."""

    def peers(self) -> Sequence[IdView]:
        """Return every admitted peer, this one included, sorted by id."""
        ...


class MembersPort(Protocol):
    """Shows which peers belong to the cluster, and which of them vote."""

    async def members(self) -> Sequence[MemberView]:
        """Return every admitted peer's place in the cluster, sorted by name."""
        ...

    async def invites(self) -> Sequence[InviteRecord]:
        """Return the invitations that have not expired, by key."""
        ...

    async def reputation(self, peer: PeerId) -> ReputationView:
        """Return what is kept about a peer, also if it left.

        Raises:
            NotFoundError: It never was one of the cluster's, or was forgotten.
        """
        ...


class AuditsPort(Protocol):
    """Shows audits."""

    async def audits(self, limit: int) -> Sequence[AuditView]:
        """Return the last audits that something is kept of, the newest first."""
        ...

    async def audit(self, number: int) -> AuditView:
        """Return one audit.

        Raises:
            NotFoundError: There was none, or nothing is kept of it.
        """
        ...


class HealthPort(IdPort, Protocol):
    """Shows whether this peer is well."""

    def problem(self) -> str:
        """Return why this peer cannot serve now, empty if it can; monitors ask often."""
        ...

    async def status(self) -> StatusView:
        """Return how this peer is doing, for its operator."""
        ...

    async def metrics(self) -> Sequence[MetricView]:
        """Return the latest metrics (``ping``, ``freespace``, …) of every peer."""
        ...


class ClusterHealthPort(Protocol):
    """Shows whether the cluster is well."""

    async def cluster_health(self) -> ClusterHealthView:
        """Return how the cluster is doing; it costs the same however many pins there are."""
        ...


class ExpositionPort(Protocol):
    """Shows everything that can be measured."""

    async def metric_families(self) -> Sequence[MetricFamily]:
        """Return all metrics as of now; their names are distinct."""
        ...


class PinsetPort(Protocol):
    """Reads the pins that the cluster has undertaken to keep."""

    def pins(self) -> Pages[PinRecord]:
        """Yield the pinset in the order of binary CIDs, as of one moment or close to it."""
        ...

    async def pin(self, cid: Cid) -> PinRecord | None:
        """Return one pin; None if it is not part of the pinset."""
        ...


class PinsPort(Protocol):
    """Shows what peers have done about pins, and changes pins."""

    def pin_statuses(self, *, local: bool) -> Pages[PinStatusView]:
        """Yield the status of the whole pinset; ``local``: only this peer's entry in each."""
        ...

    async def pin_status(self, cid: Cid, *, local: bool) -> PinStatusView:
        """Return the status of any CID, pinned or not (then each peer says ``unpinned``)."""
        ...

    async def repairs(self, limit: int) -> Sequence[RepairView]:
        """Return the first pins that wait for other holders, the most endangered first."""
        ...

    async def propose_pin(self, operation: PinOperation) -> PinOutcome:
        """Propose a pin in the name of this peer's maintainer key, and wait until it is ordered.

        Raises:
            RefusedError: This peer holds no maintainer key, or the ledger refused.
        """
        ...

    async def propose_unpin(self, cid: Cid) -> PinOutcome:
        """Propose an unpin likewise.

        Raises:
            NotFoundError: It is not part of the pinset.
            RefusedError: This peer holds no maintainer key, or the ledger refused.
        """
        ...

    async def recover(self, cid: Cid) -> PinStatusView:
        """Retry this peer's failed work on one CID now; return its (local) status.

        Raises:
            NotFoundError: It is not part of the pinset.
        """
        ...

    def recover_all(self) -> Pages[PinStatusView]:
        """Retry all of this peer's failed work now; yield what was queued again."""
        ...


class UploadsPort(Protocol):
    """Takes uploads in, and pins them."""

    def add(
        self, parts: AsyncIterator[UploadPart], options: UploadOptions
    ) -> AsyncGenerator[UploadEvent, None]:
        """Import an upload, then pin its root unless ``no_pin``.

        Read ``parts`` at the pace of the store: that is the client's back-pressure. The last event
        is the root. For CAR, there is one part and its content is the CAR.

        Raises:
            RefusedError: Before any part is read, if the pin could never be proposed.
            StoreFullError: The quota has no room.
        """
        ...


class PathsPort(Protocol):
    """Finds what a CID and path lead to."""

    async def resolve(self, cid: Cid, path: Sequence[str]) -> Cid:
        """Return what ``path`` below ``cid`` is; ``cid`` itself for an empty path.

        Raises:
            BlockNotFoundError: A block on the way is not to be had, or there is no such name.
        """
        ...


class ContentPort(PathsPort, Protocol):
    """Reads content for clients."""

    async def open(self, cid: Cid) -> ContentView:
        """Open a file, directory or symlink for reading."""
        ...

    def walk(self, cid: Cid) -> AsyncGenerator[ContentView, None]:
        """Yield ``cid`` and everything below it, parents first.

        No name or link leads elsewhere, and no path comes twice.

        Raises:
            MalformedContentError: Before the first, if there is such a name or link, or no end.
        """
        ...

    def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        """Yield a CARv1 of the DAG below ``cid``."""
        ...


class GarbagePort(Protocol):
    """Deletes the blocks that nobody wants any more."""

    async def collect_garbage(self) -> GarbageView:
        """Delete this peer's blocks that no pin keeps; return what that was."""
        ...


class ProposalsPort(Protocol):
    """Shows proposals that wait for approvals, and who approved pins."""

    def proposals(self) -> Pages[ProposalView]:
        """Yield the open proposals, oldest first."""
        ...

    async def proposal(self, digest: Digest) -> ProposalView:
        """Return one proposal, open or decided.

        Raises:
            NotFoundError: No such proposal, or its record has expired.
        """
        ...

    async def certificate(self, cid: Cid) -> CertificateView:
        """Return the proof for one pin.

        Raises:
            NotFoundError: It is not part of the pinset.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterService:
    """One peer of the cluster, as its HTTP clients see it."""

    operations: OperationsPort
    peers: PeersPort
    members: MembersPort
    audits: AuditsPort
    health: HealthPort
    cluster_health: ClusterHealthPort
    exposition: ExpositionPort
    pinset: PinsetPort
    pins: PinsPort
    uploads: UploadsPort
    content: ContentPort
    garbage: GarbagePort
    proposals: ProposalsPort
    policy: Callable[[], Policy]
    """Returns the policy in force."""
    genesis: Callable[[], Genesis]
    """Returns the genesis."""
