"""What audits do to where a peer stands: who answers becomes active, who does not goes."""

from bftcluster.limits import AUDITS_PER_DAY_CANDIDATE
from bftcluster.reputation import Cause, Standing
from bftcluster.reputation.arithmetic import VETTING_AUDITS
from tests.unit.ledger.audits import AuditWorld, wrong
from tests.unit.ledger.departures import admit
from tests.unit.ledger.standing_world import NEWCOMER, of
from tests.unit.ledger.world import PEERS, cid_of

DAY_MS = 86_400_000


def with_candidate() -> AuditWorld:
    """A candidate beside four founders; everybody keeps one pin."""
    world = AuditWorld(pins=0)
    world.members.append(NEWCOMER)
    admit(world, NEWCOMER)
    world.keep(0, -1)
    return world


def audit_enough(world: AuditWorld) -> None:
    for _ in range(VETTING_AUDITS // AUDITS_PER_DAY_CANDIDATE):
        world.draw()
        world.settle(4)


def test_a_candidate_that_answers_its_audits_is_active_once_it_is_old_enough() -> None:
    world = with_candidate()
    audit_enough(world)
    assert of(world, NEWCOMER).integrity.audits >= VETTING_AUDITS
    world.begin_period()
    assert of(world, NEWCOMER).standing is Standing.CANDIDATE

    world.run(after_ms=21 * DAY_MS)
    world.begin_period()

    assert of(world, NEWCOMER).standing is Standing.ACTIVE
    assert of(world, NEWCOMER).last_change.cause is Cause.VETTED


def test_a_candidate_that_has_deleted_what_it_holds_is_evicted_for_it() -> None:
    world = with_candidate()
    world.lies[NEWCOMER] = wrong
    world.lost[NEWCOMER] = {cid_of(0)}

    audit_enough(world)
    world.begin_period()

    reputation = of(world, NEWCOMER)
    assert reputation.standing is Standing.EVICTED
    assert reputation.last_change.cause is Cause.WRONG_DATA
    assert all(of(world, peer).standing is Standing.ACTIVE for peer in PEERS[:4])
