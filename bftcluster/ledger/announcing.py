"""What peers say about themselves: that they are there, how much room they have, what they hold."""

from dataclasses import replace
from typing import Final

from bftcluster.ids import PeerId
from bftcluster.ledger.execution import Execution
from bftcluster.ledger.outcomes import HolderChanged, Outcome, OutcomeCode, PeerChanged
from bftcluster.ledger.records import (
    HolderStatus,
    PeerRecord,
    join_pin,
    pack_errors,
    pack_holder,
    replication_min_of,
    split_pin,
    unpack_errors,
)
from bftcluster.ledger.requests import Join, ReportEntry, ReportPinned
from bftcluster.ledger.spaces import Space
from bftcluster.ledger.verifying import ApprovalVerifier, Inspected

_KEY_SIZE: Final = 32
_ENTRY_SIZE: Final = 41


def join(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Join
) -> Outcome:
    """Record what an admitted peer announces."""
    record = _judge(execution, verifier, inspected, request)
    if isinstance(record, Outcome):
        return record
    execution.state.put_peer(
        replace(
            record,
            name=request.name,
            addresses=request.addresses,
            capacity_bytes=request.capacity_bytes,
            free_bytes=min(request.free_bytes, request.capacity_bytes),
            tags=request.tags,
            joined_ms=execution.now_ms,
            reported_ms=execution.now_ms,
            counter=request.counter,
        )
    )
    execution.effects.append(PeerChanged(request.peer))
    return Outcome(OutcomeCode.RECORDED)


def report(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: ReportPinned
) -> Outcome:
    """Record what a holder reports; entries on pins that it is not to hold are ignored."""
    record = _judge(execution, verifier, inspected, request)
    if isinstance(record, Outcome):
        return record
    if not record.joined_ms:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer has not joined yet")
    execution.state.put_peer(
        replace(
            record,
            free_bytes=min(request.free_bytes, record.capacity_bytes),
            reported_ms=execution.now_ms,
            counter=request.counter,
        )
    )
    counted = sum(_count(execution, request.peer, entry) for entry in request.entries)
    return Outcome(OutcomeCode.RECORDED, f"{counted} of {len(request.entries)} entries count")


def _judge(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    request: Join | ReportPinned,
) -> PeerRecord | Outcome:
    """Return the peer's record, or why its announcement does not count."""
    if request.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "made for another cluster")
    record = execution.state.peers.get(request.peer)
    if record is None:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
    if not verifier.is_valid_announcement(inspected):
        return Outcome(OutcomeCode.BAD_SIGNATURE, "the peer's signature does not verify")
    if request.counter <= record.counter:
        detail = f"announcement {request.counter} after {record.counter}"
        return Outcome(OutcomeCode.REPLAYED, detail)
    return record


def _count(execution: Execution, peer: PeerId, entry: ReportEntry) -> bool:
    """Take one entry of a report; return whether the peer is to hold that pin."""
    state = execution.state
    value = state.get(Space.PIN, entry.cid)
    if value is None:
        return False
    core, allocations, holders, errors = split_pin(value)
    if allocations and not _is_in(peer, allocations):
        return False
    start = _find(holders, peer)
    end = start + _ENTRY_SIZE if holders[start : start + _KEY_SIZE] == peer else start
    was = holders[start + _KEY_SIZE] if end > start else 0
    updated = b"".join(
        (holders[:start], pack_holder(peer, entry.status, execution.now_ms), holders[end:])
    )
    if errors or entry.error:
        texts = [item for item in unpack_errors(errors) if item[0] != peer]
        errors = pack_errors([*texts, (peer, entry.error)] if entry.error else texts)
    state.put(Space.PIN, entry.cid, join_pin(core, allocations, updated, errors))
    if was != entry.status:
        replicated = entry.status is HolderStatus.PINNED and _just_replicated(
            execution, core, allocations, updated
        )
        effect = HolderChanged(entry.cid, peer, entry.status, replicated)
        execution.effects.append(effect)
    return True


def _just_replicated(execution: Execution, core: bytes, allocations: bytes, holders: bytes) -> bool:
    """Return whether one more holder made them exactly enough."""
    pinned = holders[_KEY_SIZE::_ENTRY_SIZE].count(HolderStatus.PINNED)
    if not allocations:
        return pinned == execution.state.peers_joined
    return pinned == replication_min_of(core)


def _is_in(peer: PeerId, packed: bytes) -> bool:
    """Return whether ``peer`` is one of the 32-byte ids in ``packed``."""
    return any(packed.startswith(peer, start) for start in range(0, len(packed), _KEY_SIZE))


def _find(holders: bytes, peer: PeerId) -> int:
    """Return where the peer's entry is, or belongs: entries are sorted by peer."""
    for start in range(0, len(holders), _ENTRY_SIZE):
        if holders[start : start + _KEY_SIZE] >= peer:
            return start
    return len(holders)
