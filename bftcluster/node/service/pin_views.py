"""Ledger rows as the HTTP API shows them: values in, values out."""

from collections.abc import Mapping

from bftcluster.api.views import (
    GenesisPeerView,
    GenesisView,
    IpfsView,
    MaintainerView,
    PeerPinView,
    PinMode,
    PinOptions,
    PinStatusView,
    PinView,
    PolicyView,
    ProposalView,
    SignerView,
    TrackerStatus,
)
from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state.records import (
    ClosedProposal,
    PeerRecord,
    PinRecord,
    ProposalRecord,
    ProposalState,
)
from bftcluster.ledger.wire import operations
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import (
    PinOperation,
)
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.pins import status
from bftcluster.pins.view import PinInfo, elsewhere
from bftcluster.signing.approvals import Approval
from bftcluster.signing.policies import Policy

_REPORTED = {
    HolderStatus.PINNED: status.TrackerStatus.PINNED,
    HolderStatus.PIN_ERROR: status.TrackerStatus.PIN_ERROR,
    HolderStatus.UNPINNED: status.TrackerStatus.UNPINNED,
}


def pin_view(record: PinRecord) -> PinView:
    """Return a pin as ipfs-cluster's ``/allocations`` knows it."""
    options = record.options
    return PinView(
        cid=record.cid,
        options=PinOptions(
            name=options.name,
            mode=_mode(options.mode),
            replication_min=record.replication_min,
            replication_max=record.replication_max,
            metadata=options.metadata,
            user_allocations=options.user_allocations,
            expire_at_ms=options.expire_at_ms,
            origins=options.origins,
            pin_update=options.pin_update,
        ),
        allocations=record.allocations,
        timestamp_ms=record.timestamp_ms,
    )


def pin_operation(cid: Cid, options: PinOptions) -> PinOperation:
    """Return the operation that a client's options ask for."""
    direct = options.mode is PinMode.DIRECT
    return PinOperation(
        cid=cid,
        name=options.name,
        replication_min=options.replication_min,
        replication_max=options.replication_max,
        mode=operations.PinMode.DIRECT if direct else operations.PinMode.RECURSIVE,
        metadata=options.metadata,
        user_allocations=options.user_allocations,
        expire_at_ms=options.expire_at_ms,
        origins=options.origins,
        pin_update=options.pin_update,
    )


def pin_status_view(
    record: PinRecord, peers: Mapping[PeerId, PeerRecord], *, own: PinInfo
) -> PinStatusView:
    """Return what every peer has done about a pin: ``own`` for us, reports for the others."""
    options = record.options
    return PinStatusView(
        cid=record.cid,
        name=options.name,
        allocations=record.allocations,
        origins=options.origins,
        created_ms=record.timestamp_ms,
        metadata=options.metadata,
        peers=tuple(
            _peer_pin_view(peers[peer], own if peer == own.peer else _reported(record, peer))
            for peer in sorted(peers)
        ),
    )


def unpinned_view(cid: Cid, peers: Mapping[PeerId, PeerRecord]) -> PinStatusView:
    """Return the status of a CID that is not part of the pinset."""
    return PinStatusView(
        cid=cid,
        peers=tuple(_peer_pin_view(peers[peer], _unpinned(cid, peer)) for peer in sorted(peers)),
    )


def _peer_pin_view(peer: PeerRecord, info: PinInfo) -> PeerPinView:
    return PeerPinView(
        peer=peer.peer,
        peername=peer.name,
        status=TrackerStatus(info.status.word),
        timestamp_ms=info.timestamp_ms,
        error=info.error,
        attempts=info.attempt_count,
        is_priority=info.priority_pin,
        ipfs=IpfsView(addresses=peer.addresses),
    )


def _reported(record: PinRecord, peer: PeerId) -> PinInfo:
    report = next((report for report in record.reports if report.peer == peer), None)
    return elsewhere(
        record.cid,
        peer,
        is_desired=record.is_everywhere or peer in record.allocations,
        reported=None if report is None else _REPORTED[report.status],
        error="" if report is None else report.error,
        timestamp_ms=record.timestamp_ms if report is None else report.reported_ms,
    )


def _unpinned(cid: Cid, peer: PeerId) -> PinInfo:
    return PinInfo(cid=cid, peer=peer, status=status.TrackerStatus.UNPINNED, timestamp_ms=0)


def proposal_view(record: ProposalRecord, policy: Policy, *, now_ms: int) -> ProposalView:
    """Return a proposal as maintainers see it."""
    operation = record.operation
    state = "expired" if now_ms >= record.intent.expires_ms else "pending"
    return ProposalView(
        digest=record.intent.digest,
        intent=record.intent.encoded,
        kind=operation.label,
        cid=operation.cid,
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


def policy_view(policy: Policy) -> PolicyView:
    """Return who may approve."""
    return PolicyView(
        version=policy.version,
        hash=policy.hash,
        threshold=policy.threshold,
        maintainers=tuple(
            MaintainerView(maintainer=maintainer.key, name=maintainer.name)
            for maintainer in policy.maintainers
        ),
        data=policy.to_bytes(),
    )


def genesis_view(genesis: Genesis) -> GenesisView:
    """Return what the cluster began with."""
    return GenesisView(
        cluster_id=genesis.cluster_id,
        name=genesis.name,
        created_ms=genesis.created_ms,
        replication_min=genesis.replication_min,
        replication_max=genesis.replication_max,
        peers=tuple(
            GenesisPeerView(peer=peer.peer, name=peer.name, addresses=peer.addresses)
            for peer in genesis.peers
        ),
        data=genesis.to_bytes(),
    )


def _signer(vote: Approval, policy: Policy) -> SignerView:
    known = vote.maintainer in policy.positions
    return SignerView(
        maintainer=vote.maintainer,
        name=policy.name_of(vote.maintainer) if known else "",
        signature=vote.signature,
    )


def _mode(mode: operations.PinMode) -> PinMode:
    return PinMode.DIRECT if mode is operations.PinMode.DIRECT else PinMode.RECURSIVE
