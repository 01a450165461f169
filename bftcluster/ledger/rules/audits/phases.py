"""How an audit goes on: pledges, answers, and where these do not agree, what voters see.

What can be seen proves itself: f + 1 voters that read the right blocks from a peer are enough to
clear it, whatever was said before. Only a quorum that looked, and of which no more than f saw them,
counts against it. So f liars convict nobody, and where f + 1 voters are silent nobody is judged.
"""

from dataclasses import replace

from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.rules.audits.verdicts import is_to_hold, judge
from bftcluster.ledger.rules.audits.windows import (
    answer_window_ms,
    heard_before_ms,
    rest_ms,
    sight_window_ms,
)
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import AuditMoved
from bftcluster.ledger.state.audit_changes import put_challenge, remove_challenge
from bftcluster.ledger.state.audit_rows import Asked, AuditPhase, Challenge, Grounds
from bftcluster.limits import AUDITS_ASKED_MAX
from bftcluster.reputation import AuditOutcome, OrderedEvidence

_COMPARED_MIN = 2


def begin(execution: Execution, challenge: Challenge) -> None:
    """Ask the holders of a pin. A holder that is alone has nobody to be compared with."""
    if len(challenge.asked) < _COMPARED_MIN:
        suspected = tuple([replace(each, is_suspect=True) for each in challenge.asked])
        ask_suspects(execution, replace(challenge, asked=suspected))
    else:
        until_ms = execution.now_ms + answer_window_ms(execution.genesis)
        _move(execution, replace(challenge, phase=AuditPhase.PLEDGING, until_ms=until_ms))


def go_on(execution: Execution, challenge: Challenge) -> None:
    """Do what is due when a line was heard: all may have pledged, or answered."""
    waits = [each for each in challenge.asked if not each.is_settled]
    if challenge.phase is AuditPhase.PLEDGING and all(each.commitment for each in waits):
        hear_answers(execution, challenge)
    elif challenge.phase is AuditPhase.ANSWERING and all(
        each.digest or not each.commitment for each in waits
    ):
        compare(execution, challenge)
    elif challenge.phase is AuditPhase.SIGHTING and not waits:
        remove_challenge(execution.state, challenge)
    else:
        put_challenge(execution.state, challenge)


def end_phase(execution: Execution, challenge: Challenge) -> None:
    """Do what is due when the time of a phase is over."""
    match challenge.phase:
        case AuditPhase.PLEDGING:
            hear_answers(execution, challenge)
        case AuditPhase.ANSWERING:
            compare(execution, challenge)
        case AuditPhase.SIGHTING:
            _end_sights(execution, challenge)
        case AuditPhase.RESTING:
            ask_suspects(execution, challenge)
        case _:
            raise AssertionError("an audit in which all agreed has no deadline")


def hear_answers(execution: Execution, challenge: Challenge) -> None:
    """Let those answer who have pledged; where nobody has, there is nothing to wait for."""
    if any(each.commitment and not each.is_settled for each in challenge.asked):
        until_ms = execution.now_ms + answer_window_ms(execution.genesis)
        _move(execution, replace(challenge, phase=AuditPhase.ANSWERING, until_ms=until_ms))
    else:
        compare(execution, challenge)


def compare(execution: Execution, challenge: Challenge) -> None:
    """Compare the answers: those that agree pass, and whoever did not answer is a suspect.

    If they differ, or there is one alone, whoever answered is a suspect as well.
    """
    answers = [each.digest for each in challenge.asked if each.digest]
    is_agreed = len(answers) >= _COMPARED_MIN and len(set(answers)) == 1
    asked = []
    for each in challenge.asked:
        if each.is_settled:
            asked.append(each)
        elif each.digest and is_agreed:
            judge(execution, challenge, each, AuditOutcome.PASSED, Grounds.AGREEMENT)
            asked.append(replace(each, is_settled=True))
        else:
            asked.append(replace(each, is_suspect=True))
    compared = replace(challenge, asked=tuple(asked))
    if any(not each.is_settled for each in asked):
        ask_suspects(execution, compared)
    elif is_agreed:
        put_challenge(execution.state, replace(compared, phase=AuditPhase.AGREED, until_ms=0))
    else:
        remove_challenge(execution.state, compared)


def look_again(execution: Execution, challenge: Challenge) -> None:
    """Have voters look for themselves although all had agreed."""
    asked = [
        replace(each, is_suspect=True, is_settled=False) if each.digest else each
        for each in challenge.asked
    ]
    ask_suspects(execution, replace(challenge, asked=tuple(asked), is_second_look=True))


def ask_suspects(execution: Execution, challenge: Challenge) -> None:
    """Ask the suspects to show the blocks to voters."""
    asked = tuple([replace(each, sights=()) for each in challenge.asked])
    _move(
        execution,
        replace(
            challenge,
            asked=asked,
            phase=AuditPhase.SIGHTING,
            until_ms=execution.now_ms + sight_window_ms(execution.genesis),
            asked_times=challenge.asked_times + 1,
            asked_ms=execution.now_ms,
        ),
    )


def count_sights(
    execution: Execution, challenge: Challenge, place: int, proof: OrderedEvidence
) -> Challenge:
    """Return an audit after one more voter said what it saw of a suspect.

    Once f + 1 saw the same, one of whom is correct, that is what everybody should have answered.
    """
    suspect = challenge.asked[place]
    seen = _seen_by_enough(execution, suspect)
    if not seen:
        return challenge
    if not suspect.digest or suspect.digest == seen:
        if not challenge.is_second_look:
            outcome = AuditOutcome.PASSED
            judge(execution, challenge, suspect, outcome, Grounds.SIGHT, proof)
        challenge = challenge.with_asked(place, replace(suspect, is_settled=True))
    return _with_seen(execution, challenge, seen)


def _with_seen(execution: Execution, challenge: Challenge, seen: bytes) -> Challenge:
    """Judge what everybody had answered by what is right, once it is known.

    Who signed another digest did not have the blocks, though it may fetch them later. Who had said
    the right one had them, but where all agreed before, voters look at each.
    """
    if challenge.seen:
        return challenge
    asked = []
    for each in challenge.asked:
        if each.digest and each.digest != seen:
            judge(execution, challenge, each, AuditOutcome.FAILED, Grounds.CONTRADICTION)
            asked.append(replace(each, is_settled=True))
        elif each.digest and not each.is_settled and not challenge.is_second_look:
            judge(execution, challenge, each, AuditOutcome.PASSED, Grounds.AGREEMENT)
            asked.append(replace(each, is_settled=True))
        else:
            asked.append(each)
    return replace(challenge, seen=seen, asked=tuple(asked))


def _seen_by_enough(execution: Execution, suspect: Asked) -> bytes:
    """Return the digest that f + 1 voters saw; empty: there is none."""
    enough = execution.state.membership_at(execution.seq).weak_quorum
    counts: dict[bytes, int] = {}
    for _, digest in _sights(execution, suspect):
        if digest:
            counts[digest] = counts.get(digest, 0) + 1
            if counts[digest] >= enough:
                return digest
    return b""


def _sights(execution: Execution, suspect: Asked) -> list[tuple[PeerId, bytes]]:
    """Return what those saw who vote now."""
    voters = execution.state.membership_at(execution.seq).replicas
    return [each for each in suspect.sights if ReplicaId(each[0]) in voters]


def _end_sights(execution: Execution, challenge: Challenge) -> None:
    """Count the silence of suspects, if a quorum of voters looked; ask again, or judge them."""
    asked = [
        each if each.is_settled or not each.is_suspect else _unseen(execution, challenge, each)
        for each in challenge.asked
    ]
    rests = replace(challenge, asked=tuple(asked), phase=AuditPhase.RESTING)
    if all(each.is_settled for each in asked):
        remove_challenge(execution.state, challenge)
    else:
        until_ms = execution.now_ms + rest_ms(execution.genesis)
        put_challenge(execution.state, replace(rests, until_ms=until_ms))


def _unseen(execution: Execution, challenge: Challenge, suspect: Asked) -> Asked:
    """Return a suspect after a time in which too few saw the blocks."""
    state = execution.state
    quorum = state.membership_at(execution.seq).quorum
    is_judged = len(_sights(execution, suspect)) >= quorum
    if not is_judged or not is_to_hold(state, challenge, suspect.peer):
        return replace(suspect, is_settled=True)
    judge(execution, challenge, suspect, AuditOutcome.UNKNOWN, Grounds.SILENCE)
    record = state.peers[suspect.peer]
    before_ms = heard_before_ms(execution.genesis) if record.terms.is_light else 0
    was_heard = record.reported_ms + before_ms >= challenge.asked_ms
    heard_times = suspect.heard_times + int(was_heard)
    if challenge.asked_times < AUDITS_ASKED_MAX:
        return replace(suspect, heard_times=heard_times)
    if heard_times > AUDITS_ASKED_MAX // 2:
        judge(execution, challenge, suspect, AuditOutcome.FAILED, Grounds.ABSENCE)
    return replace(suspect, is_settled=True)


def _move(execution: Execution, challenge: Challenge) -> None:
    """Set an audit whose phase begins, and tell those who owe something in it."""
    put_challenge(execution.state, challenge)
    execution.effects.append(AuditMoved(challenge.number))
