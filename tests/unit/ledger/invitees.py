"""Invitations, and those who come by them, in a small cluster."""

from bftcluster.ids import InviteKey
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.loans.invitations import InviteRecord, invite_record
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.invitation_operations import Invite
from bftcluster.ledger.wire.loan_requests import Leave, Redeem, leave, redeem
from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import GIB, World, peer_id
from tests.unit.signing.people import DAY_MS, START_MS, key

INVITE = key("an invitation")
INVITE_KEY = InviteKey(INVITE.public_key)
INVITED = PeerTerms(capacity_bytes=50 * GIB, quota_class=QuotaClass.VOLUNTEER, domain="anywhere")


def invitation(
    *, uses: int = 1, expires_ms: int = START_MS + DAY_MS, terms: PeerTerms = INVITED, **options
) -> Invite:
    return Invite(key=INVITE_KEY, uses=uses, expires_ms=expires_ms, terms=terms, **options)


def redemption(
    world: World,
    peer: SigningKey,
    *,
    invite: SigningKey = INVITE,
    capacity_bytes: int = 20 * GIB,
    domain: str = "",
    operator: str = "",
) -> Redeem:
    return redeem(
        peer,
        invite,
        cluster_id=world.genesis.cluster_id,
        name="volunteer",
        addresses=(),
        asked=PeerTerms(capacity_bytes=capacity_bytes, domain=domain, operator=operator),
    )


def departure(world: World, peer: SigningKey, *, is_final: bool = False, said_ms: int = 0) -> Leave:
    said_ms = said_ms or world.now_ms
    cluster_id = world.genesis.cluster_id
    return leave(peer, cluster_id=cluster_id, now_ms=said_ms, is_final=is_final)


def invited(world: World) -> InviteRecord:
    value = world.store.get(Space.INVITE, INVITE_KEY)
    assert value is not None
    return invite_record(value)


def is_in(world: World, peer: SigningKey) -> bool:
    return queries.peer_of(world.store, peer_id(peer)) is not None


def record_of(world: World, peer: SigningKey) -> PeerRecord:
    record = queries.peer_of(world.store, peer_id(peer))
    assert record is not None
    return record
