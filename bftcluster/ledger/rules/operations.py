"""Executes operations that enough maintainers approved, each kind where it belongs."""

from typing import assert_never

from bftcluster.ledger.rules.age_rules import set_age_rules
from bftcluster.ledger.rules.context import Approved, Execution, burn, note_refused
from bftcluster.ledger.rules.loans.invitations import invite, revoke
from bftcluster.ledger.rules.membership import admit, remove
from bftcluster.ledger.rules.pins import pin, unpin
from bftcluster.ledger.wire.invitation_operations import Invite, RevokeInvite
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.pin_strategy import SetAgeRules
from bftcluster.ledger.wire.recovery_operation import RecoverCluster


def execute_operation(execution: Execution, approved: Approved) -> Outcome:
    """Do what was approved, and use up its intent; a refusal leaves both as they were."""
    outcome = _execute(execution, approved)
    if outcome.is_accepted:
        burn(execution, approved.intent)
    else:
        note_refused(execution, approved.intent, outcome)
    return outcome


def _execute(execution: Execution, approved: Approved) -> Outcome:
    match approved.operation:
        case PinOperation() as operation:
            return pin(execution, approved, operation)
        case UnpinOperation() as operation:
            return unpin(execution, approved, operation)
        case AdmitPeer() as operation:
            return admit(execution, approved, operation)
        case RemovePeer() as operation:
            return remove(execution, approved, operation)
        case Invite() as operation:
            return invite(execution, approved, operation)
        case RevokeInvite() as operation:
            return revoke(execution, approved, operation)
        case SetAgeRules() as operation:
            return set_age_rules(execution, approved, operation)
        case RecoverCluster():
            detail = "a recovery is not ordered: each peer takes it from its file, while it stands"
            return approved.outcome(OutcomeCode.INVALID_OPERATION, detail)
        case _ as unreachable:
            assert_never(unreachable)
