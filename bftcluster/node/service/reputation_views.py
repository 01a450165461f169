"""Reputations as the HTTP API shows them."""

from bftcluster.api.reputation_views import ReputationView
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.reputation import terms_of
from bftcluster.storage.ledger_reader import LedgerReader


def reputation_views(reader: LedgerReader, genesis: Genesis) -> dict[PeerId, ReputationView]:
    """Return what is kept about every peer, also about those that left; blocks for a few reads."""
    period, terms = queries.head_of(reader).period, terms_of(genesis.period_ms, genesis.day_ms)
    members, evidence = queries.peers(reader), queries.evidence_by_peer(reader)
    waiting = queries.waiting_for_eviction(reader)
    reputations = queries.reputations(reader)
    weights = {
        peer: members[peer].weight
        for peer, reputation in reputations.items()
        if reputation.gets_data and peer in members
    }
    weight_of_all = sum(weights.values())
    return {
        peer: ReputationView(
            peer=peer,
            peername=members[peer].name if peer in members else "",
            is_member=peer in members,
            reputation=reputation,
            period=period,
            period_ms=genesis.period_ms,
            first_period_back=reputation.first_period_back(terms)
            if reputation.is_evicted
            else None,
            weight=weights.get(peer, 0),
            weight_of_all=weight_of_all,
            seen_ms=members[peer].reported_ms if peer in members else 0,
            waits_for_eviction=peer in waiting,
            evidence=evidence[peer].digest if peer in evidence else None,
        )
        for peer, reputation in reputations.items()
    }
