"""Holders answer what needs the blocks; voters look where it is doubtful."""

from bftcluster.ledger.state.audit_rows import AuditPhase, Grounds
from bftcluster.reputation import AuditOutcome
from tests.unit.ledger.audits import AuditWorld
from tests.unit.ledger.world import PEERS


def test_holders_that_answer_the_same_pass() -> None:
    world = AuditWorld()
    world.draw()
    assert {each.phase for each in world.audits} == {AuditPhase.PLEDGING}

    world.settle()

    assert {each.phase for each in world.audits} == {AuditPhase.AGREED}
    for peer in PEERS[:4]:
        assert world.verdicts(peer)
        assert all(each.grounds is Grounds.AGREEMENT for each in world.verdicts(peer))
        assert all(each.outcome is AuditOutcome.PASSED for each in world.verdicts(peer))
