"""Audits, as the API shows them."""

from dataclasses import dataclass

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import Asked, AuditVerdict, Challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedView:
    """One of the holders that are asked."""

    peer: PeerId
    peername: str
    """Empty if it left."""
    asked: Asked | None
    """How far it is; None: the audit is over."""
    verdicts: tuple[AuditVerdict, ...]
    """What came of it so far, in order: more than one if it was asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """An audit that is open, or of which verdicts are kept."""

    number: int
    period: int
    cid: Cid
    challenge: Challenge | None
    """None: it is over."""
    peers: tuple[AuditedView, ...]
    """Sorted by peer; of one that is over, those whose verdicts are kept."""
