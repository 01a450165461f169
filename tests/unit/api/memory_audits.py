"""A peer's audits in memory, as they were drawn and judged by whoever uses it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bftcluster import cid as cids
from bftcluster.api.audit_views import AuditedView, AuditView
from bftcluster.errors import NotFoundError
from bftcluster.ids import Seq
from bftcluster.ledger.state.audit_rows import (
    Asked,
    AuditPhase,
    AuditVerdict,
    Challenge,
    Grounds,
)
from bftcluster.reputation import AuditOutcome
from tests.unit.api.ordered import NOW_MS, PEERS

CID = cids.of_block(b"audited")
SEED = bytes(range(32))


@dataclass
class MemoryAudits:
    """Keeps those that are put into it."""

    drawn: list[AuditView] = field(default_factory=list)
    """The newest first."""

    async def audits(self, limit: int) -> Sequence[AuditView]:
        return self.drawn[:limit]

    async def audit(self, number: int) -> AuditView:
        for each in self.drawn:
            if each.number == number:
                return each
        raise NotFoundError("nothing is kept about such an audit")


def open_audit(number: int) -> AuditView:
    """Return one in which the first peer has pledged, and the second is a suspect."""
    first = Asked(peer=PEERS[0], commitment=bytes(32), word=b"\x01" * 32, word_seq=Seq(7))
    second = Asked(peer=PEERS[1], is_suspect=True, sights=((PEERS[0], b""),))
    challenge = Challenge(
        number=number,
        period=3,
        seed=SEED,
        cid=CID,
        pin_number=0,
        phase=AuditPhase.SIGHTING,
        until_ms=NOW_MS,
        asked=(first, second),
        asked_times=1,
    )
    peers = tuple(
        AuditedView(peer=each.peer, peername=f"peer-{place}", asked=each, verdicts=())
        for place, each in enumerate(challenge.asked)
    )
    return AuditView(number=number, period=3, cid=CID, challenge=challenge, peers=peers)


def closed_audit(number: int) -> AuditView:
    """Return one that a peer failed."""
    verdict = AuditVerdict(
        number=number,
        period=3,
        cid=CID,
        outcome=AuditOutcome.FAILED,
        grounds=Grounds.CONTRADICTION,
        word_seq=Seq(5),
        seq=Seq(9),
        voters=3,
    )
    peer = AuditedView(peer=PEERS[2], peername="peer-2", asked=None, verdicts=(verdict,))
    return AuditView(number=number, period=3, cid=CID, challenge=None, peers=(peer,))
