"""What the ledger lets a light peer be, and what it is not to hold."""

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.replication import status_of, wanted
from bftcluster.ledger.wire.genesis import GenesisPeer
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.limits import LIGHT_PEERS_MAX, PEERS_MAX
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.invitees import invitation, record_of, redemption
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, genesis_of, key, peer_id

LIGHT = PeerTerms(capacity_bytes=GIB, is_light=True)
FULL = PeerTerms(capacity_bytes=GIB)


@pytest.fixture
def world() -> World:
    return World(genesis_of(checkpoint_interval=4))


def admit(world: World, peer: SigningKey, terms: PeerTerms = LIGHT) -> OutcomeCode:
    operation = AdmitPeer(peer=peer_id(peer), name="new", addresses=(), votes=False, terms=terms)
    return world.do(world.submit(operation)).code


def test_a_light_peer_neither_votes_nor_founds() -> None:
    with pytest.raises(MalformedMessageError, match="no ledger to vote on"):
        AdmitPeer(peer=peer_id(PEERS[5]), name="l", addresses=(), votes=True, terms=LIGHT)
    with pytest.raises(MalformedMessageError, match="founds no cluster"):
        GenesisPeer(peer=peer_id(PEERS[5]), name="l", addresses=(), terms=LIGHT)


def test_a_voter_does_not_become_light() -> None:
    """Though there are enough of them to lose one."""
    world = World(genesis_of(peers=PEERS[:5]))

    assert admit(world, PEERS[1]) is OutcomeCode.INVALID_OPERATION
    assert admit(world, PEERS[1], FULL) is OutcomeCode.COMMITTED


def test_what_everybody_keeps_light_peers_do_not(world: World) -> None:
    world.join_all()
    assert admit(world, PEERS[5]) is OutcomeCode.COMMITTED
    assert world.do(world.join(PEERS[5])).is_accepted
    assert world.pin(cid_of(1)).is_accepted
    for peer in PEERS[:4]:
        world.do(world.report(peer, cid_of(1)))

    record = world.record(cid_of(1))
    assert record is not None
    peers = queries.peers(world.store).values()
    assert peer_id(PEERS[5]) not in wanted(record, peers)
    assert status_of(record, peers).is_replicated


def filled(world: World, count: int, terms: PeerTerms) -> None:
    """Have so many more peers admitted, with these terms."""
    state = world.ledger._state
    reputation = state.reputations.of(peer_id(PEERS[0])).to_value()
    for number in range(count):
        peer = PeerId(number.to_bytes(32, "big"))
        record = PeerRecord(peer=peer, name="p", addresses=(), is_replica=False, terms=terms)
        rows = {(Space.PEER, peer): record.to_value(), (Space.REPUTATION, peer): reputation}
        world.store.flush(rows)
    world.reopen()


def test_light_peers_do_not_count_among_those_that_keep_links_to_each_other(world: World) -> None:
    filled(world, PEERS_MAX - 4, FULL)

    assert admit(world, PEERS[5], FULL) is OutcomeCode.INVALID_OPERATION
    assert admit(world, PEERS[5], LIGHT) is OutcomeCode.COMMITTED
    assert admit(world, PEERS[5], FULL) is OutcomeCode.INVALID_OPERATION


def test_light_peers_have_a_limit_of_their_own(world: World) -> None:
    filled(world, LIGHT_PEERS_MAX - 1, LIGHT)

    assert admit(world, PEERS[5], FULL) is OutcomeCode.COMMITTED
    assert admit(world, key("light 1")) is OutcomeCode.COMMITTED
    assert admit(world, key("light 2")) is OutcomeCode.INVALID_OPERATION
    assert admit(world, PEERS[5], LIGHT) is OutcomeCode.INVALID_OPERATION


def test_who_comes_by_an_invitation_for_light_peers_is_light(world: World) -> None:
    world.do(world.submit(invitation(terms=LIGHT)))

    assert world.do(redemption(world, PEERS[5])).code is OutcomeCode.COMMITTED

    assert record_of(world, PEERS[5]).terms.is_light


@pytest.mark.parametrize("terms", [LIGHT, FULL])
def test_light_peers_take_no_place_from_those_who_come_by_an_invitation(
    world: World, terms: PeerTerms
) -> None:
    filled(world, PEERS_MAX, LIGHT)
    world.do(world.submit(invitation(terms=terms)))
    request = redemption(world, PEERS[5])

    assert world.verifier.refusal(request.to_bytes()) is None
    assert world.do(request).code is OutcomeCode.COMMITTED


@pytest.mark.parametrize(
    ("terms", "others"), [(LIGHT, LIGHT_PEERS_MAX), (FULL, PEERS_MAX - 4)], ids=["light", "full"]
)
def test_an_invitation_has_no_place_in_the_order_while_nobody_more_is_let_in(
    world: World, terms: PeerTerms, others: int
) -> None:
    filled(world, others, terms)
    world.do(world.submit(invitation(terms=terms)))
    request = redemption(world, PEERS[5])

    assert world.verifier.refusal(request.to_bytes()).code is OutcomeCode.INVALID_OPERATION
    assert world.do(request).code is OutcomeCode.INVALID_OPERATION
