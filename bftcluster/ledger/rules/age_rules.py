"""How many copies pins have that do not say it themselves: by their age, as maintainers approved.

When rules change, all pins are looked at, a bounded number after each batch. From then on each pin
has a deadline, the beginning of the period in which the next rule is its own, so that time costs
what becomes older and not all there is.
"""

from dataclasses import replace

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Approved, Execution
from bftcluster.ledger.rules.effects import KeepPin
from bftcluster.ledger.rules.placement import place
from bftcluster.ledger.rules.reallocation import still_of
from bftcluster.ledger.state.deadlines import age_deadline
from bftcluster.ledger.state.records import PinRecord, pin_record
from bftcluster.ledger.state.replication import AGE_RULES_KEY, AgeRules, age_rules_to_value
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.operations import DEFAULT, EVERYWHERE, PinOperation
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.pin_strategy import SetAgeRules
from bftcluster.limits import AGED_ROWS_MAX, TIME_MAX_MS


def set_age_rules(execution: Execution, approved: Approved, operation: SetAgeRules) -> Outcome:
    """Have other rules hold; all pins are looked at."""
    if execution.genesis.replication_max == EVERYWHERE:
        detail = "pins that do not say otherwise are kept everywhere, however old they are"
        return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
    if execution.state.age_rules.rules == operation.rules:
        return approved.outcome(OutcomeCode.INVALID_OPERATION, "these rules hold already")
    _set(execution.state, AgeRules(rules=operation.rules, is_new=True))
    return approved.outcome(OutcomeCode.COMMITTED)


def look_at_ages(execution: Execution) -> None:
    """Look at the next pins after the rules have changed, if any."""
    state, rules = execution.state, execution.state.age_rules
    if not rules.is_new:
        return
    rows = state.after(Space.PIN, rules.after, AGED_ROWS_MAX)
    for cid, _ in rows:
        value = state.get(Space.PIN, cid)  # Those before it may have moved its slots.
        assert value is not None, "no pin goes because of its age"
        apply_rule(execution, pin_record(value))
    is_new = len(rows) == AGED_ROWS_MAX
    _set(state, replace(rules, is_new=is_new, after=rows[-1][0] if is_new else b""))


def default_factors(execution: Execution, age_ms: int) -> tuple[int, int]:
    """Return how many copies a pin has, least and most, that does not say it and is so old."""
    rule = execution.state.age_rules.rule_at(age_ms)
    if rule is None:
        return execution.genesis.replication_min, execution.genesis.replication_max
    return rule.replication_min, rule.replication_max


def apply_rule(execution: Execution, record: PinRecord) -> None:
    """Give a pin the copies that its age asks for: others are found by repair, or some go."""
    if not _goes_by_age(record.options) or record.is_everywhere:
        return
    state = execution.state
    least, most = default_factors(execution, execution.now_ms - record.timestamp_ms)
    set_deadline(execution, record)
    if (least, most) == (record.replication_min, record.replication_max):
        return
    aged = replace(record, replication_min=least, replication_max=most)
    kept = tuple(sorted(still_of(execution, aged))) or record.allocations
    placed = place(state, replace(aged, allocations=kept), record)
    if kept != record.allocations:
        execution.effects.append(KeepPin(record.cid, placed))


def set_deadline(execution: Execution, record: PinRecord) -> None:
    """Note when a pin is to be looked at again, if it is."""
    due = _deadline(execution, record)
    if due is not None:
        execution.state.put(Space.DEADLINE, due, b"\x80")


def forget_deadline(execution: Execution, record: PinRecord) -> None:
    """Note that a pin need not be looked at."""
    due = _deadline(execution, record)
    if due is not None and execution.state.get(Space.DEADLINE, due) is not None:
        execution.state.put(Space.DEADLINE, due, None)


def _deadline(execution: Execution, record: PinRecord) -> bytes | None:
    rules = execution.state.age_rules
    if not rules.rules or not _goes_by_age(record.options) or record.is_everywhere:
        return None
    period_ms = execution.genesis.period_ms
    due_ms = rules.next_ms(record.timestamp_ms, execution.now_ms, period_ms)
    return None if due_ms is None or due_ms > TIME_MAX_MS else age_deadline(record.cid, due_ms)


def _goes_by_age(options: PinOperation) -> bool:
    return options.replication_min == DEFAULT and options.replication_max == DEFAULT


def _set(state: State, rules: AgeRules) -> None:
    state.age_rules = rules
    state.put(Space.META, AGE_RULES_KEY, age_rules_to_value(rules))
