"""Voters that slander, holders that collude, choose whom they serve, or have one disk for all."""

from collections import Counter
from dataclasses import replace

import pytest

from bftcluster.ledger.rules.audits.windows import answer_window_ms, sight_window_ms
from bftcluster.ledger.state.audit_rows import AuditPhase, Challenge, Grounds
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import AUDITED_AGAIN_PERMILLE
from bftcluster.reputation import AuditOutcome
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.audits import AuditWorld, Lie, agreed_lie, denies, right, silent, wrong
from tests.unit.ledger.departures import admit, duties, remove
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import key

FAILED, PASSED, UNKNOWN = AuditOutcome.FAILED, AuditOutcome.PASSED, AuditOutcome.UNKNOWN
LOOKED_95 = 59
"""So many audits, of which each is looked at again with .05, have one that is with .95."""
PERIODS = 3
EACH_MS = 2_500


def outcomes(world: AuditWorld, *peers: SigningKey) -> Counter[AuditOutcome]:
    return Counter(each.outcome for peer in peers for each in world.verdicts(peer))


def ended(world: AuditWorld, periods: int = 1) -> AuditWorld:
    """Draw, and let pass all windows that there may be, so often."""
    genesis = world.genesis
    windows_ms = 2 * answer_window_ms(genesis) + sight_window_ms(genesis) + 8_000
    for _ in range(periods):
        world.draw()
        world.pass_time(windows_ms, heard=world.members, each_ms=EACH_MS)
    return world


def slandered(n: int, liars: int, lie: object) -> AuditWorld:
    """Have the last so many of ``n`` voters say of all others what they did not see."""
    world = AuditWorld(peers=PEERS[:n], pins=1, copies=n)
    world.lies = dict.fromkeys(PEERS[: n - liars], silent)
    world.false_sights = dict.fromkeys(PEERS[n - liars : n], lie)
    return ended(world)


def same_falsehood(world: AuditWorld, _voter: SigningKey, sight: object) -> bytes:
    return agreed_lie(world, PEERS[0], sight.challenge)


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("lie", [denies, same_falsehood], ids=["denial", "falsehood"])
def test_slander_by_f_voters_fails_nobody(n: int, lie: object) -> None:
    """Bound (ADR 0035): of the honest whom f of n voters slander, 0 fail and all pass."""
    f = (n - 1) // 3

    world = slandered(n, f, lie)

    for peer in PEERS[: n - f]:
        assert set(outcomes(world, peer)) == {PASSED}


def test_the_bound_of_slander_is_sharp() -> None:
    """One voter more, f + 1 that say they saw the same, is one too many: the slandered fail."""
    world = AuditWorld(pins=1, copies=4)
    world.false_sights = dict.fromkeys(PEERS[2:4], same_falsehood)
    world.lies = dict.fromkeys(PEERS[2:4], wrong)
    world.lost = {peer: {cid_of(0)} for peer in PEERS[2:4]}

    ended(world)

    assert FAILED in outcomes(world, *PEERS[:2])


@pytest.mark.parametrize("n", [4, 7])
def test_the_silence_of_f_plus_one_voters_stops_audits_only(n: int) -> None:
    """Bound (ADR 0035): where f + 1 of n voters say nothing, 0 peers are judged for it.

    Pins are ordered and given holders meanwhile, and peers admitted and removed.
    """
    quiet = (n - 1) // 3 + 1
    world = AuditWorld(peers=PEERS[:n], pins=1, copies=n)
    suspect = PEERS[0]
    world.lies[suspect] = silent
    world.lost[suspect] = {cid_of(0)}
    world.false_sights = dict.fromkeys(PEERS[n - quiet : n], silent)

    ended(world)

    assert outcomes(world, suspect).total() == 0
    assert world.pin(cid_of(1), replication_min=2, replication_max=3).is_accepted
    assert len(world.holders(cid_of(1))) == 3
    newcomer = key("comes meanwhile")
    admit(world, newcomer)
    remove(world, newcomer)


def test_colluders_beside_one_honest_holder_pass_no_audit() -> None:
    """Bound (ADR 0035): of r holders that are asked, r - 1 that agree on a lie pass 0 audits."""
    world = AuditWorld(pins=1, copies=4)
    colluders = PEERS[1:4]
    world.lies = dict.fromkeys(colluders, agreed_lie)
    world.lost = {peer: {cid_of(0)} for peer in colluders}

    ended(world, PERIODS)

    assert outcomes(world, *colluders).keys() == {FAILED}
    assert outcomes(world, PEERS[0]).keys() == {PASSED}


def all_cheat(world: AuditWorld, says: Lie) -> list[SigningKey]:
    """Let all holders of a pin cheat until voters look, in time; return them."""
    holders = world.holders(cid_of(0))
    for holder in holders:
        world.lies[holder] = says
        world.lost[holder] = {cid_of(0)}
    seen: set[int] = set()
    while not any(each.is_second_look for each in world.audits):
        seen |= {each.number for each in world.audits}
        assert len(seen) <= LOOKED_95
        world.draw()
        world.settle(4)
    return holders


@pytest.mark.parametrize("says", [agreed_lie, right], ids=["a lie", "what was kept of it"])
def test_holders_that_all_cheat_together_are_looked_at_and_fail(says: Lie) -> None:
    """Bound (ADR 0035): k audits in which all agree go without a look with .95^k.

    59 of them are one chance in 20. Who is looked at, and can show nothing, fails when it was asked
    three times: a digest that was kept, or that others told, is no block.
    """
    assert AUDITED_AGAIN_PERMILLE == 50
    world = AuditWorld(pins=1, copies=3)

    holders = all_cheat(world, says)

    world.pass_time(
        3 * sight_window_ms(world.genesis) + 25_000, heard=world.members, each_ms=EACH_MS
    )
    for holder in holders:
        grounds = {each.grounds for each in world.verdicts(holder) if each.outcome is FAILED}
        assert grounds == {Grounds.ABSENCE}


@pytest.mark.parametrize(("readers", "outcome"), [(2, UNKNOWN), (3, PASSED)])
def test_who_sends_its_blocks_to_accomplices_alone_is_seen_by_nobody(
    readers: int, outcome: AuditOutcome
) -> None:
    """Bound (ADR 0035): who serves f of n voters passes 0 looks; f + 1, one of them honest, clear.

    To serve voters alone, and no reader, is not found: audits look like ordinary reads, but who
    reads is no secret.
    """
    world = AuditWorld(peers=PEERS, pins=1, copies=7)
    selective = PEERS[0]
    world.lies[selective] = silent
    world.shown_to[selective] = PEERS[1 : 1 + readers]

    ended(world)

    assert outcomes(world, selective).keys() == {outcome}


@pytest.mark.parametrize(("is_heard", "failures"), [(True, 1), (False, 0)])
def test_silence_where_something_is_missing_costs_what_a_wrong_answer_costs(
    is_heard: bool, failures: int
) -> None:
    """Bound (ADR 0035): an audit that is not answered while its peer is heard is one failure.

    It is asked three times over an audit day. Who is not heard either loses availability instead.
    """
    world = AuditWorld(pins=1, copies=4)
    selective = PEERS[0]
    world.lies[selective] = silent
    world.lost[selective] = {cid_of(0)}
    world.draw()
    asked = sum(each.place_of(peer_id(selective)) is not None for each in world.audits)

    heard = PEERS[:4] if is_heard else PEERS[1:4]
    windows_ms = 3 * sight_window_ms(world.genesis) + 4 * answer_window_ms(world.genesis)
    world.pass_time(windows_ms + world.genesis.audit_day_ms, heard=heard, each_ms=EACH_MS)

    assert outcomes(world, selective)[FAILED] == failures * asked


def farm_of(peers: int) -> Genesis:
    """The first so many peers are one operator's, in domains of their own."""
    genesis = genesis_of(peers=PEERS, domains=[f"domain {each}" for each in range(len(PEERS))])
    operators = ["farm"] * peers + [f"operator {each}" for each in range(peers, len(PEERS))]
    members = tuple(
        replace(each, terms=replace(each.terms, operator=operator))
        for each, operator in zip(genesis.peers, operators, strict=True)
    )
    return replace(genesis, peers=members)


def test_outsourcing_who_fetches_nothing_passes_nothing() -> None:
    """Bound (ADR 0035): who has no block passes 0 audits by what others say of theirs.

    It pledges something, waits for the answers of all others, and says the same.
    """

    def copied(_world: AuditWorld, peer: SigningKey, challenge: Challenge) -> bytes | None:
        others = [each for each in challenge.asked if each.peer != peer_id(peer)]
        if challenge.phase is AuditPhase.PLEDGING:
            return next((each.commitment for each in others if each.commitment), bytes(32))
        return next((each.digest for each in others if each.digest), None)

    world = AuditWorld(pins=1, copies=4)
    world.lies[PEERS[0]] = copied
    world.lost[PEERS[0]] = {cid_of(0)}

    for _ in range(PERIODS):
        world.draw()
        world.settle(6)
    ended(world)

    assert outcomes(world, PEERS[0])[PASSED] == 0
    assert outcomes(world, *PEERS[1:4]).keys() == {PASSED}


def test_outsourcing_to_one_disk_takes_one_copy_of_a_pin_with_it() -> None:
    """Bound (ADRs 0031, 0035): audits do not find four peers that share a disk, as each shows it.

    While three other operators have room, the disk holds at most 1 of a pin's 3 copies; so its end
    is the end of 0 pins.
    """
    farm = PEERS[:4]
    world = World(farm_of(len(farm)))
    world.join_all()
    pins = 60
    for number in range(pins):
        assert world.pin(cid_of(number), replication_min=3, replication_max=3).is_accepted

    at_farm = Counter(cid for peer in farm for cid in duties(world, peer))

    assert set(at_farm.values()) == {1}
    assert len(at_farm) > pins // 2
