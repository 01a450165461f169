"""What the cluster of the API's tests has ordered, and who belongs to it."""

from collections.abc import Sequence

from bftcluster.api.reputation_views import ReputationView
from bftcluster.ids import Digest, MaintainerId, PeerId, Seq
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass
from bftcluster.reputation import OrderedEvidence, founder, terms_of
from bftcluster.signing.policies import Maintainer, Policy

PEERS = tuple(PeerId(bytes([number]) * 32) for number in (1, 2, 3, 4))
ME = PEERS[0]
MAINTAINER = MaintainerId(b"\x11" * 32)
NOW_MS = 1_800_000_000_000
"""2027-01-15T08:00:00Z."""
POLICY = Policy(version=3, maintainers=(Maintainer(name="ada", key=MAINTAINER),), threshold=1)
TERMS = PeerTerms(
    capacity_bytes=1 << 40, quota_class=QuotaClass.PARTNER, domain="attic", operator="Jane Doe"
)
GENESIS = Genesis(
    name="archive",
    created_ms=NOW_MS,
    peers=(GenesisPeer(peer=ME, name="peer-1", addresses=("/ip4/1.2.3.4/tcp/9096",), terms=TERMS),),
    policy=POLICY,
    replication_min=2,
    replication_max=3,
    nonce=bytes(32),
)


def pin_record(operation: PinOperation, allocations: Sequence[PeerId] = PEERS[:2]) -> PinRecord:
    """Return a pin as if the cluster had ordered it as it was asked for."""
    return PinRecord(
        number=0,
        options=operation,
        replication_min=operation.replication_min,
        replication_max=operation.replication_max,
        allocations=tuple(allocations),
        timestamp_ms=NOW_MS,
        seq=Seq(5),
        intent_digest=Digest(b"\xdd" * 32),
        approvers=(MAINTAINER,),
    )


def reputation_view(peer: PeerId) -> ReputationView:
    """Return a founder's reputation; the third peer contradicted itself."""
    period, proof = NOW_MS // GENESIS.period_ms, Digest(b"\xee" * 32)
    evidence = OrderedEvidence(digest=proof, seq=Seq(7))
    return ReputationView(
        peer=peer,
        peername=f"peer-{peer[0]}",
        is_member=True,
        reputation=founder(period, terms_of(GENESIS.period_ms), evidence),
        period=period,
        period_ms=GENESIS.period_ms,
        first_period_back=None,
        weight=1 << 19,
        weight_of_all=3 << 19,
        seen_ms=NOW_MS,
        waits_for_eviction=False,
        evidence=proof if peer == PEERS[2] else None,
    )
