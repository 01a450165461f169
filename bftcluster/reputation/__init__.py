"""Says how far to trust a peer: from ordered facts, in integers, without clock or randomness.

Whoever keeps the rows (the ledger) has one per peer, `PeerReputation.to_value`, read back by
`peer_reputation`, and makes another of it when something is ordered:

- the genesis: ``founder(period, terms, evidence)``;
- an admission: ``newcomer(period, terms, evidence, before=...)``. Who was evicted is refused before
  ``before.first_period_back(terms)``, so a row outlives the membership;
- an audit's outcome: ``reputation.audited(outcome, evidence)``;
- proof of fraud: ``reputation.defrauded(period, evidence)``, at once;
- the start of a period: for each peer ``reputation.observed(...)`` with the period that ended, then
  ``settled(...)`` with the one that starts; once all are, those of ``due_for_eviction(...)`` go,
  the worst first, as far as an `EvictionRation` reaches. That others wait is an alarm.

In between nothing but fraud moves a standing, and the caller freezes
``reputation.weight(free_units, period, terms)`` for as long. That candidates together get at most
5 % of new bytes is the allocation's rule. ``terms_of(period_ms)`` and ``period_of(time_ms,
period_ms)`` turn the length of a cluster's periods into what the rest counts in. `arithmetic` is
the simulator's, too.
"""

from bftcluster.reputation.evictions import EvictionRation, due_for_eviction, settled
from bftcluster.reputation.peer_reputation import (
    PeerReputation,
    founder,
    newcomer,
    peer_reputation,
)
from bftcluster.reputation.standing import Cause, OrderedEvidence, Standing, StandingRecord
from bftcluster.reputation.terms import Terms, period_of, terms_of
from bftcluster.reputation.tracks import AuditOutcome

__all__ = [
    "AuditOutcome",
    "Cause",
    "EvictionRation",
    "OrderedEvidence",
    "PeerReputation",
    "Standing",
    "StandingRecord",
    "Terms",
    "due_for_eviction",
    "founder",
    "newcomer",
    "peer_reputation",
    "period_of",
    "settled",
    "terms_of",
]
