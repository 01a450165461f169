"""What peers say about themselves: that they are there, how much room they have, what they hold."""

from dataclasses import replace

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.absence import welcome_back
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerChanged, Reported
from bftcluster.ledger.rules.periods import judge_early
from bftcluster.ledger.rules.standings import put_weighed
from bftcluster.ledger.state import duties, holder_reports
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import number_and_holders, slot_of
from bftcluster.ledger.state.shares import peer_is_over
from bftcluster.ledger.wire.audit_requests import AuditRequest
from bftcluster.ledger.wire.beacon_requests import BeaconRequest
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.requests import HolderStatus, Join, ReportEntry, ReportPinned
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.limits import COUNTER_AHEAD_MAX_MS


def next_counter(last: int, recorded: int, wall_ms: int) -> int:
    """Return a counter above all that this peer used.

    Unix time rises over restarts as well; but clocks are set back, and then the state knows better.

    Args:
        last: What this process used last, 0 at first.
        recorded: That of this peer's record, 0 if there is none.
        wall_ms: Unix time.
    """
    return max(last + 1, recorded + 1, wall_ms)


def join(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Join
) -> Outcome:
    """Record what an admitted peer announces; the first time, it is weighed at once."""
    record = _judge(execution, verifier, inspected, request)
    if isinstance(record, Outcome):
        return record
    registration = request.registration
    joined = replace(
        record,
        name=request.name,
        addresses=request.addresses,
        capacity_bytes=request.capacity_bytes,
        free_bytes=min(request.free_bytes, request.capacity_bytes),
        tags=request.tags,
        joined_ms=execution.now_ms,
        reported_ms=execution.now_ms,
        counter=request.counter,
        spent=record.spent.plus(execution.now_ms, len(request.payload)),
        registration=registration.to_bytes() if registration else record.registration,
    )
    if record.joined_ms:
        execution.state.put_peer(joined)
    else:
        put_weighed(execution, joined)
    welcome_back(execution, request.peer)
    execution.effects.append(PeerChanged(request.peer))
    return Outcome(OutcomeCode.RECORDED)


def report(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: ReportPinned
) -> Outcome:
    """Record what a holder reports; entries on pins that it is not to hold are ignored."""
    record = _judge(execution, verifier, inspected, request)
    if isinstance(record, Outcome):
        return record
    own, everybodys = _lines_that_count(execution, request)
    state, now_ms = execution.state, execution.now_ms
    first_bytes = duties.note(state, request.peer, own, now_ms)
    first_bytes += holder_reports.note(state, request.peer, everybodys, now_ms)
    size_bytes = max(0, len(request.payload) - first_bytes)
    execution.state.put_peer(
        replace(
            record,
            free_bytes=min(request.free_bytes, record.capacity_bytes),
            reported_ms=execution.now_ms,
            counter=request.counter,
            spent=record.spent.plus(execution.now_ms, size_bytes),
        )
    )
    welcome_back(execution, request.peer)
    lines = (*own, *everybodys)
    pinned = tuple(entry.cid for _, entry in lines if entry.status is HolderStatus.PINNED)
    if pinned:
        execution.effects.append(Reported(request.peer, pinned))
    return Outcome(OutcomeCode.RECORDED, f"{len(lines)} of {len(request.entries)} entries count")


def refusal_of_stranger(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    request: Join | ReportPinned | BeaconRequest | AuditRequest,
) -> Outcome | None:
    """Return why a request is nobody's whom this cluster hears, if that is so."""
    if request.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "made for another cluster")
    if request.peer not in execution.state.peers:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
    if not verifier.is_valid_announcement(inspected):
        return Outcome(OutcomeCode.BAD_SIGNATURE, "the peer's signature does not verify")
    return None


def refusal_by_share(record: PeerRecord, now_ms: int, *, is_timely: bool = True) -> Outcome | None:
    """Return why nothing more is heard of a peer in this hour, but for one request a minute.

    That one must be timely: what is refused whenever it is ordered has no place even then.
    """
    is_heard = is_timely and record.spent.is_heard_again(now_ms)
    if peer_is_over(record.spent, now_ms) and not is_heard:
        return Outcome(OutcomeCode.TOO_MUCH, "the peer announced too much in this hour")
    return None


def charge(execution: Execution, request: BeaconRequest | AuditRequest, outcome: Outcome) -> None:
    """Charge a request to its peer's share of the hour, unless the peer left over it."""
    record = execution.state.peers.get(request.peer)
    if record is not None:
        spend = record.spent.plus if outcome.is_accepted else record.spent.refused
        spent = spend(execution.now_ms, len(request.payload))
        execution.state.put_peer(replace(record, spent=spent))


def _judge(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    request: Join | ReportPinned,
) -> PeerRecord | Outcome:
    """Return the peer's record, or why its announcement does not count.

    What is refused is charged to the peer, once it is certain that the peer signed it.
    """
    stranger = refusal_of_stranger(execution, verifier, inspected, request)
    if stranger is not None:
        return stranger
    record = execution.state.peers[request.peer]
    now_ms, size_bytes = execution.now_ms, len(request.payload)
    refusal = refusal_by(record, request, now_ms)
    if refusal is None and request.counter > now_ms + COUNTER_AHEAD_MAX_MS:
        detail = f"announcement {request.counter} is far ahead of the time, {now_ms} ms"
        refusal = Outcome(OutcomeCode.NOT_YET_VALID, detail)
    if refusal is None and not verifier.is_proven(inspected):
        refusal = unproven_registration()
    if refusal is not None and refusal.code is not OutcomeCode.TOO_MUCH:
        execution.state.put_peer(replace(record, spent=record.spent.refused(now_ms, size_bytes)))
    if refusal is not None:
        return refusal
    judge_early(execution, request.peer)
    return execution.state.peers[request.peer]


def unproven_registration() -> Outcome:
    """Return what becomes of a join whose peer has not shown that its share key is its own."""
    return Outcome(OutcomeCode.BAD_SIGNATURE, "the registered share key does not verify")


def refusal_by(record: PeerRecord, request: Join | ReportPinned, now_ms: int) -> Outcome | None:
    """Return why an announcement does not count as far as its peer's record tells.

    One that has used up its share is still heard now and then, when what it says is new.
    """
    is_new = request.counter > record.counter
    if peer_is_over(record.spent, now_ms):
        is_timely = is_new and request.counter <= now_ms + COUNTER_AHEAD_MAX_MS
        if not is_timely or not record.spent.is_heard_again(now_ms):
            return Outcome(OutcomeCode.TOO_MUCH, "the peer announced too much in this hour")
    if not is_new:
        detail = f"announcement {request.counter} after {record.counter}"
        return Outcome(OutcomeCode.REPLAYED, detail)
    if isinstance(request, ReportPinned) and not record.joined_ms:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer has not joined yet")
    return None


def _lines_that_count(
    execution: Execution, request: ReportPinned
) -> tuple[list[tuple[int, ReportEntry]], list[tuple[int, ReportEntry]]]:
    """Return the entries on pins that the peer is to hold: everybody's are no light peer's.

    Returns:
        Those on its duties, each with its slot; those on pins that everybody keeps, each with the
        number of its pin.
    """
    own, everybodys = [], []
    for entry in request.entries:
        value = execution.state.get(Space.PIN, entry.cid)
        if value is None:
            continue
        number, holders = number_and_holders(value)
        if not holders and holder_reports.is_full(execution.state, request.peer):
            everybodys.append((number, entry))
            continue
        slot = slot_of(request.peer, holders)
        if slot is not None:
            own.append((slot, entry))
    return own, everybodys
