"""Shows audits: what is open, and what came of the last ones."""

from dataclasses import dataclass

from bftcluster.api.audit_views import AuditedView, AuditView
from bftcluster.errors import NotFoundError
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import AuditVerdict
from bftcluster.node.process.threads import Workers
from bftcluster.storage.ledger_reader import LedgerReader


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditService:
    """Implements ``AuditsPort``."""

    reader: LedgerReader
    workers: Workers

    async def audits(self, limit: int) -> list[AuditView]:
        """Return the last audits that something is known of, the newest first."""
        views = await self.workers.run(audit_views, self.reader)
        return [views[number] for number in sorted(views, reverse=True)[:limit]]

    async def audit(self, number: int) -> AuditView:
        """Return one audit.

        Raises:
            NotFoundError: There was none, or nothing is kept of it.
        """
        views = await self.workers.run(audit_views, self.reader)
        if number not in views:
            hint = "`bftcluster audit ls` lists those that something is kept of"
            raise NotFoundError("nothing is kept about such an audit", hint=hint)
        return views[number]


def audit_views(reader: LedgerReader) -> dict[int, AuditView]:
    """Return all audits that something is kept of, by number; blocks for a few reads."""
    with reader.snapshot() as rows:
        names = {peer: record.name for peer, record in queries.peers(rows).items()}
        challenges = {each.number: each for each in queries.open_audits(rows)}
        verdicts = queries.audit_verdicts(rows)
    by_audit: dict[int, dict[PeerId, list[AuditVerdict]]] = {n: {} for n in challenges}
    for peer, kept in verdicts.items():
        for verdict in kept:
            by_audit.setdefault(verdict.number, {}).setdefault(peer, []).append(verdict)
    views = {}
    for number, kept_of in by_audit.items():
        challenge = challenges.get(number)
        asked = {} if challenge is None else {each.peer: each for each in challenge.asked}
        first = challenge or next(verdict for each in kept_of.values() for verdict in each)
        peers = tuple(
            AuditedView(
                peer=peer,
                peername=names.get(peer, ""),
                asked=asked.get(peer),
                verdicts=tuple(kept_of.get(peer, ())),
            )
            for peer in sorted({*asked, *kept_of})
        )
        views[number] = AuditView(
            number=number, period=first.period, cid=first.cid, challenge=challenge, peers=peers
        )
    return views
