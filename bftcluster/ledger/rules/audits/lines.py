"""What peers say about audits, line by line: what counts, and what becomes of it."""

from dataclasses import replace

from bftcluster.ids import Digest, PeerId, ReplicaId
from bftcluster.ledger.rules.audits.phases import count_sights, go_on
from bftcluster.ledger.rules.audits.verdicts import judge
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.peer_reports import charge, refusal_by_share, refusal_of_stranger
from bftcluster.ledger.state.audit_rows import AuditPhase, Challenge, Grounds
from bftcluster.ledger.state.open_audits import OpenAudits
from bftcluster.ledger.wire.audit_requests import (
    AnswerLine,
    AuditRequest,
    PledgeLine,
    SightLine,
    commitment_of,
    word_of,
)
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.membership import Membership
from bftcluster.reputation import AuditOutcome, OrderedEvidence

_Line = PledgeLine | AnswerLine | SightLine


def hear(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: AuditRequest
) -> Outcome:
    """Take in what a peer says about audits; it pays for it, whatever becomes of it."""
    refusal = refusal_of_stranger(execution, verifier, inspected, request)
    if refusal is None:
        record = execution.state.peers[request.peer]
        refusal = refusal_by_share(record, execution.now_ms)
    if refusal is not None:
        return refusal
    outcome = _heard(execution, request)
    charge(execution, request, outcome)
    return outcome


def foreseen_refusal_of_lines(
    audits: OpenAudits, voters: Membership, request: AuditRequest
) -> Outcome | None:
    """Return why nothing of a request would count, if that is so."""
    if any(_found(audits, voters, request.peer, line) is not None for line in request.lines):
        return None
    return _nothing_counts()


def _nothing_counts() -> Outcome:
    return Outcome(OutcomeCode.REPLAYED, "no audit waits for any of it")


def _heard(execution: Execution, request: AuditRequest) -> Outcome:
    voters = execution.state.membership_at(execution.seq)
    word, count = word_of(request), 0
    for line in request.lines:
        found = _found(execution.state.audits, voters, request.peer, line)
        if found is not None:
            challenge, place = found
            _take(execution, challenge, place, request.peer, line, word)
            count += 1
    if not count:
        return _nothing_counts()
    return Outcome(OutcomeCode.RECORDED, f"{count} of {len(request.lines)} lines count")


def _found(
    audits: OpenAudits, voters: Membership, peer: PeerId, line: _Line
) -> tuple[Challenge, int] | None:
    """Return the audit that a line is about, and the place of who it is about, if it counts."""
    challenge = audits.get(line.number)
    if challenge is None or challenge.mark != line.mark:
        return None
    if isinstance(line, SightLine):
        return _found_sight(challenge, voters, peer, line)
    place = challenge.place_of(peer)
    if place is None or challenge.asked[place].is_settled:
        return None
    asked, phase = challenge.asked[place], challenge.phase
    if isinstance(line, PledgeLine):
        counts = phase is AuditPhase.PLEDGING and not asked.commitment
    elif line.is_missing:
        counts = not asked.digest and phase is not AuditPhase.AGREED
    else:
        commitment = commitment_of(challenge.seed, peer, line.digest, line.salt)
        is_awaited = phase is AuditPhase.ANSWERING and not asked.digest
        counts = is_awaited and asked.commitment == commitment
    return (challenge, place) if counts else None


def _found_sight(
    challenge: Challenge, voters: Membership, peer: PeerId, line: SightLine
) -> tuple[Challenge, int] | None:
    """Judge what a voter saw: of others, once, or again if it saw nothing before."""
    if line.place >= len(challenge.asked) or challenge.phase is not AuditPhase.SIGHTING:
        return None
    suspect = challenge.asked[line.place]
    before = suspect.seen_by(peer)
    is_new = before is None or (not before and bool(line.digest))
    counts = (
        line.asked == challenge.asked_times
        and ReplicaId(peer) in voters.replicas
        and suspect.is_suspect
        and not suspect.is_settled
        and suspect.peer != peer
        and is_new
    )
    return (challenge, line.place) if counts else None


def _take(
    execution: Execution,
    challenge: Challenge,
    place: int,
    peer: PeerId,
    line: _Line,
    word: Digest,
) -> None:
    """Take in a line that counts."""
    asked, seq = challenge.asked[place], execution.seq
    if isinstance(line, SightLine):
        challenge = challenge.with_asked(place, asked.with_sight(peer, line.digest))
        proof = OrderedEvidence(digest=word, seq=seq)
        go_on(execution, count_sights(execution, challenge, place, proof))
        return
    asked = replace(asked, word=word, word_seq=seq)
    if isinstance(line, PledgeLine):
        asked = replace(asked, commitment=line.commitment)
    elif line.is_missing:
        judge(execution, challenge, asked, AuditOutcome.FAILED, Grounds.ADMISSION)
        asked = replace(asked, is_settled=True)
    else:
        asked = replace(asked, digest=line.digest)
    go_on(execution, challenge.with_asked(place, asked))
