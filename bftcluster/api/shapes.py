"""Views as the exact JSON of ipfs-cluster 1.1.6: names, order, and what is null."""

from base64 import b64encode
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from bftcluster.api.http.json_text import time_text
from bftcluster.api.views import (
    IdView,
    IpfsView,
    MetricView,
    PeerPinView,
    PinStatusView,
    RepairView,
    UploadEvent,
)
from bftcluster.cid import text as cid_text
from bftcluster.ids import PeerId
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.operations import PinMode, PinOperation
from bftcluster.ledger.wire.pin_strategy import PinStrategy, strategy_words
from bftcluster.signing.keys import peer_id_text

RPC_PROTOCOL_VERSION: Final = "/ipfscluster/1.0/rpc"
"""What clients of ipfs-cluster expect to read; nothing here speaks it."""

_RECURSIVE_DEPTH: Final = -1
_DIRECT_DEPTH: Final = 0

Shape = dict[str, object]

_peer_texts: dict[PeerId, str] = {}
_PEER_TEXTS_MAX: Final = 4_096


def peer_text(peer: PeerId) -> str:
    """Return the text form; base58 is slow, and a pinset names the same few peers all the time."""
    text = _peer_texts.get(peer)
    if text is None:
        if len(_peer_texts) >= _PEER_TEXTS_MAX:
            _peer_texts.clear()
        text = _peer_texts[peer] = peer_id_text(peer)
    return text


def base64_text(data: bytes) -> str:
    """Return bytes as text, for whoever checks what they say."""
    return b64encode(data).decode("ascii")


def version_shape(version: str) -> Shape:
    """Return ``Version``."""
    return {"version": version}


def id_shape(view: IdView) -> Shape:
    """Return ``ID``, and ``evidence`` of a peer that contradicted itself."""
    shape: Shape = {
        "id": peer_text(view.peer),
        "addresses": list(view.addresses),
        "cluster_peers": [peer_text(peer) for peer in view.cluster_peers],
        "cluster_peers_addresses": list(view.cluster_peers_addresses),
        "version": view.version,
        "commit": "",
        "rpc_protocol_version": RPC_PROTOCOL_VERSION,
        "error": view.error,
        "ipfs": _ipfs_shape(view.ipfs),
        "peername": view.peername,
    }
    if view.evidence is not None:
        shape["evidence"] = view.evidence.hex()
    return shape


def pin_shape(record: PinRecord) -> Shape:
    """Return ``Pin``."""
    return _pin_shape(
        record.options,
        replication=(record.replication_min, record.replication_max),
        allocations=record.allocations,
        timestamp_ms=record.timestamp_ms,
    )


def proposed_pin_shape(operation: PinOperation, proposed_ms: int) -> Shape:
    """Return ``Pin`` as it was asked for: nobody has decided who is to hold it."""
    return _pin_shape(
        operation,
        replication=(operation.replication_min, operation.replication_max),
        allocations=(),
        timestamp_ms=proposed_ms,
    )


def pin_status_shape(view: PinStatusView) -> Shape:
    """Return ``GlobalPinInfo``; peers sorted by their text form, as Go sorts map keys."""
    peers = sorted(((peer_text(peer.info.peer), peer) for peer in view.peers), key=itemgetter(0))
    record = view.record
    options = None if record is None else record.options
    return {
        "cid": cid_text(view.cid),
        "name": options.name if options else "",
        "allocations": [peer_text(peer) for peer in record.allocations] if record else [],
        "origins": list(options.origins) if options else [],
        "created": time_text(record.timestamp_ms if record else 0),
        "metadata": dict(options.metadata) or None if options else None,
        "peer_map": {peer_id: _peer_pin_shape(peer) for peer_id, peer in peers},
        **_contents_shape(options),
    }


def repair_shape(view: RepairView) -> Shape:
    """Return a pin that waits for other holders; those that are absent are among its own."""
    return {
        "cid": cid_text(view.pin.cid),
        "name": view.pin.name,
        "live": view.live,
        "needed": view.needed,
        "urgent": view.is_urgent,
        "allocations": [peer_text(peer) for peer in view.pin.allocations],
        **_contents_shape(view.pin.options),
    }


def add_event_shape(event: UploadEvent) -> Shape:
    """Return ``AddedOutput``, and ``proposal`` on a root whose pin still waits for approvals."""
    shape: Shape = {"name": event.name, "cid": cid_text(event.cid) if event.cid else None}
    if event.progress_bytes:
        shape["bytes"] = event.progress_bytes
    if event.size_bytes:
        shape["size"] = event.size_bytes
    if event.allocations:
        shape["allocations"] = [peer_text(peer) for peer in event.allocations]
    if event.proposal is not None:
        shape["proposal"] = event.proposal.hex()
    return shape


def metric_shape(view: MetricView) -> Shape:
    """Return ``Metric``; its times are nanoseconds."""
    return {
        "name": view.name,
        "peer": peer_text(view.peer),
        "value": view.value,
        "expire": view.expires_ms * 1_000_000,
        "valid": view.is_valid,
        "weight": view.weight,
        "partitionable": False,
        "received_at": view.received_at_ms * 1_000_000,
    }


def _pin_shape(
    options: PinOperation,
    *,
    replication: tuple[int, int],
    allocations: Sequence[PeerId],
    timestamp_ms: int,
) -> Shape:
    is_direct = options.mode is PinMode.DIRECT
    replication_min, replication_max = replication
    return {
        "replication_factor_min": replication_min,
        "replication_factor_max": replication_max,
        "name": options.name,
        "mode": options.mode.word,
        "shard_size": 0,
        "user_allocations": [peer_text(peer) for peer in options.user_allocations] or None,
        "expire_at": time_text(options.expire_at_ms),
        "metadata": dict(options.metadata) or None,
        "pin_update": cid_text(options.pin_update) if options.pin_update else None,
        "origins": list(options.origins) or None,
        "cid": cid_text(options.cid),
        "type": "pin",
        "allocations": [peer_text(peer) for peer in allocations],
        "max_depth": _DIRECT_DEPTH if is_direct else _RECURSIVE_DEPTH,
        "reference": None,
        "timestamp": time_text(timestamp_ms),
        **strategy_shape(options.strategy),
        **_contents_shape(options),
    }


def strategy_shape(strategy: PinStrategy | None) -> Shape:
    """Return by what holders are chosen, which ipfs-cluster does not know; nothing by default."""
    if strategy is None:
        return {}
    return {"place": [f"{word}={text}" for word, text in strategy_words(strategy)]}


def _contents_shape(options: PinOperation | None) -> Shape:
    """Return what is behind a pin, which ipfs-cluster does not know; nothing if it is unknown."""
    if options is None or options.contents is None:
        return {}
    contents = options.contents
    return {
        "size_bytes": contents.size_bytes,
        "blocks": contents.blocks,
        "blocks_root": contents.root.hex(),
    }


def _peer_pin_shape(view: PeerPinView) -> Shape:
    info = view.info
    shape: Shape = {"peername": view.peername}
    if view.ipfs.id:
        shape["ipfs_peer_id"] = view.ipfs.id
    if view.ipfs.addresses:
        shape["ipfs_peer_addresses"] = list(view.ipfs.addresses)
    shape["status"] = info.status.word
    shape["timestamp"] = time_text(info.timestamp_ms)
    shape["error"] = info.error
    shape["attempt_count"] = info.attempt_count
    shape["priority_pin"] = info.priority_pin
    return shape


def _ipfs_shape(view: IpfsView) -> Shape:
    shape: Shape = {"id": view.id} if view.id else {}
    shape["addresses"] = list(view.addresses)
    shape["error"] = view.error
    return shape
