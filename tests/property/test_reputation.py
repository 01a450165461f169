"""Whatever happens to peers, in whatever order: bounds hold, rows read back, nobody flaps."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.limits import COUNTER_MAX, REPUTATION_SIZE_MAX_BYTES
from bftcluster.reputation import (
    AuditOutcome,
    OrderedEvidence,
    PeerReputation,
    Standing,
    StandingRecord,
    Terms,
    arithmetic,
    newcomer,
    peer_reputation,
)
from bftcluster.reputation.standing import Cause
from bftcluster.reputation.tracks import AvailabilityTrack, IntegrityTrack, UnknownTrack
from tests.unit.reputation.periods import at_period

TERMS = Terms()
MOVES = {
    Standing.CANDIDATE: {Standing.ACTIVE, Standing.SUSPENDED, Standing.EVICTED},
    Standing.ACTIVE: {Standing.SUSPENDED, Standing.EVICTED},
    Standing.SUSPENDED: {Standing.CANDIDATE, Standing.ACTIVE, Standing.EVICTED},
    Standing.EVICTED: set(),
}

counts = st.integers(0, arithmetic.COUNT_MAX)
periods = st.integers(0, arithmetic.PERIOD_MAX)
evidences = st.builds(
    OrderedEvidence,
    digest=st.binary(min_size=32, max_size=32).map(Digest),
    seq=st.integers(0, COUNTER_MAX).map(Seq),
)
perhaps = st.none() | evidences
availabilities = st.tuples(counts, counts).flatmap(
    lambda pair: st.builds(
        AvailabilityTrack,
        parts=st.binary(max_size=arithmetic.WINDOWS_MAX),
        window=periods,
        seen=st.just(min(pair)),
        observed=st.just(max(pair)),
        missed=perhaps,
    )
)
reputations = st.builds(
    PeerReputation,
    integrity=st.builds(
        IntegrityTrack, good=counts, bad=counts, audits=counts, passed=perhaps, failed=perhaps
    ),
    unknown=st.builds(UnknownTrack, good=counts, bad=counts, unanswered=perhaps),
    availability=availabilities,
    last_change=st.builds(
        StandingRecord,
        standing=st.sampled_from(Standing),
        since=periods,
        cause=st.sampled_from(Cause),
        evidence=evidences,
    ),
    admitted=periods,
    evictions=counts,
)
"""Every value that a row can hold, most of which no life leads to."""

audits = st.tuples(
    st.sampled_from(["audits"]), st.sampled_from(AuditOutcome), st.sampled_from([1, 3, 9, 40, 120])
)
ends = st.tuples(st.sampled_from(["ends"]), st.booleans(), st.sampled_from([1, 12, 100, 400]))
pauses = st.tuples(st.sampled_from(["pauses"]), st.just(None), st.integers(1, 2_000))
frauds = st.tuples(st.sampled_from(["fraud"]), st.just(None), st.just(1))
lives = st.lists(audits | audits | ends | ends | pauses | frauds, max_size=25)


def evidence(seq: int) -> OrderedEvidence:
    return OrderedEvidence(digest=Digest(hashlib.sha256(b"%d" % seq).digest()), seq=Seq(seq))


def check(reputation: PeerReputation, period: int) -> None:
    """Assert every bound."""
    integrity, unknown = reputation.integrity, reputation.unknown
    assert 0 <= integrity.good <= arithmetic.COUNT_MAX
    assert 0 <= integrity.bad <= arithmetic.COUNT_MAX
    assert 0 <= unknown.good <= arithmetic.COUNT_MAX
    assert 0 <= unknown.bad <= arithmetic.COUNT_MAX
    assert 0 <= reputation.availability.seen <= reputation.availability.observed
    for share in (integrity.score, unknown.score, reputation.availability.mean):
        assert 0 <= share <= arithmetic.ONE
    assert 0 <= reputation.weight(1 << 40, period, TERMS) <= arithmetic.UNITS_MAX
    value = reputation.to_value()
    assert len(value) <= REPUTATION_SIZE_MAX_BYTES
    assert peer_reputation(value) == reputation


@given(events=lives)
def test_any_life_keeps_every_bound_and_every_rule_of_its_standings(
    events: list[tuple[str, object, int]],
) -> None:
    period, seq, key = 1_000, 1, PeerId(bytes(32))
    reputation = newcomer(period, TERMS, evidence(seq))
    suspended, resumed = [], []
    for kind, detail, times in events:
        for _ in range(times if kind != "pauses" else 1):
            seq += 1
            before = reputation
            if kind == "audits":
                assert isinstance(detail, AuditOutcome)
                reputation = reputation.audited(detail, evidence(seq))
                assert reputation.standing is before.standing, "standings change between periods"
            elif kind == "fraud":
                reputation = reputation.defrauded(period, evidence(seq))
            elif kind == "pauses":
                period += times
            else:
                reputation = reputation.observed(
                    period, TERMS, was_seen=bool(detail), evidence=evidence(seq)
                )
                period += 1
                judged = at_period(period, {key: reputation}, {}, TERMS)
                assert judged.waiting == ()
                for change in judged.changes:
                    assert change.before is reputation.standing
                    assert change.after.standing in MOVES[change.before]
                    assert change.after.last_change.since == period
                    assert change.after.last_change.evidence.seq <= seq
                    reputation = change.after
                    if reputation.standing is Standing.SUSPENDED:
                        suspended.append(period)
                    elif change.before is Standing.SUSPENDED and not reputation.is_evicted:
                        resumed.append(period)
        check(reputation, period)
    for begin, end in zip(suspended, resumed, strict=False):
        assert end - begin >= TERMS.dwell, "a suspension lasts"


@given(
    reputation=reputations, outcome=st.sampled_from(AuditOutcome), now=periods, seen=st.booleans()
)
def test_every_function_is_total_on_whatever_a_row_can_hold(
    reputation: PeerReputation, outcome: AuditOutcome, now: int, *, seen: bool
) -> None:
    check(reputation, now)
    check(reputation.audited(outcome, evidence(1)), now)
    check(reputation.observed(now, TERMS, was_seen=seen, evidence=evidence(2)), now)
    check(reputation.defrauded(now, evidence(3)), now)
    for change in at_period(now, {PeerId(bytes(32)): reputation}, {}, TERMS).changes:
        check(change.after, now)


@given(good=counts, bad=counts, available=st.integers(0, 255), dwell=st.integers(0, 700))
def test_who_is_judged_again_at_once_stays_where_it_came(
    good: int, bad: int, available: int, dwell: int
) -> None:
    for standing in Standing:
        now = 5_000
        last = StandingRecord(
            standing=standing, since=now - dwell, cause=Cause.ADMITTED, evidence=evidence(1)
        )
        reputation = PeerReputation(
            integrity=IntegrityTrack(good=good, bad=bad, audits=500),
            unknown=UnknownTrack(),
            availability=AvailabilityTrack(parts=bytes([available]) * 60),
            last_change=last,
            admitted=0,
        )
        once = reputation.moved(reputation.next_standing(now, TERMS), now)
        twice = once.moved(once.next_standing(now + 1, TERMS), now + 1)

        came_back = standing is Standing.SUSPENDED and once.standing is Standing.ACTIVE
        if once.standing is not standing:
            assert twice.standing is once.standing
        if came_back:
            assert twice.next_standing(now + 10_000, TERMS) is Standing.ACTIVE


@given(
    peers=st.dictionaries(st.integers(0, 50), reputations, max_size=12),
    capacities=st.dictionaries(st.integers(0, 50), st.integers(-1, 1 << 70), max_size=50),
    now=periods,
    data=st.data(),
)
def test_the_order_of_the_peers_changes_nothing_and_the_ration_holds(
    peers: dict[int, PeerReputation], capacities: dict[int, int], now: int, data: st.DataObject
) -> None:
    keyed = {PeerId(number.to_bytes(32, "big")): each for number, each in peers.items()}
    sizes = {PeerId(number.to_bytes(32, "big")): size for number, size in capacities.items()}
    shuffled = {key: keyed[key] for key in data.draw(st.permutations(list(keyed)))}

    judged = at_period(now, keyed, sizes, TERMS)

    assert at_period(now, shuffled, dict(reversed(list(sizes.items()))), TERMS) == judged
    gone = [change.peer for change in judged.changes if change.after.is_evicted]
    total = sum(max(1, sizes.get(key, 1)) for key, each in keyed.items() if not each.is_evicted)
    assert len(gone) <= 1 or 100 * sum(max(1, sizes.get(key, 1)) for key in gone) <= total
    assert not set(gone) & set(judged.waiting)
    assert bool(gone) or not judged.waiting, "one may always go"


@given(data=st.binary(max_size=REPUTATION_SIZE_MAX_BYTES + 10))
def test_any_bytes_are_a_row_or_refused(data: bytes) -> None:
    try:
        reputation = peer_reputation(data)
    except MalformedMessageError:
        return
    assert reputation.to_value() == data
