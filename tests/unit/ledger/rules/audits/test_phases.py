"""Holders answer what needs the blocks; voters look where it is doubtful."""

from dataclasses import replace

import pytest

from bftcluster.ledger.rules.audits.windows import (
    answer_window_ms,
    rest_ms,
    sight_window_ms,
)
from bftcluster.ledger.state.audit_rows import AuditPhase, AuditVerdict, Grounds
from bftcluster.ledger.wire.operations import UnpinOperation
from bftcluster.reputation import AuditOutcome
from bftcluster.signing.keys import SigningKey
from bftcluster.sync.audit_duties import Sight
from tests.unit.ledger.audits import (
    AuditWorld,
    Lie,
    agreed_lie,
    denies,
    right,
    silent,
    wrong,
)
from tests.unit.ledger.world import PEERS, cid_of, genesis_of, peer_id

LIAR, OTHER = PEERS[0], PEERS[1]
HONEST = PEERS[1:4]


def world_of(lie: Lie | None = None, *, lost: bool = True, copies: int = 4) -> AuditWorld:
    """One pin, at four holders, of which the first may lie and have nothing to show."""
    world = AuditWorld(pins=1, copies=copies)
    if lie is not None:
        world.lies[LIAR] = lie
        world.lost[LIAR] = {cid_of(0)} if lost else set()
    world.draw()
    assert world.audits
    return world


def ended(world: AuditWorld, *, heard: tuple[SigningKey, ...] = PEERS[:4]) -> AuditWorld:
    """Let pass all windows there may be, once."""
    genesis = world.genesis
    world.pass_time(2 * answer_window_ms(genesis) + sight_window_ms(genesis) + 2_000, heard=heard)
    return world


def found(world: AuditWorld, peer: SigningKey) -> set[tuple[AuditOutcome, Grounds]]:
    return {(each.outcome, each.grounds) for each in world.verdicts(peer)}


def passed(world: AuditWorld, *peers: SigningKey) -> bool:
    return all({o for o, _ in found(world, each)} == {AuditOutcome.PASSED} for each in peers)


def test_holders_that_answer_the_same_pass() -> None:
    world = AuditWorld()
    world.draw()
    assert {each.phase for each in world.audits} == {AuditPhase.PLEDGING}

    world.settle()

    assert {each.phase for each in world.audits} == {AuditPhase.AGREED}
    for peer in PEERS[:4]:
        assert found(world, peer) == {(AuditOutcome.PASSED, Grounds.AGREEMENT)}


def test_who_answers_otherwise_is_convicted_by_what_voters_saw() -> None:
    world = world_of(wrong)

    world.settle()

    assert found(world, LIAR) == {(AuditOutcome.FAILED, Grounds.CONTRADICTION)}
    assert passed(world, *HONEST)
    assert world.audits == []


def test_who_answered_wrongly_is_not_cleared_by_showing_the_blocks_later() -> None:
    world = world_of(wrong, lost=False)

    def of_the_liar_alone(world: AuditWorld, peer: SigningKey, sight: Sight) -> bytes | None:
        is_liar = sight.suspect.peer == peer_id(LIAR)
        return right(world, peer, sight.challenge) if is_liar else None

    world.false_sights = dict.fromkeys(PEERS[:4], of_the_liar_alone)

    world.settle()

    assert found(world, LIAR) == {(AuditOutcome.FAILED, Grounds.CONTRADICTION)}


def test_who_answers_alone_is_compared_with_nobody() -> None:
    world = world_of(wrong)
    world.lies |= dict.fromkeys(HONEST, silent)

    ended(world)

    assert found(world, LIAR) == {(AuditOutcome.FAILED, Grounds.CONTRADICTION)}
    assert passed(world, *HONEST)


def test_a_peer_that_says_it_lacks_the_blocks_fails_at_once_and_is_not_looked_at() -> None:
    world = world_of(denies)

    world.settle()

    assert found(world, LIAR) == {(AuditOutcome.FAILED, Grounds.ADMISSION)}
    assert passed(world, *HONEST)
    assert {each.phase for each in world.audits} == {AuditPhase.AGREED}


def test_who_was_slow_to_answer_clears_itself_by_sending_the_blocks() -> None:
    world = ended(world_of(silent, lost=False))

    assert found(world, LIAR) == {(AuditOutcome.PASSED, Grounds.SIGHT)}
    assert passed(world, *HONEST)


def test_who_says_nothing_is_asked_three_times_over_an_audit_day_before_it_fails() -> None:
    world = world_of(silent)
    begun_ms = world.now_ms
    outcomes = []
    for _ in range(3):
        ended(world)
        outcomes.append([each.outcome for each in world.verdicts(LIAR)])
        world.pass_time(rest_ms(world.genesis), heard=PEERS[:4])
    audits = len({each.number for each in world.verdicts(LIAR)})

    assert AuditOutcome.FAILED not in outcomes[0] + outcomes[1]
    last = [each for each in world.verdicts(LIAR) if each.outcome is AuditOutcome.FAILED]
    assert len(last) == audits
    assert {each.grounds for each in last} == {Grounds.ABSENCE}
    assert unknown(world.verdicts(LIAR)) == 3 * audits
    assert world.now_ms - begun_ms >= world.genesis.audit_day_ms
    assert world.audits == [] or {each.phase for each in world.audits} == {AuditPhase.AGREED}


@pytest.mark.parametrize("announces", [True, False])
def test_a_light_peer_is_there_if_it_was_heard_since_it_was_last_to_be(announces: bool) -> None:
    """It announces itself every four periods: a window in which it is looked at may have none."""
    world = world_of(silent)
    state, light = world.ledger._state, peer_id(LIAR)
    record = state.peers[light]
    state.put_peer(replace(record, terms=replace(record.terms, is_light=True)))
    world.store.flush(state.take_delta())

    for _ in range(3):
        for is_asked in (True, False):
            while (AuditPhase.SIGHTING in {each.phase for each in world.audits}) != is_asked:
                world.pass_time(500, heard=HONEST)
        if announces:
            world.run(world.report(LIAR), after_ms=1)

    assert unknown(world.verdicts(LIAR))
    is_failed = (AuditOutcome.FAILED, Grounds.ABSENCE) in found(world, LIAR)
    assert is_failed == announces


def unknown(verdicts: list[AuditVerdict]) -> int:
    return sum(each.outcome is AuditOutcome.UNKNOWN for each in verdicts)


def test_who_is_not_there_is_not_blamed_for_what_it_cannot_show() -> None:
    world = world_of(silent)
    for _ in range(4):
        ended(world, heard=HONEST)
        world.pass_time(rest_ms(world.genesis), heard=HONEST)

    assert {outcome for outcome, _ in found(world, LIAR)} == {AuditOutcome.UNKNOWN}


def test_a_holder_that_is_alone_shows_its_blocks_to_voters() -> None:
    world = AuditWorld(pins=1, copies=1)
    [holder] = world.holders(cid_of(0))
    world.draw()
    assert {each.phase for each in world.audits} == {AuditPhase.SIGHTING}

    world.settle()

    assert found(world, holder) == {(AuditOutcome.PASSED, Grounds.SIGHT)}


def test_a_pair_that_agrees_on_a_lie_is_convicted_by_one_other_though_it_is_late() -> None:
    world = world_of(agreed_lie)
    world.lies[OTHER] = agreed_lie
    world.lost[OTHER] = {cid_of(0)}
    for peer in PEERS[2:4]:
        world.lies[peer] = silent

    ended(world)

    for peer in (LIAR, OTHER):
        assert (AuditOutcome.FAILED, Grounds.CONTRADICTION) in found(world, peer)
    assert passed(world, *PEERS[2:4])


def test_who_copies_the_pledge_of_another_has_nothing_to_answer() -> None:
    def copies(world: AuditWorld, _peer: SigningKey, challenge: object) -> bytes | None:
        [asked] = [each for each in world.audits if each == challenge]
        others = [each for each in asked.asked if each.peer != peer_id(LIAR)]
        return next((each.digest or each.commitment for each in others if each.commitment), None)

    world = world_of(copies)
    ended(world)

    assert AuditOutcome.PASSED not in {outcome for outcome, _ in found(world, LIAR)}
    assert passed(world, *HONEST)


def test_f_voters_that_say_nobody_sends_anything_convict_nobody() -> None:
    world = world_of(silent, lost=False)
    world.false_sights[PEERS[3]] = denies

    ended(world)

    assert passed(world, *PEERS[:4])


def test_f_voters_that_saw_another_digest_convict_nobody() -> None:
    world = world_of(wrong)
    world.false_sights[LIAR] = lambda world, peer, sight: wrong(world, peer, sight.challenge)

    ended(world)

    assert passed(world, *HONEST)
    assert found(world, LIAR) == {(AuditOutcome.FAILED, Grounds.CONTRADICTION)}


def test_f_voters_do_not_clear_a_peer_that_shows_nothing() -> None:
    world = world_of(silent)
    world.false_sights[OTHER] = lambda world, peer, sight: right(world, peer, sight.challenge)

    ended(world)

    assert {outcome for outcome, _ in found(world, LIAR)} == {AuditOutcome.UNKNOWN}


def test_where_f_plus_one_voters_are_silent_nobody_is_judged_and_pins_go_on() -> None:
    world = world_of(silent)
    world.false_sights = dict.fromkeys(PEERS[2:4], silent)

    ended(world)

    assert found(world, LIAR) == set()
    assert passed(world, *HONEST)
    assert world.pin(cid_of(9)).is_accepted


def test_a_suspect_does_not_see_itself() -> None:
    world = world_of(silent)
    world.false_sights[LIAR] = lambda world, peer, sight: right(world, peer, sight.challenge)

    world.settle(120)

    for each in world.audits:
        assert all(a.seen_by(a.peer) is None for a in each.asked)


@pytest.mark.parametrize("lie", [denies, silent, wrong], ids=lambda lie: lie.__name__)
def test_what_was_unpinned_meanwhile_is_held_against_nobody(lie: Lie) -> None:
    world = world_of(lie)
    assert world.do(world.submit(UnpinOperation(cid=cid_of(0)))).is_accepted

    ended(world)

    assert not {AuditOutcome.UNKNOWN} & {outcome for outcome, _ in found(world, LIAR)}
    assert (AuditOutcome.FAILED, Grounds.ADMISSION) not in found(world, LIAR)


def test_who_is_made_light_during_an_audit_is_not_failed_for_what_everybody_keeps() -> None:
    world = world_of(silent, copies=-1)
    state, liar = world.ledger._state, peer_id(LIAR)
    record = state.peers[liar]
    state.put_peer(replace(record, terms=replace(record.terms, is_light=True)))
    world.store.flush(state.take_delta())

    for _ in range(3):
        ended(world)
        world.pass_time(rest_ms(world.genesis), heard=PEERS[:4])

    assert world.verdicts(LIAR) == []


def test_phases_last_as_long_as_periods_let_them_and_reask_over_a_day() -> None:
    hour = genesis_of()
    assert (answer_window_ms(hour), sight_window_ms(hour)) == (450_000, 1_800_000)
    assert rest_ms(hour) * 2 == 86_400_000


def test_the_end_of_a_phase_is_due() -> None:
    world = world_of()

    assert world.ledger.due_ms is not None
    assert world.ledger.due_ms <= world.now_ms + answer_window_ms(world.genesis) + 1_000


def test_a_verdict_goes_back_to_the_batch_with_the_word_that_it_is_about() -> None:
    world = world_of(wrong)
    world.settle()

    [verdict, *_] = world.verdicts(LIAR)
    assert 0 < verdict.word_seq < verdict.seq
    assert verdict.cid == cid_of(0)


def test_restarts_after_each_batch_change_no_row() -> None:
    def rows(*, reopens: bool) -> dict:
        world = world_of(wrong)
        for _ in range(12):
            world.step()
            if reopens:
                world.reopen()
        return {number: (e.phase, e.asked) for number, e in enumerate(world.audits)} | {
            peer_id(peer): world.verdicts(peer) for peer in PEERS[:4]
        }

    assert rows(reopens=True) == rows(reopens=False)
