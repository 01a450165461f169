"""Draws lots from each period's beacon: whom to audit, on which pin, and with which other holders.

A bounded number of peers after each batch, so that a thousand of them do not cost one batch. First
the audits of earlier periods in which all agreed have theirs: in some of them voters look for
themselves. Nobody could know which when it answered.
"""

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.audits.phases import begin, look_again
from bftcluster.ledger.rules.audits.verdicts import report_on
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.state.audit_changes import put_turn, remove_challenge
from bftcluster.ledger.state.audit_rows import Asked, AuditPhase, AuditTurn, Challenge
from bftcluster.ledger.state.duties import duties_between, head_of
from bftcluster.ledger.state.holder_reports import full_peers, is_full
from bftcluster.ledger.state.records import PinRecord, pin_record
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.limits import (
    AUDIT_PEERS_MAX,
    AUDIT_SEARCH_ROWS_MAX,
    AUDITED_AGAIN_PERMILLE,
    AUDITS_DRAWN_MAX,
    AUDITS_DRAWN_PEERS_MAX,
    AUDITS_OPEN_MAX,
    AUDITS_PER_DAY,
    AUDITS_PER_DAY_CANDIDATE,
    AUDITS_PER_PEER_MAX,
)
from bftcluster.reputation import Standing

_TAG: Final = b"bftcluster/audit-lot/v1\x00"
_SLOTS_DRAWN: Final = 4
"""Of a peer's duties; one of these is audited, by size."""
_HOLDERS_DRAWN: Final = 12
"""Of a pin, where it has more, for the places beside the one that was drawn."""
_SIZE_UNKNOWN_BYTES: Final = 1 << 20
_FRACTION_BITS: Final = 32
_CID_HEADS: Final = (
    b"\x12\x20",
    b"\x01\x55\x12\x20",
    b"\x01\x70\x12\x20",
    b"\x01\x71\x12\x20",
)
"""What CIDs of SHA-256 begin with: of version 0, raw, dag-pb and dag-cbor."""


def draw_on(execution: Execution) -> None:
    """Draw lots for the next peers, if this period's beacon, or an earlier one, has lots left."""
    state = execution.state
    turn = _turn_at(state)
    if not turn.is_over:
        beacon = dict(state.beacon.drawn).get(turn.period)
        if beacon is None:
            turn = replace(turn, is_over=True)
        elif not turn.is_looked:
            turn = _look_on(execution, turn, beacon)
        else:
            turn = _draw(execution, turn, beacon)
    put_turn(state, turn)


def draws_soon(state: State) -> bool:
    """Return whether lots are left to be drawn after the next batch."""
    return not _turn_at(state).is_over


def _turn_at(state: State) -> AuditTurn:
    """Return the turn to go on with: that of the last beacon, once an earlier one is over."""
    turn, drawn = state.audits.turn, state.beacon.drawn
    if turn.is_over and drawn and drawn[-1][0] > turn.period:
        return AuditTurn(ever=turn.ever, period=drawn[-1][0], is_over=False, is_looked=False)
    return turn


def _look_on(execution: Execution, turn: AuditTurn, beacon: bytes) -> AuditTurn:
    """Have voters look at some of the audits of earlier periods, and end the others."""
    state = execution.state
    found = state.audits.agreed_from(turn.looked, turn.ever, AUDITS_DRAWN_PEERS_MAX)
    for challenge in found:
        drawn = _number(beacon, b"again", challenge.number.to_bytes(8, "big"))
        if drawn % 1000 < AUDITED_AGAIN_PERMILLE:
            look_again(execution, challenge)
        else:
            remove_challenge(state, challenge)
    if len(found) < AUDITS_DRAWN_PEERS_MAX:
        return replace(turn, is_looked=True)
    return replace(turn, looked=found[-1].number + 1)


def _draw(execution: Execution, turn: AuditTurn, beacon: bytes) -> AuditTurn:
    """Draw lots for the next peers, in the order of their ids."""
    state = execution.state
    everybody = sorted(full_peers(state))
    waiting = filter(lambda peer: peer > turn.after, state.peers)
    peers = heapq.nsmallest(AUDITS_DRAWN_PEERS_MAX, waiting)
    ever = turn.ever
    for peer in peers:
        for index in range(_times(state, execution.genesis, peer, beacon)):
            seed = _hash(beacon, b"seed", peer + index.to_bytes(2, "big"))
            target = _Target(peer=peer, seed=seed, everybody=everybody)
            challenge = _challenge(state, target, ever, turn.period)
            if challenge is not None:
                begin(execution, challenge)
                ever += 1
    is_over = len(peers) < AUDITS_DRAWN_PEERS_MAX
    return replace(turn, ever=ever, after=peers[-1] if peers else turn.after, is_over=is_over)


def _times(state: State, genesis: Genesis, peer: PeerId, beacon: bytes) -> int:
    """Return how often a peer is drawn in a period: by lot, as often as a day has it on average."""
    if not _may_be_asked(state, peer):
        return 0
    is_candidate = state.reputations.of(peer).standing is Standing.CANDIDATE
    rate = AUDITS_PER_DAY_CANDIDATE if is_candidate else AUDITS_PER_DAY
    expected = (rate * genesis.period_ms << _FRACTION_BITS) // genesis.audit_day_ms
    whole, part = expected >> _FRACTION_BITS, expected & ((1 << _FRACTION_BITS) - 1)
    is_drawn = _number(beacon, b"times", peer) % (1 << _FRACTION_BITS) < part
    return min(whole + int(is_drawn), AUDITS_DRAWN_MAX)


def _may_be_asked(state: State, peer: PeerId) -> bool:
    """Return whether a peer is there, and has not too much to answer already."""
    record = state.peers.get(peer)
    if record is None or not record.joined_ms or not state.is_live(peer):
        return False
    return state.audits.count_of(peer) < AUDITS_PER_PEER_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A peer that was drawn, and what the rest of its lot follows from."""

    peer: PeerId
    seed: bytes
    everybody: Sequence[PeerId]
    """All but light peers, sorted."""


def _challenge(state: State, target: _Target, number: int, period: int) -> Challenge | None:
    """Return the audit that a lot stands for; None if the peer has nothing to show."""
    if len(state.audits) >= AUDITS_OPEN_MAX or not _may_be_asked(state, target.peer):
        return None
    record = _pin_of(state, target)
    if record is None:
        return None
    peers = [target.peer, *_others(state, target, record)]
    return Challenge(
        number=number,
        period=period,
        seed=target.seed,
        cid=record.cid,
        pin_number=record.number,
        phase=AuditPhase.PLEDGING,
        until_ms=0,
        asked=tuple([Asked(peer=peer) for peer in sorted(peers)]),
    )


def _pin_of(state: State, target: _Target) -> PinRecord | None:
    """Return a pin that the peer said it holds: one of its duties, or one that everybody keeps."""
    own = _own_pin(state, target)
    if own is not None and target.seed[0] & 1:
        return own
    if not is_full(state, target.peer):
        return own
    return _everybodys_pin(state, target) or own


def _own_pin(state: State, target: _Target) -> PinRecord | None:
    """Return one of some drawn duties, by size, of those that the peer said it holds."""
    count = head_of(state, target.peer).count
    if not count:
        return None
    found: list[tuple[int, Cid]] = []
    for index in range(_SLOTS_DRAWN):
        slot = _number(target.seed, b"slot", bytes((index,))) % count
        [duty] = duties_between(target.peer, slot, slot + 1, lambda key: state.get(Space.DUTY, key))
        if duty.status is HolderStatus.PINNED:
            found.append((duty.size_bytes or _SIZE_UNKNOWN_BYTES, duty.cid))
    if not found:
        return None
    left = _number(target.seed, b"size", b"") % sum([size_bytes for size_bytes, _ in found])
    chosen = found[0][1]
    for size_bytes, cid in found:
        if left < size_bytes:
            chosen = cid
            break
        left -= size_bytes
    return _pin_record(state, chosen)


def _everybodys_pin(state: State, target: _Target) -> PinRecord | None:
    """Return a pin that everybody keeps, and the peer said it holds, near a drawn place."""
    first = target.seed[1] % len(_CID_HEADS)
    place = _hash(target.seed, b"place", b"")
    for head in (*_CID_HEADS[first:], *_CID_HEADS[:first]):
        for after in (head + place, head):
            for cid, value in state.after(Space.PIN, after, AUDIT_SEARCH_ROWS_MAX):
                if not cid.startswith(head):
                    break
                record = pin_record(value)
                if record.is_everywhere and _holds(state, record, target.peer):
                    return record
    return None


def _others(state: State, target: _Target, record: PinRecord) -> list[PeerId]:
    """Return other holders to be asked for the same blocks, as drawn."""
    everybody = target.everybody
    holders = everybody if record.is_everywhere else record.allocations
    if len(holders) <= _HOLDERS_DRAWN:
        drawn = sorted(holders, key=lambda peer: _hash(target.seed, b"other", peer))
    else:
        places = [_number(target.seed, b"other", bytes((i,))) for i in range(_HOLDERS_DRAWN)]
        drawn = [holders[place % len(holders)] for place in places]
    found: list[PeerId] = []
    for peer in drawn:
        if peer == target.peer or peer in found:
            continue
        if _may_be_asked(state, peer) and _holds(state, record, peer):
            found.append(peer)
            if len(found) == AUDIT_PEERS_MAX - 1:
                break
    return found


def _holds(state: State, record: PinRecord, peer: PeerId) -> bool:
    """Return whether a peer said that it holds a pin which it is to hold."""
    report = report_on(state, record, peer)
    return report is not None and report.status is HolderStatus.PINNED


def _pin_record(state: State, cid: Cid) -> PinRecord:
    value = state.get(Space.PIN, cid)
    assert value is not None, "a duty goes with its pin"
    return pin_record(value)


def _hash(seed: bytes, word: bytes, about: bytes) -> bytes:
    return hashlib.sha256(b"".join((_TAG, seed, word, b"\x00", about))).digest()


def _number(seed: bytes, word: bytes, about: bytes) -> int:
    """Return a number below 2^128."""
    return int.from_bytes(_hash(seed, word, about)[:16], "big")
