"""A period's beacon: enough parts of it make it, and if none come for long the key is lost.

A part is not checked by itself. The batch that brings enough of them has them combined, which costs
one verification, and only if that fails are those named who sent a wrong one.
"""

from dataclasses import replace
from operator import attrgetter

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.beacon.terms import HANDOVER_PERIODS, LOST_PERIODS
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import BeaconMoved
from bftcluster.ledger.rules.evidence import expose
from bftcluster.ledger.state.beacon_state import BeaconState, HeardPartial, HolderGroup
from bftcluster.ledger.wire.beacon_requests import (
    Contribute,
    beacon_message,
    beacon_value,
    digest_of,
)
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.reputation import OrderedEvidence
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.partials import Partial, combine

_WRONG = b""


def begin_partials(execution: Execution) -> None:
    """Do what is due at the first batch of a period: count who was silent in the last one.

    A group that made no beacon for long has lost the key. New holders that made none are done
    sooner: the key is passed on again.
    """
    state = execution.state
    beacon, last = state.beacon, state.head.period
    if not beacon.groups:
        return
    groups = [_counted(each, beacon, last) for each in beacon.groups]
    if len(groups) > 1 and groups[1].silent >= HANDOVER_PERIODS:
        groups = groups[:1]
    if groups[0].silent >= LOST_PERIODS:
        groups = []
    if len(groups) > 1 and groups[1].key.key != groups[0].key.key:
        groups = groups[1:]  # A new key takes the old one's place when its first period begins.
    opened = beacon.open
    if opened and opened.source and opened.source not in {each.number for each in groups}:
        opened = None
    execution.set_beacon(replace(beacon, open=opened, groups=tuple(groups), partials=()))
    if groups:
        execution.effects.append(BeaconMoved())


def contribute(execution: Execution, curve: Curve, request: Contribute) -> Outcome:
    """Take a holder's part; with enough of them, make the period's beacon."""
    state = execution.state
    beacon, partial = state.beacon, request.partial
    group = beacon.group_named(request.group_digest)
    assert group is not None, "a part that counts is of a group"
    mine = HeardPartial(
        group=group.number,
        holder=partial.holder,
        signature=partial.signature,
        seq=execution.seq,
        digest=digest_of(request),
    )
    heard = sorted((*beacon.partials, mine), key=attrgetter("group", "holder"))
    beacon = replace(beacon, partials=tuple(heard))
    parts = {
        each.holder: Partial(holder=each.holder, signature=each.signature)
        for each in heard
        if each.group == group.number and each.signature != _WRONG
    }
    if len(parts) < group.key.threshold:
        execution.set_beacon(beacon)
        return Outcome(OutcomeCode.RECORDED, f"part {len(parts)} of {group.key.threshold}")
    message = beacon_message(execution.genesis.cluster_id, request.period)
    combination = combine(curve, group.key, message, parts)
    for each in heard:
        if each.group == group.number and each.holder in combination.wrong:
            proof = OrderedEvidence(digest=each.digest, seq=each.seq)
            expose(execution, PeerId(group.ceremony.holders[each.holder - 1].owner), proof)
    if combination.signature is None:
        execution.set_beacon(_without(beacon, group, combination.wrong))
    else:
        made = _made(beacon, group, request.period, beacon_value(combination.signature))
        execution.set_beacon(made)
    wrong = f"; wrong parts of holders {_named(combination.wrong)}" if combination.wrong else ""
    if request.partial.holder in combination.wrong:
        return Outcome(OutcomeCode.BAD_SIGNATURE, f"this part is wrong{wrong}")
    what = "too few right parts" if combination.signature is None else "the beacon is made"
    return Outcome(OutcomeCode.RECORDED, f"{what}{wrong}")


def _made(beacon: BeaconState, group: HolderGroup, period: int, value: bytes) -> BeaconState:
    """Return the state after ``group`` has made a beacon: whoever made them before is done."""
    if not beacon.has(period):
        beacon = beacon.with_beacon(period, value)
    heard = replace(group, silent=0)
    opened, groups = beacon.open, (heard, *beacon.groups[1:])
    if group is not beacon.groups[0]:
        groups = (heard,)
        if opened is not None and opened.source not in {0, heard.number}:
            opened = None  # Whoever was to deal in it is done; the next checkpoint opens another.
    kept = tuple(each for each in beacon.partials if each.group != group.number and len(groups) > 1)
    return replace(beacon, open=opened, groups=groups, partials=kept)


def _counted(group: HolderGroup, beacon: BeaconState, last: int) -> HolderGroup:
    """Return a group with the last period counted, if it was to make a beacon in it and did not."""
    is_made = beacon.has(last) and group is beacon.groups[0]
    if last < group.since_period or is_made:
        return group
    return replace(group, silent=group.silent + 1)


def _without(beacon: BeaconState, group: HolderGroup, wrong: tuple[int, ...]) -> BeaconState:
    """Return the state with the parts that were wrong marked: their holders have no second try."""
    partials = tuple(
        replace(each, signature=_WRONG)
        if each.group == group.number and each.holder in wrong
        else each
        for each in beacon.partials
    )
    return replace(beacon, partials=partials)


def _named(holders: tuple[int, ...]) -> str:
    return ", ".join(map(str, holders))
