"""All that is kept about a peer, as a value, and what an event makes of it."""

from dataclasses import dataclass, replace
from typing import Any

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Seq
from bftcluster.limits import COUNTER_MAX, DIGEST_SIZE_BYTES, REPUTATION_SIZE_MAX_BYTES
from bftcluster.reputation import arithmetic
from bftcluster.reputation.standing import (
    Cause,
    OrderedEvidence,
    Standing,
    StandingRecord,
    standing_of,
)
from bftcluster.reputation.terms import Terms
from bftcluster.reputation.tracks import (
    AuditOutcome,
    AvailabilityTrack,
    IntegrityTrack,
    UnknownTrack,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReputation:
    """How far to trust a peer, and what that goes back to."""

    integrity: IntegrityTrack
    unknown: UnknownTrack
    availability: AvailabilityTrack
    last_change: StandingRecord
    admitted: int
    """The period of its last admission, from which it ages."""
    judged: int = 0
    """The period at whose start it was judged last, or in which it was admitted."""
    evictions: int = 0
    """How often it was evicted, ever."""

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return self.last_change.standing

    @property
    def is_evicted(self) -> bool:
        """Whether nothing but a new admission concerns it."""
        return self.standing is Standing.EVICTED

    @property
    def gets_data(self) -> bool:
        """Whether new data may be given to it."""
        return self.standing is Standing.CANDIDATE or self.standing is Standing.ACTIVE

    def weight(self, free_units: int, period: int, terms: Terms) -> int:
        """Return its weight in allocations, which is at most its free MiB; 0 for no new data."""
        if not self.gets_data:
            return 0
        age = 0
        if self.standing is Standing.ACTIVE:
            age = arithmetic.elapsed(self.admitted, period)
        good, bad = self.integrity.good, self.integrity.bad
        return arithmetic.weight(free_units, good, bad, age, terms.full_age)

    def next_standing(self, period: int, terms: Terms) -> Standing:
        """Return the standing that its tracks ask for at the start of ``period``."""
        age = arithmetic.elapsed(self.admitted, period)
        return standing_of(
            arithmetic.step(
                self.standing,
                arithmetic.elapsed(self.last_change.since, period),
                self.integrity.score,
                self.unknown.score,
                self.availability.mean,
                arithmetic.is_vetted(self.integrity.audits, age, terms.vetting),
                terms.dwell,
                terms.suspended,
            )
        )

    def moved(self, standing: Standing, period: int) -> "PeerReputation":
        """Return it with another standing, for the cause that its tracks show."""
        cause, evidence = self._grounds(standing)
        return self._changed(standing, period, cause, evidence)

    def defrauded(self, period: int, evidence: OrderedEvidence) -> "PeerReputation":
        """Return it evicted at once, since ``evidence`` proves a fraud to anybody."""
        if self.is_evicted:
            return self
        return self._changed(Standing.EVICTED, period, Cause.FRAUD, evidence)

    def audited(self, outcome: AuditOutcome, evidence: OrderedEvidence) -> "PeerReputation":
        """Return it after an audit; its standing changes when the period ends."""
        if self.is_evicted:
            return self
        return replace(
            self,
            integrity=self.integrity.after(outcome, evidence),
            unknown=self.unknown.after(outcome, evidence),
        )

    def observed(
        self, period: int, terms: Terms, *, was_seen: bool, evidence: OrderedEvidence
    ) -> "PeerReputation":
        """Return it after ``period`` ended, in which it was seen, or nobody saw it.

        Args:
            period: The one that ended. Those in which nothing was ordered are left out.
            terms: Of the cluster.
            was_seen: A heartbeat or an answer of its was ordered in it.
            evidence: The batch that ended it.
        """
        if self.is_evicted:
            return self
        track = self.availability.after(
            window=period // terms.window, was_seen=was_seen, evidence=evidence
        )
        return replace(self, availability=track)

    def first_period_back(self, terms: Terms) -> int:
        """Return the first period in which an evicted peer may be admitted again."""
        assert self.is_evicted, "who is a member is not admitted"
        wait = arithmetic.cool_down(self.evictions, terms.cool_down)
        return self.last_change.since + wait

    def to_value(self) -> bytes:
        """Return its row's value, at most ``REPUTATION_SIZE_MAX_BYTES``."""
        integrity, unknown, present = self.integrity, self.unknown, self.availability
        last = self.last_change
        return codec.encode(
            [
                [int(last.standing), last.since, int(last.cause), _pair(last.evidence)],
                self.admitted,
                self.judged,
                self.evictions,
                [
                    integrity.good,
                    integrity.bad,
                    integrity.audits,
                    _pair(integrity.passed),
                    _pair(integrity.failed),
                ],
                [unknown.good, unknown.bad, _pair(unknown.unanswered)],
                [
                    present.parts,
                    present.window,
                    present.seen,
                    present.observed,
                    _pair(present.missed),
                ],
            ]
        )

    def _grounds(self, standing: Standing) -> tuple[Cause, OrderedEvidence]:
        """Return why the tracks ask for ``standing``, the gravest first, and what shows it."""
        integrity, last = self.integrity, self.last_change.evidence
        if standing is Standing.EVICTED:
            if integrity.score < arithmetic.SCORE_EVICT:
                return Cause.WRONG_DATA, integrity.failed or last
            return Cause.SUSPENDED_TOO_LONG, last
        if standing is Standing.SUSPENDED:
            if integrity.score < arithmetic.SCORE_SUSPEND:
                return Cause.WRONG_DATA, integrity.failed or last
            if self.unknown.score < arithmetic.UNKNOWN_SUSPEND:
                return Cause.UNANSWERED, self.unknown.unanswered or last
            return Cause.ABSENT, self.availability.missed or last
        cause = Cause.SOUND if self.standing is Standing.SUSPENDED else Cause.VETTED
        return cause, integrity.passed or last

    def _changed(
        self, standing: Standing, period: int, cause: Cause, evidence: OrderedEvidence
    ) -> "PeerReputation":
        again = int(standing is Standing.EVICTED)
        return replace(
            self,
            last_change=StandingRecord(
                standing=standing, since=period, cause=cause, evidence=evidence
            ),
            evictions=arithmetic.clamp(self.evictions + again, 0, arithmetic.COUNT_MAX),
        )


def newcomer(
    period: int, terms: Terms, evidence: OrderedEvidence, *, before: PeerReputation | None = None
) -> PeerReputation:
    """Return the reputation of a peer that is admitted in ``period``.

    Who was evicted begins anew, but for how often it was. Who left begins to age anew, and keeps
    its tracks; if it was suspended, that goes on.

    Args:
        period: Not before ``before.first_period_back``: the caller refuses the admission.
        terms: Of the cluster.
        evidence: The admission.
        before: What is kept of it, if it was here before.
    """
    if before is not None and before.standing is Standing.SUSPENDED:
        return replace(before, admitted=period, judged=period)
    admitted = StandingRecord(
        standing=Standing.CANDIDATE, since=period, cause=Cause.ADMITTED, evidence=evidence
    )
    if before is not None and not before.is_evicted:
        return replace(before, last_change=admitted, admitted=period, judged=period)
    assert before is None or period >= before.first_period_back(terms), "it is admitted too early"
    return PeerReputation(
        integrity=IntegrityTrack(),
        unknown=UnknownTrack(),
        availability=AvailabilityTrack(window=period // terms.window),
        last_change=admitted,
        admitted=period,
        judged=period,
        evictions=0 if before is None else before.evictions,
    )


def founder(period: int, terms: Terms, evidence: OrderedEvidence) -> PeerReputation:
    """Return the reputation of a peer of the genesis: vetted, and of full age from the start.

    Whoever made the cluster chose it; were it to age as others do, all founders would weigh an
    eighth, and the first to be admitted as much as they.
    """
    return PeerReputation(
        integrity=IntegrityTrack(audits=arithmetic.VETTING_AUDITS),
        unknown=UnknownTrack(),
        availability=AvailabilityTrack(window=period // terms.window),
        last_change=StandingRecord(
            standing=Standing.ACTIVE, since=period, cause=Cause.FOUNDED, evidence=evidence
        ),
        admitted=arithmetic.elapsed(terms.full_age, period),
        judged=period,
    )


def peer_reputation(value: bytes) -> PeerReputation:
    """Return the reputation whose ``to_value`` is ``value``.

    Raises:
        MalformedMessageError: There is none: too long, another shape, or a number out of bounds.
    """
    last, admitted, judged, evictions, integrity, unknown, present = _items(
        codec.decode(value, size_max_bytes=REPUTATION_SIZE_MAX_BYTES), 7
    )
    standing, since, cause, evidence = _items(last, 4)
    good, bad, audits, passed, failed = _items(integrity, 5)
    answered, missing, unanswered = _items(unknown, 3)
    parts, window, seen, observed, missed = _items(present, 5)
    if type(parts) is not bytes or len(parts) > arithmetic.WINDOWS_MAX:
        raise MalformedMessageError("availability is a byte for each of its last windows")
    periods = _number(observed, arithmetic.COUNT_MAX)
    return PeerReputation(
        integrity=IntegrityTrack(
            good=_number(good, arithmetic.COUNT_MAX),
            bad=_number(bad, arithmetic.COUNT_MAX),
            audits=_number(audits, arithmetic.COUNT_MAX),
            passed=_evidence_or_none(passed),
            failed=_evidence_or_none(failed),
        ),
        unknown=UnknownTrack(
            good=_number(answered, arithmetic.COUNT_MAX),
            bad=_number(missing, arithmetic.COUNT_MAX),
            unanswered=_evidence_or_none(unanswered),
        ),
        availability=AvailabilityTrack(
            parts=parts,
            window=_number(window, arithmetic.PERIOD_MAX),
            seen=_number(seen, periods),
            observed=periods,
            missed=_evidence_or_none(missed),
        ),
        last_change=StandingRecord(
            standing=Standing(_number(standing, Standing.EVICTED)),
            since=_number(since, arithmetic.PERIOD_MAX),
            cause=Cause(_number(cause, Cause.FOUNDED)),
            evidence=_evidence(evidence),
        ),
        admitted=_number(admitted, arithmetic.PERIOD_MAX),
        judged=_number(judged, arithmetic.PERIOD_MAX),
        evictions=_number(evictions, arithmetic.COUNT_MAX),
    )


def _pair(evidence: OrderedEvidence | None) -> list[Any] | None:
    return None if evidence is None else [evidence.digest, evidence.seq]


def _evidence_or_none(value: Any) -> OrderedEvidence | None:  # noqa: ANN401 - decoded CBOR
    return None if value is None else _evidence(value)


def _evidence(value: Any) -> OrderedEvidence:  # noqa: ANN401
    digest, seq = _items(value, 2)
    if type(digest) is not bytes or len(digest) != DIGEST_SIZE_BYTES:
        raise MalformedMessageError("evidence is named by a digest")
    return OrderedEvidence(digest=Digest(digest), seq=Seq(_number(seq, COUNTER_MAX)))


def _number(value: Any, most: int) -> int:  # noqa: ANN401
    if type(value) is not int or not 0 <= value <= most:
        raise MalformedMessageError(f"not a number from 0 to {most}")
    return value


def _items(value: Any, length: int) -> list[Any]:  # noqa: ANN401
    if type(value) is not list or len(value) != length:
        raise MalformedMessageError(f"not an array of {length}")
    return value
