import random
from collections.abc import Mapping

from bftcluster.ids import PeerId
from bftcluster.reputation import (
    Cause,
    PeerReputation,
    Standing,
)
from tests.unit.reputation.lives import (
    DAYS,
    FAILED,
    FIRST,
    PASSED,
    TERMS,
    evidence,
    fresh,
    peer,
    vetted,
)
from tests.unit.reputation.periods import PeriodJudgement, at_period

NOW = FIRST + 30 * DAYS
ACTIVE = vetted().reputation


def failing(failures: int) -> PeerReputation:
    """Return an active peer that failed so often since."""
    reputation = ACTIVE
    for number in range(failures):
        reputation = reputation.audited(FAILED, evidence(1_000 + number))
    return reputation


def judged(
    peers: Mapping[PeerId, PeerReputation], capacities: Mapping[PeerId, int] | None = None
) -> PeriodJudgement:
    return at_period(NOW, peers, capacities or {}, TERMS)


def evicted(judgement: PeriodJudgement) -> list[PeerId]:
    return [c.peer for c in judgement.changes if c.after.standing is Standing.EVICTED]


def test_where_nothing_changes_nothing_is_returned() -> None:
    judgement = judged({peer(n): ACTIVE for n in range(5)})

    assert judgement == PeriodJudgement(changes=(), waiting=())


def test_one_may_always_go_however_large_and_the_worst_goes_first() -> None:
    peers = {peer(1): failing(8), peer(2): failing(20), peer(3): failing(9), peer(4): ACTIVE}

    judgement = judged(peers, {peer(2): 1_000_000})

    assert evicted(judgement) == [peer(2)]
    assert judgement.waiting == (peer(3), peer(1))


def test_who_waits_is_suspended_meanwhile_and_keeps_its_place_in_time() -> None:
    peers = {peer(1): failing(8), peer(2): failing(20)}
    first = judged(peers)
    waiting = {change.peer: change.after for change in first.changes}[peer(1)]
    assert waiting.standing is Standing.SUSPENDED
    assert waiting.last_change.cause is Cause.WRONG_DATA
    assert waiting.weight(1_000, NOW, TERMS) == 0

    again = at_period(NOW + 1, {peer(1): waiting, peer(3): failing(30)}, {}, TERMS)

    assert evicted(again) == [peer(3)]
    assert [change.peer for change in again.changes] == [peer(3)]
    assert again.waiting == (peer(1),)


def test_who_recovers_while_it_waits_is_not_evicted() -> None:
    waiting = {c.peer: c.after for c in judged({peer(1): failing(8), peer(2): failing(9)}).changes}
    reputation = waiting[peer(1)]
    for number in range(300):
        reputation = reputation.audited(PASSED, evidence(number))

    later = at_period(NOW + TERMS.dwell, {peer(1): reputation}, {}, TERMS)

    assert [change.after.standing for change in later.changes] == [Standing.ACTIVE]


def test_a_hundredth_of_the_capacity_may_go_at_once() -> None:
    peers = {peer(n): failing(8) if n < 5 else ACTIVE for n in range(300)}

    judgement = judged(peers)

    assert evicted(judgement) == [peer(0), peer(1), peer(2)]
    assert judgement.waiting == (peer(3), peer(4))


def test_capacity_counts_and_not_heads() -> None:
    peers = {peer(n): failing(8 + n) if n < 4 else ACTIVE for n in range(8)}
    small = {peer(n): 1 if n < 4 else 100 for n in range(8)}
    large = small | {peer(1): 50}

    assert len(evicted(judged(peers, small))) == 4
    assert evicted(judged(peers, large)) == [peer(2), peer(3)], "peer 0 does not pass peer 1"
    assert judged(peers, large).waiting == (peer(1), peer(0))


def test_a_capacity_of_nothing_is_not_free() -> None:
    peers = {peer(n): failing(8) for n in range(300)}

    assert len(evicted(judged(peers, {peer(n): -5 for n in range(300)}))) == 3


def test_the_evicted_have_no_capacity_any_more() -> None:
    gone = ACTIVE.defrauded(FIRST, evidence(9))
    peers = {peer(n): failing(8) if n < 2 else gone for n in range(300)}

    judgement = judged(peers)

    assert evicted(judgement) == [peer(0)]
    assert judgement.waiting == (peer(1),)


def test_fraud_is_not_rationed() -> None:
    frauds = [ACTIVE.defrauded(NOW, evidence(n)) for n in range(10)]
    peers = {peer(n): reputation for n, reputation in enumerate(frauds)} | {peer(50): failing(8)}

    judgement = judged(peers)

    assert all(reputation.is_evicted for reputation in frauds)
    assert evicted(judgement) == [peer(50)], "nor does it use up the ration"
    assert judgement.waiting == ()


def test_among_the_equally_bad_the_longest_suspended_goes_first() -> None:
    early, late = failing(8).moved(Standing.SUSPENDED, NOW - 9), failing(8)

    judgement = judged({peer(1): late, peer(2): early})

    assert evicted(judgement) == [peer(2)]


def test_the_order_of_the_peers_changes_nothing() -> None:
    peers = {peer(n): failing(n % 12) for n in range(120)} | {peer(200): fresh()}
    capacities = {key: 1 + n for n, key in enumerate(peers)}
    rng = random.Random(4)
    first = judged(peers, capacities)
    assert len(first.changes) > 10
    assert len(first.waiting) > 5

    for _ in range(10):
        keys = list(peers)
        rng.shuffle(keys)
        assert judged({key: peers[key] for key in keys}, capacities) == first
    assert [change.peer for change in first.changes] == sorted(c.peer for c in first.changes)
