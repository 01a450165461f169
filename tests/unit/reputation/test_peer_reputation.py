from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.limits import COUNTER_MAX, REPUTATION_SIZE_MAX_BYTES
from bftcluster.reputation import (
    Cause,
    OrderedEvidence,
    PeerReputation,
    Standing,
    StandingRecord,
    Terms,
    arithmetic,
    founder,
    newcomer,
    peer_reputation,
    period_of,
    terms_of,
)
from bftcluster.reputation.tracks import AvailabilityTrack, IntegrityTrack, UnknownTrack
from tests.unit.reputation.lives import (
    DAYS,
    FAILED,
    FIRST,
    HOURS,
    PASSED,
    TERMS,
    UNKNOWN,
    Life,
    evidence,
    fresh,
    vetted,
)

CANDIDATE, ACTIVE = Standing.CANDIDATE, Standing.ACTIVE
SUSPENDED, EVICTED = Standing.SUSPENDED, Standing.EVICTED


def test_a_newcomer_is_a_candidate_with_an_eighth_of_its_weight() -> None:
    reputation = fresh()

    assert reputation.standing is CANDIDATE
    assert reputation.last_change.evidence == evidence(1)
    assert reputation.weight(8_000, FIRST, TERMS) == 1_000
    assert reputation.weight(8_000, FIRST + 90 * DAYS, TERMS) == 1_000, "while it is a candidate"


def test_a_peer_is_active_after_21_days_and_a_hundred_audits_and_its_weight_grows() -> None:
    life = Life().audits([PASSED] * 99).lives(21 * DAYS)
    assert life.reputation.standing is CANDIDATE

    life.audits([PASSED]).ends()

    assert life.standings == [CANDIDATE, ACTIVE]
    last = life.reputation.last_change
    assert (last.cause, last.since) == (Cause.VETTED, life.period)
    assert last.evidence == life.reputation.integrity.passed
    young = life.reputation.weight(8_000, life.period, TERMS)
    assert 1_000 < young < life.reputation.weight(8_000, FIRST + 180 * DAYS, TERMS) == 8_000


def test_audits_without_an_answer_do_not_vet() -> None:
    life = Life().audits([PASSED] * 99 + [UNKNOWN] * 5).lives(22 * DAYS)

    assert life.standings == [CANDIDATE]


def test_failures_suspend_and_more_of_them_evict_and_each_change_names_the_last() -> None:
    life = vetted().audits([FAILED] * 4)
    life.ends()
    failed = life.reputation.integrity.failed
    assert life.standings[2:] == [SUSPENDED]
    assert life.reputation.last_change.cause is Cause.WRONG_DATA
    assert life.reputation.last_change.evidence == failed
    assert life.reputation.weight(8_000, life.period, TERMS) == 0

    life.audits([FAILED] * 4 + [PASSED])
    life.ends()

    last = life.reputation.last_change
    assert life.standings[2:] == [SUSPENDED, EVICTED]
    assert (last.cause, last.evidence) == (Cause.WRONG_DATA, life.reputation.integrity.failed)
    assert last.evidence != failed
    assert life.reputation.evictions == 1


def test_seven_failures_in_a_row_do_not_evict_the_spotless_and_eight_do() -> None:
    assert vetted().audits([FAILED] * 7).lives(1).reputation.standing is SUSPENDED
    assert vetted().audits([FAILED] * 8).lives(1).reputation.standing is EVICTED


def test_who_is_offline_loses_availability_and_no_integrity() -> None:
    life = vetted()
    before = life.reputation

    life.lives(12 * DAYS, seen=False)
    assert life.standings[2:] == []
    while life.reputation.standing is ACTIVE:
        life.ends(seen=False)

    assert life.standings[2:] == [SUSPENDED]
    assert life.period < before.last_change.since + 14 * DAYS
    assert life.reputation.integrity == before.integrity
    assert life.reputation.unknown == before.unknown
    assert life.reputation.last_change.cause is Cause.ABSENT
    assert life.reputation.last_change.evidence == life.reputation.availability.missed


def test_who_stays_away_for_thirty_days_of_suspension_is_evicted() -> None:
    life = vetted().lives(13 * DAYS, seen=False)
    since = life.reputation.last_change
    assert since.standing is SUSPENDED

    life.lives(since.since + 30 * DAYS - life.period, seen=False)
    assert life.reputation.standing is SUSPENDED
    life.lives(1, seen=False)

    assert life.reputation.standing is EVICTED
    assert life.reputation.last_change.cause is Cause.SUSPENDED_TOO_LONG
    assert life.reputation.last_change.evidence == since.evidence


def test_absence_in_the_first_week_is_not_judged() -> None:
    life = Life().lives(7 * DAYS, seen=False)
    assert life.standings == [CANDIDATE]

    assert life.lives(1 * DAYS, seen=False).standings == [CANDIDATE, SUSPENDED]


def test_a_candidate_that_was_suspended_comes_back_as_a_candidate() -> None:
    life = Life().audits([PASSED] * 99).lives(8 * DAYS, seen=False)
    assert life.reputation.standing is SUSPENDED

    life.lives(13 * DAYS)

    assert life.standings == [CANDIDATE, SUSPENDED, CANDIDATE]
    assert life.reputation.last_change.cause is Cause.SOUND


def test_silence_suspends_after_seventeen_audits_in_a_row_and_does_not_evict() -> None:
    life = vetted().audits([UNKNOWN] * 16)
    life.ends()
    assert life.standings[2:] == []
    life.audits([UNKNOWN])
    life.ends()
    assert life.standings[2:] == [SUSPENDED]
    assert life.reputation.last_change.cause is Cause.UNANSWERED

    life.lives(29 * DAYS, each=[UNKNOWN])

    assert life.reputation.standing is SUSPENDED
    assert life.reputation.integrity.score == arithmetic.ONE


def test_a_suspended_peer_that_is_sound_again_comes_back_after_a_week() -> None:
    life = vetted().audits([FAILED] * 4)
    life.ends()
    life.audits([PASSED] * 200)

    life.lives(7 * DAYS - 1)
    assert life.reputation.standing is SUSPENDED
    life.ends()

    assert life.standings[2:] == [SUSPENDED, ACTIVE]
    assert life.reputation.last_change.cause is Cause.SOUND
    assert life.reputation.last_change.evidence == life.reputation.integrity.passed


def test_a_score_between_the_thresholds_moves_nobody() -> None:
    # 4 % of failures leave a score of about .86 to .93: on average between .80 and .95.
    life = vetted()
    for _ in range(40):
        life.audits([FAILED] + [PASSED] * 49).lives(10 * DAYS)

    assert life.standings[2:] == []


def test_proof_of_fraud_evicts_at_once_and_once() -> None:
    reputation = vetted().reputation.defrauded(FIRST + 900, evidence(77))

    assert reputation.standing is EVICTED
    assert reputation.last_change == StandingRecord(
        standing=EVICTED, since=FIRST + 900, cause=Cause.FRAUD, evidence=evidence(77)
    )
    assert reputation.defrauded(FIRST + 901, evidence(78)) == reputation
    assert reputation.audited(FAILED, evidence(79)) == reputation
    assert reputation.observed(FIRST, TERMS, was_seen=True, evidence=evidence(80)) == reputation
    assert reputation.weight(8_000, FIRST + 900, TERMS) == 0


def test_the_cool_down_doubles_with_each_eviction_and_age_starts_again() -> None:
    reputation = vetted().reputation
    period, waits = reputation.last_change.since, []
    for number in range(4):
        reputation = reputation.defrauded(period, evidence(100 + number))
        back = reputation.first_period_back(TERMS)
        waits.append((back - period) // DAYS)
        period = back
        reputation = newcomer(period, TERMS, evidence(200 + number), before=reputation)
        assert (reputation.standing, reputation.admitted) == (CANDIDATE, period)
        assert reputation.integrity == IntegrityTrack()

    assert waits == [30, 60, 120, 240]
    assert reputation.evictions == 4


def test_a_founder_is_vetted_and_of_full_age_and_stays_so_after_a_suspension() -> None:
    reputation = founder(FIRST, TERMS, evidence(0))
    assert (reputation.standing, reputation.last_change.cause) == (ACTIVE, Cause.FOUNDED)
    assert reputation.weight(8_000, FIRST, TERMS) == 8_000
    assert peer_reputation(reputation.to_value()) == reputation

    suspended = reputation.moved(SUSPENDED, FIRST + 1)

    assert suspended.next_standing(FIRST + 1 + TERMS.dwell, TERMS) is ACTIVE


def test_a_founder_of_the_first_days_of_time_is_as_old_as_time() -> None:
    assert founder(5, TERMS, evidence(0)).admitted == 0


def test_who_comes_back_keeps_its_tracks_and_a_suspension_and_ages_anew() -> None:
    blemished = vetted().reputation.audited(FAILED, evidence(5))
    later = FIRST + 100 * DAYS

    back = newcomer(later, TERMS, evidence(6), before=blemished)
    assert (back.standing, back.admitted) == (CANDIDATE, later)
    assert (back.integrity, back.availability) == (blemished.integrity, blemished.availability)

    suspended = blemished.moved(SUSPENDED, FIRST + 50 * DAYS)
    again = newcomer(later, TERMS, evidence(6), before=suspended)
    assert again == replace(suspended, admitted=later, judged=later)


def test_an_admission_before_the_cool_down_is_over_is_our_own_fault() -> None:
    evicted = fresh().defrauded(FIRST, evidence(2))

    with pytest.raises(AssertionError, match="too early"):
        newcomer(FIRST + 30 * DAYS - 1, TERMS, evidence(3), before=evicted)
    with pytest.raises(AssertionError, match="not admitted"):
        fresh().first_period_back(TERMS)


def test_periods_in_which_nothing_was_ordered_count_for_nobody() -> None:
    life = Life()
    life.ends()
    life.period += 40 * DAYS

    life.ends()

    assert life.standings == [CANDIDATE]
    assert len(life.reputation.availability.parts) == 1


def test_windows_are_closed_by_the_clock_and_the_last_sixty_are_kept() -> None:
    life = Life()
    life.lives(TERMS.window - FIRST % TERMS.window)
    for number in range(70):
        life.lives(6 * HOURS, seen=number >= 65).lives(6 * HOURS)
    life.ends()

    parts = life.reputation.availability.parts
    assert list(parts) == [127] * 55 + [255] * 5
    assert (life.reputation.availability.seen, life.reputation.availability.observed) == (1, 1)


@pytest.mark.parametrize(
    "reputation",
    [
        fresh(),
        vetted().reputation,
        vetted().audits([FAILED, UNKNOWN]).lives(3, seen=False).reputation,
        vetted().reputation.defrauded(FIRST, evidence(5)),
    ],
    ids=["fresh", "active", "all kinds of evidence", "evicted"],
)
def test_a_row_reads_back_as_it_was_written(reputation: PeerReputation) -> None:
    value = reputation.to_value()

    assert peer_reputation(value) == reputation
    assert peer_reputation(value).to_value() == value


def test_the_largest_row_fits_its_bound() -> None:
    most, ref = arithmetic.COUNT_MAX, OrderedEvidence(digest=evidence(1).digest, seq=COUNTER_MAX)
    reputation = PeerReputation(
        integrity=IntegrityTrack(good=most, bad=most, audits=most, passed=ref, failed=ref),
        unknown=UnknownTrack(good=most, bad=most, unanswered=ref),
        availability=AvailabilityTrack(
            parts=bytes(60), window=arithmetic.PERIOD_MAX, seen=most, observed=most, missed=ref
        ),
        last_change=StandingRecord(
            standing=EVICTED, since=arithmetic.PERIOD_MAX, cause=Cause.FRAUD, evidence=ref
        ),
        admitted=arithmetic.PERIOD_MAX,
        evictions=most,
    )

    assert REPUTATION_SIZE_MAX_BYTES // 2 < len(reputation.to_value()) <= REPUTATION_SIZE_MAX_BYTES
    assert peer_reputation(reputation.to_value()) == reputation


def test_anything_else_is_no_row() -> None:
    good = codec.decode(
        vetted().audits([FAILED, UNKNOWN]).lives(3, seen=False).reputation.to_value()
    )
    wrong = [-1, 1 << 63, True, None, "text", b"bytes" * 40, [], [b"short", 1], {}]

    refused = 0
    for place, path in enumerate(paths(good)):
        for value in wrong:
            changed = put(good, path, value)
            if changed == good or acceptable(path, value):
                continue
            with pytest.raises(MalformedMessageError):
                peer_reputation(codec.encode(changed))
            refused += 1
        assert refused > place
    with pytest.raises(MalformedMessageError):
        peer_reputation(codec.encode([*good, 0]))
    with pytest.raises(MalformedMessageError):
        peer_reputation(b"")


def acceptable(path: tuple[int, ...], value: object) -> bool:
    """Return whether a row may have ``value`` there: evidence of a kind that never came."""
    return value is None and path in {(4, 3), (4, 4), (5, 2), (6, 4)}


def paths(value: object, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Return the way to each item within ``value``."""
    if not isinstance(value, list):
        return [path]
    inner = [each for place, item in enumerate(value) for each in paths(item, (*path, place))]
    return [path, *inner] if path else inner


def put(value: object, path: tuple[int, ...], new: object) -> object:
    """Return ``value`` with ``new`` at the end of ``path``."""
    if not path:
        return new
    assert isinstance(value, list)
    return [put(item, path[1:], new) if n == path[0] else item for n, item in enumerate(value)]


def test_the_terms_of_an_hour_are_the_defaults_and_others_are_as_long() -> None:
    assert terms_of(3_600_000) == Terms()
    assert terms_of(10_000).vetting == 21 * 8_640
    week = terms_of(7 * 86_400_000)
    assert (week.window, week.vetting, week.dwell, week.suspended) == (1, 3, 1, 5)


def test_where_days_are_shorter_all_terms_are() -> None:
    terms = terms_of(10_000, 20_000)

    assert (terms.window, terms.vetting, terms.dwell) == (1, 42, 14)
    assert (terms.suspended, terms.cool_down, terms.full_age) == (60, 60, 360)
    assert (terms.absent_ms, terms.silence_ms) == (20_000, 10_000)
    assert (terms.gone_ms, terms.leave_ms) == (600_000, 140_000)


def test_a_period_has_the_number_of_its_place_in_time() -> None:
    assert period_of(0, 3_600_000) == 0
    assert period_of(3_599_999, 3_600_000) == 0
    assert period_of(3_600_000, 3_600_000) == 1


def test_evidence_that_a_row_lacks_is_that_of_the_change_before() -> None:
    counts = replace(fresh().integrity, good=0, bad=1)

    moved = replace(fresh(), integrity=counts).moved(EVICTED, FIRST + 1)

    assert moved.last_change.evidence == evidence(1)
