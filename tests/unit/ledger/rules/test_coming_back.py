"""Nobody is better off for having left and come back."""

from dataclasses import replace

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.limits import REPUTATIONS_KEPT_MAX
from bftcluster.reputation import (
    AuditOutcome,
    Cause,
    Standing,
    newcomer,
)
from tests.unit.ledger.rules.test_evidence import evidence
from tests.unit.ledger.standing_world import (
    NEWCOMER,
    OLD,
    admit,
    audited,
    evicted_newcomer,
    next_period,
    of,
    remove,
    set_reputation,
    with_newcomer,
)
from tests.unit.ledger.state.test_reopened import assert_reopens_alike, recover, recovery_of
from tests.unit.ledger.world import PEERS, World, genesis_of, peer_id
from tests.unit.signing.people import DAY_MS


def test_who_left_and_then_lied_may_not_come_back_soon_either() -> None:
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=4))
    world.join_all()
    remove(world, PEERS[4])
    while queries.peer_of(world.store, peer_id(PEERS[4])) is not None:
        world.run()

    assert world.do(evidence(world, culprit=PEERS[4])).is_accepted

    assert of(world, PEERS[4]).last_change.cause is Cause.FRAUD
    assert admit(world, PEERS[4]).code is OutcomeCode.EVICTED


@pytest.mark.parametrize(("evictions", "days"), [(1, 30), (2, 60), (3, 120)])
def test_who_was_evicted_is_refused_until_its_cool_down_is_over(evictions: int, days: int) -> None:
    world = with_newcomer()
    evicted_newcomer(world, evictions)
    first = of(world, NEWCOMER).first_period_back(world.ledger._state.reputations.terms)

    since = of(world, NEWCOMER).last_change.since
    assert (first - since) * world.genesis.period_ms == days * DAY_MS

    early = admit(world, NEWCOMER)
    first_ms = first * world.genesis.period_ms
    world.run(after_ms=first_ms - world.now_ms - 2)
    last_refused = admit(world, NEWCOMER)
    back = admit(world, NEWCOMER)

    assert early.code is last_refused.code is OutcomeCode.EVICTED
    assert f"admitted again from {first_ms} ms on" in early.detail
    assert back.code is OutcomeCode.COMMITTED
    reputation = of(world, NEWCOMER)
    assert reputation.standing is Standing.CANDIDATE
    assert reputation.evictions == evictions
    assert reputation.integrity.bad == 0
    assert_reopens_alike(world)


def test_an_evicted_voter_is_admitted_again_by_the_same_terms_and_not_too_early() -> None:
    world = World()
    world.join_all()
    world.do(evidence(world, culprit=PEERS[1]))

    assert admit(world, PEERS[1], votes=True).code is OutcomeCode.EVICTED
    world.run(after_ms=31 * DAY_MS)
    again = admit(world, PEERS[1], votes=True)

    assert (again.code, again.detail) == (OutcomeCode.COMMITTED, "admitted")
    assert of(world, PEERS[1]).standing is Standing.CANDIDATE
    assert not admit(world, PEERS[1], votes=True).is_accepted


def test_a_suspended_peer_that_leaves_and_comes_back_is_no_better_off() -> None:
    world = with_newcomer()
    set_reputation(world, NEWCOMER, audited(of(world, NEWCOMER), AuditOutcome.FAILED, 4))
    next_period(world)
    before = of(world, NEWCOMER)
    assert before.standing is Standing.SUSPENDED

    remove(world, NEWCOMER)
    assert of(world, NEWCOMER) == before
    assert admit(world, NEWCOMER).is_accepted
    world.do(world.join(NEWCOMER))

    assert of(world, NEWCOMER) == replace(before, admitted=world.ledger.head.period)
    assert peer_id(NEWCOMER) not in world.ledger._state.roster


def test_an_active_peer_that_leaves_and_comes_back_keeps_its_counts_and_ages_anew() -> None:
    world = with_newcomer()
    blemished = audited(of(world, NEWCOMER), AuditOutcome.FAILED, 1)
    set_reputation(world, NEWCOMER, blemished)
    remove(world, NEWCOMER)
    next_period(world)

    admit(world, NEWCOMER)

    reputation = of(world, NEWCOMER)
    assert reputation.standing is Standing.CANDIDATE
    assert reputation.admitted == world.ledger.head.period
    assert reputation.integrity == blemished.integrity


def test_of_those_who_left_a_bounded_number_is_remembered_and_cool_downs_longest() -> None:
    world = with_newcomer()
    world.join_all()
    period = world.ledger.head.period
    terms = world.ledger._state.reputations.terms
    evicted = [PeerId(b"e" + number.to_bytes(31, "big")) for number in range(2)]
    others = [PeerId(number.to_bytes(32, "big")) for number in range(REPUTATIONS_KEPT_MAX - 2)]
    clean = newcomer(period - 1, terms, OLD)
    rows = dict.fromkeys(others, clean)
    rows |= {peer: clean.defrauded(period - 2, OLD) for peer in evicted}
    world.store.flush({(Space.REPUTATION, peer): rows[peer].to_value() for peer in rows})
    world.reopen()

    remove(world, NEWCOMER)

    kept = {PeerId(key) for key, _ in world.store.iterate(Space.REPUTATION, b"", 2000)}
    assert len(kept) == REPUTATIONS_KEPT_MAX + 4
    assert kept.issuperset(evicted)
    assert min(others) not in kept
    assert peer_id(NEWCOMER) in kept
    assert_reopens_alike(world)


def test_a_recovery_lets_nobody_in_whose_cool_down_is_not_over() -> None:
    world = World(genesis_of(checkpoint_interval=4))
    world.join_all()
    newcomer_of = peer_id(PEERS[5])
    terms = world.ledger._state.reputations.terms
    period = world.ledger.head.period
    gone = newcomer(period, terms, OLD).defrauded(period, OLD)
    while world.ledger.head.seq % 4:
        world.run()
    assert (
        world.ledger.problem_with(recovery_of(world, leaving=1, coming=(newcomer_of,)).operation)
        == ""
    )
    set_reputation(world, PEERS[5], gone)

    problem = world.ledger.problem_with(
        recovery_of(world, leaving=1, coming=(newcomer_of,)).operation
    )

    assert "comes too early" in problem


def test_who_a_recovery_lets_in_is_a_newcomer() -> None:
    world = World(genesis_of(checkpoint_interval=4))
    world.join_all()
    while world.ledger.head.seq % 4:
        world.run()

    recover(world, recovery_of(world, leaving=1, coming=(peer_id(PEERS[5]),)))

    assert of(world, PEERS[5]).standing is Standing.CANDIDATE
    assert of(world, PEERS[3]).standing is Standing.ACTIVE
