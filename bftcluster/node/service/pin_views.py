"""What peers have done about a pin, as the HTTP API shows it: values in, values out."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from bftcluster.api.views import IpfsView, PeerPinView, PinStatusView
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.view import PinInfo, elsewhere

_REPORTED: Final = {
    HolderStatus.PINNED: TrackerStatus.PINNED,
    HolderStatus.PIN_ERROR: TrackerStatus.PIN_ERROR,
    HolderStatus.UNPINNED: TrackerStatus.UNPINNED,
}


_ABSENT: Final = "it was not heard for a day: what it has does not count until it is"


def pin_status_view(
    record: PinRecord,
    peers: Mapping[PeerId, PeerRecord],
    *,
    own: PinInfo,
    absent: Collection[PeerId] = (),
) -> PinStatusView:
    """Return what every peer has done about a pin: ``own`` for us, reports for the others.

    An absent peer that is to hold it says nothing, in ipfs-cluster's words: ``cluster_error``.
    """
    views = []
    for peer in sorted(peers):
        info = own if peer == own.peer else _reported(record, peer)
        if peer in absent and peer != own.peer and record.is_owed_by(peer):
            info = replace(info, status=TrackerStatus.CLUSTER_ERROR, error=_ABSENT)
        views.append(_peer_pin_view(peers[peer], info))
    return PinStatusView(cid=record.cid, record=record, peers=tuple(views))


def unpinned_view(cid: Cid, peers: Mapping[PeerId, PeerRecord]) -> PinStatusView:
    """Return the status of a CID that is not part of the pinset."""
    return PinStatusView(
        cid=cid,
        record=None,
        peers=tuple(_peer_pin_view(peers[peer], _unpinned(cid, peer)) for peer in sorted(peers)),
    )


def _peer_pin_view(peer: PeerRecord, info: PinInfo) -> PeerPinView:
    return PeerPinView(info=info, peername=peer.name, ipfs=IpfsView(addresses=peer.addresses))


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
    return PinInfo(cid=cid, peer=peer, status=TrackerStatus.UNPINNED, timestamp_ms=0)
