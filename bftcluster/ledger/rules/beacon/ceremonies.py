"""Ceremonies: when one opens, when its windows end, and what becomes of it then.

A window ends with a checkpoint, two intervals and a minute of batch time after it began at the
earliest: null batches must not outrun those who are honest and slow.
"""

from dataclasses import replace

from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.rules.beacon.terms import (
    KEY_LIFETIME_MS,
    WINDOW_CHECKPOINTS,
    WINDOW_MS,
)
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import BeaconMoved
from bftcluster.ledger.state.beacon_state import (
    UNKNOWN_END,
    HolderGroup,
    OpenCeremony,
)
from bftcluster.ledger.state.state import State
from bftcluster.limits import TIME_MAX_MS
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.dealings import Ceremony
from bftcluster.signing.threshold.share_key import Registration
from bftcluster.signing.threshold.transcript import Transcript, qualified, settled


def window_due_ms(state: State) -> int | None:
    """Return from which time of a batch on the window that is open has an end, if it has none."""
    opened = state.beacon.open
    if opened is None or opened.window_until < UNKNOWN_END:
        return None
    due_ms = opened.begun_ms + WINDOW_MS
    return due_ms if due_ms <= TIME_MAX_MS else None


def deals_soon(state: State) -> bool:
    """Return whether a ceremony waits for batches: the first to open, or for a window to end."""
    opened = state.beacon.open
    if opened is not None:
        return state.head.seq < opened.window_until < UNKNOWN_END
    return not state.beacon.ceremonies and _has_holders(state)


def fix_window(execution: Execution) -> None:
    """Say where the open window ends, in the first batch whose time has come to its minute."""
    due_ms, opened = window_due_ms(execution.state), execution.state.beacon.open
    if opened is None or due_ms is None or execution.now_ms < due_ms:
        return
    interval = execution.genesis.checkpoint_interval
    until = opened.begun_seq + WINDOW_CHECKPOINTS * interval
    until = max(until, -(-execution.seq // interval) * interval)
    _set_open(execution, opened.until(Seq(until)))


def proceed(execution: Execution, curve: Curve) -> None:
    """Do what is due at a checkpoint: end the window, make the key, or open a ceremony."""
    beacon = execution.state.beacon
    opened = beacon.open
    if opened is not None and not _is_of_latest(execution, opened):
        _set_open(execution, None)
    elif opened is not None:
        if execution.seq == opened.window_until:
            _end_window(execution, opened, curve)
        return
    _open_if_due(execution)


def _end_window(execution: Execution, opened: OpenCeremony, curve: Curve) -> None:
    """Go on to complaints, or make the key; or give the ceremony up, if too few have dealt."""
    if not qualified(opened.transcript):
        _set_open(execution, None)
    elif opened.is_dealt:
        _settle(execution, opened, curve)
    else:
        begun = replace(opened, is_dealt=True, begun_seq=execution.seq, begun_ms=execution.now_ms)
        _set_open(execution, begun)
        execution.effects.append(BeaconMoved())


def _settle(execution: Execution, opened: OpenCeremony, curve: Curve) -> None:
    """Let those who now hold shares make beacons, from the next period on.

    Whoever made them before goes on until these have made one.
    """
    beacon, transcript = execution.state.beacon, opened.transcript
    key = settled(curve, transcript, execution.seq)
    assert key is not None, "enough have dealt"
    source = beacon.group(opened.source)
    group = HolderGroup(
        ceremony=transcript.ceremony,
        key=key,
        dealings=qualified(transcript),
        since_period=execution.period + 1,
        dealt_ms=execution.now_ms if source is None else source.dealt_ms,
    )
    groups = (*beacon.groups[:1], group)
    partials = tuple(each for each in beacon.partials if each.group in {g.number for g in groups})
    execution.set_beacon(replace(beacon, open=None, groups=groups, partials=partials))


def _open_if_due(execution: Execution) -> None:
    """Open a ceremony if the latest voters do not hold the key, or it is to be a new one."""
    state = execution.state
    beacon, start = state.beacon, state.epochs[-1]
    holders = _registered(state)
    if not _has_holders(state):
        return
    if beacon.groups and not _is_old(beacon.groups[-1], execution.now_ms):
        owners = {holder.owner for holder in beacon.groups[-1].ceremony.holders}
        if owners == {holder.owner for holder in holders}:
            return
    source = _source(state, execution.now_ms)
    number = beacon.ceremonies + 1
    ceremony = Ceremony(
        cluster_id=execution.genesis.cluster_id,
        number=number,
        threshold=start.membership.weak_quorum,
        holders=holders,
        source=None if source is None else source.key,
    )
    opened = OpenCeremony(
        transcript=Transcript(
            ceremony=ceremony,
            dealings_until=UNKNOWN_END,
            complaints_until=Seq(UNKNOWN_END + 1),
        ),
        epoch=start.membership.epoch,
        begun_seq=execution.seq,
        begun_ms=execution.now_ms,
        source=0 if source is None else source.number,
    )
    execution.set_beacon(replace(beacon, ceremonies=number, open=opened))
    execution.effects.append(BeaconMoved())


def _source(state: State, now_ms: int) -> HolderGroup | None:
    """Return who passes the key on; ``None``: too few are left of them, or it served long enough.

    Many changes of members one after the other may come to an end before a key is passed on.
    """
    if not state.beacon.groups or _is_old(state.beacon.groups[0], now_ms):
        return None
    source = state.beacon.groups[0]
    left = sum(1 for holder in source.ceremony.holders if holder.owner in state.peers)
    return source if left >= source.key.threshold else None


def _is_old(group: HolderGroup, now_ms: int) -> bool:
    """Return whether a key has served long enough."""
    return now_ms >= group.dealt_ms + KEY_LIFETIME_MS


def _has_holders(state: State) -> bool:
    """Return whether a quorum of those who vote in the latest epoch can hold shares of a key."""
    voters = state.epochs[-1].membership
    records = [state.peers.get(PeerId(voter)) for voter in voters.replicas]
    return sum(1 for each in records if each and each.registration) >= voters.quorum


def _registered(state: State) -> tuple[Registration, ...]:
    """Return the registrations of the latest epoch's voters who have one, in their order."""
    records = [state.peers.get(PeerId(each)) for each in state.epochs[-1].membership.replicas]
    return tuple(
        Registration.from_bytes(each.registration) for each in records if each and each.registration
    )


def _is_of_latest(execution: Execution, opened: OpenCeremony) -> bool:
    """Return whether a ceremony is for those who vote in the latest epoch that was named."""
    state = execution.state
    membership, latest = state.membership_of(opened.epoch), state.epochs[-1].membership
    return membership is not None and set(membership.replicas) == set(latest.replicas)


def _set_open(execution: Execution, opened: OpenCeremony | None) -> None:
    execution.set_beacon(replace(execution.state.beacon, open=opened))
