"""Executes approved operations on the pinset, by ipfs-cluster's rules."""

from dataclasses import replace

from bftcluster.cid import Cid
from bftcluster.cid import text as cid_text
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.age_rules import default_factors, forget_deadline, set_deadline
from bftcluster.ledger.rules.context import Approved, Execution
from bftcluster.ledger.rules.effects import DropPin, KeepPin
from bftcluster.ledger.rules.holders.allocation import NotEnoughPeers, pin_seed
from bftcluster.ledger.rules.holders.strategies import Wish, wish_of
from bftcluster.ledger.rules.placement import place, take_away
from bftcluster.ledger.state.deadlines import pin_deadline
from bftcluster.ledger.state.holder_reports import holders
from bftcluster.ledger.state.records import PinRecord, pin_record
from bftcluster.ledger.state.replication import reachable
from bftcluster.ledger.wire.operations import (
    DEFAULT,
    EVERYWHERE,
    PinMode,
    PinOperation,
    UnpinOperation,
)
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode


def pin(execution: Execution, approved: Approved, operation: PinOperation) -> Outcome:
    """Add a pin, or change one."""
    state = execution.state
    value = state.get(Space.PIN, operation.cid)
    existing = None if value is None else pin_record(value)
    options = operation
    source = existing
    if operation.pin_update is not None:
        source = _pin_of(execution, operation.pin_update)
        if source is None:
            detail = f"no pin {cid_text(operation.pin_update)} to update from"
            return approved.outcome(OutcomeCode.UNKNOWN_PIN, detail)
        options = _updated(source, operation)
    options = _with_known_contents(options, existing)
    refusal = _refusal(execution, options, existing)
    if refusal:
        return approved.outcome(OutcomeCode.INVALID_OPERATION, refusal)
    least, most = _replication(execution, options)
    if not _is_replication(least, most):
        detail = f"replication from {least} to {most}, with the cluster's defaults"
        return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
    allocations = _allocations(execution, options, source, least, most)
    if isinstance(allocations, NotEnoughPeers):
        return approved.outcome(OutcomeCode.NOT_ENOUGH_PEERS, str(allocations))
    record = PinRecord(
        number=execution.pins_ever if existing is None else existing.number,
        options=options,
        replication_min=least,
        replication_max=most,
        allocations=allocations,
        timestamp_ms=execution.now_ms,
        seq=execution.seq,
        intent_digest=approved.intent.digest,
        approvers=approved.approvers,
    )
    _store(execution, approved, record, existing)
    return approved.outcome(OutcomeCode.COMMITTED)


def unpin(execution: Execution, approved: Approved, operation: UnpinOperation) -> Outcome:
    """Remove a pin."""
    value = execution.state.get(Space.PIN, operation.cid)
    if value is None:
        return approved.outcome(OutcomeCode.UNKNOWN_PIN, "pin is not part of the pinset")
    drop_pin(execution, pin_record(value))
    return approved.outcome(OutcomeCode.COMMITTED)


def drop_pin(execution: Execution, record: PinRecord) -> None:
    """Remove a pin and what refers to it."""
    forget_deadline(execution, record)
    take_away(execution.state, record)
    if record.options.expire_at_ms:
        execution.state.put(Space.DEADLINE, pin_deadline(record), None)
    execution.pins -= 1
    execution.effects.append(DropPin(record.cid))


def _pin_of(execution: Execution, cid: Cid) -> PinRecord | None:
    value = execution.state.get(Space.PIN, cid)
    return None if value is None else pin_record(value)


def _updated(source: PinRecord, operation: PinOperation) -> PinOperation:
    """Return the source's options with the name, expiry and contents that the operation sets."""
    return replace(
        source.options,
        cid=operation.cid,
        name=operation.name or source.name,
        expire_at_ms=operation.expire_at_ms or source.options.expire_at_ms,
        pin_update=operation.pin_update,
        contents=operation.contents,
    )


def _with_known_contents(options: PinOperation, existing: PinRecord | None) -> PinOperation:
    """Return the options with what is known of these blocks, if they do not say it themselves."""
    if existing is None or options.contents is not None or existing.options.mode != options.mode:
        return options
    known = existing.options.contents
    return options if known is None else replace(options, contents=known)


def _refusal(execution: Execution, options: PinOperation, existing: PinRecord | None) -> str:
    """Return why the state does not allow this pin, or nothing."""
    if options.pin_update == options.cid:
        return "a pin cannot be updated from itself"
    if 0 < options.expire_at_ms <= execution.now_ms:
        return f"the pin would have expired at {options.expire_at_ms} ms"
    if existing is not None:
        was, becomes = existing.options.mode, options.mode
        if was is PinMode.RECURSIVE and becomes is PinMode.DIRECT:
            return "a recursive pin cannot become direct: unpin it first"
    return ""


def _replication(execution: Execution, options: PinOperation) -> tuple[int, int]:
    genesis = execution.genesis
    least, most = options.replication_min, options.replication_max
    if least == most == DEFAULT:
        return default_factors(execution, 0)
    return (
        genesis.replication_min if least == DEFAULT else least,
        genesis.replication_max if most == DEFAULT else most,
    )


def _is_replication(least: int, most: int) -> bool:
    return least == most == EVERYWHERE or 1 <= least <= most


def _allocations(
    execution: Execution, options: PinOperation, source: PinRecord | None, least: int, most: int
) -> tuple[PeerId, ...] | NotEnoughPeers:
    if most == EVERYWHERE:
        return ()
    least, most = reachable(options, least, most, len(execution.state.peers))
    current: list[PeerId] = []
    preferred = options.user_allocations
    if source is not None:
        peers = execution.state.peers
        current = [peer for peer in source.allocations if peer in peers]
        if source.is_everywhere:
            preferred += holders(execution.state, source.number)
    wish = Wish(
        seed=pin_seed(execution.draws_from, options.cid),
        least=least,
        most=most,
        current=current,
        preferred=preferred,
    )
    strategy, asked = wish_of(options.strategy or execution.genesis.strategy, wish)
    return strategy.allocate(execution.state.roster, asked)


def _store(
    execution: Execution, approved: Approved, record: PinRecord, existing: PinRecord | None
) -> None:
    state = execution.state
    operation = approved.intent.operation if record.options is approved.operation else b""
    if existing is not None:
        forget_deadline(execution, existing)
    placed = place(state, record, existing, operation)
    set_deadline(execution, placed)
    if existing is None:
        execution.pins += 1
        execution.pins_ever += 1
    elif existing.options.expire_at_ms:
        state.put(Space.DEADLINE, pin_deadline(existing), None)
    if record.options.expire_at_ms:
        state.put(Space.DEADLINE, pin_deadline(record), b"\x80")
    execution.effects.append(KeepPin(record.cid, placed))
