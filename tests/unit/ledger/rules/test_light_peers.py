"""What the ledger lets a light peer be, and what it is not to hold."""

from collections.abc import Iterable, Sequence

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.holder_reports import row_key
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.replication import status_of, wanted
from bftcluster.ledger.wire.genesis import GenesisPeer
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import UnpinOperation
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


def test_what_a_light_peer_says_of_everybodys_pins_counts_nowhere(world: World) -> None:
    world.join_all()
    admit(world, PEERS[5])
    world.do(world.join(PEERS[5]))
    world.pin(cid_of(1))

    assert world.do(world.report(PEERS[5], cid_of(1))).detail == "0 of 1 entries count"

    assert world.store.get(Space.DUTY, row_key(peer_id(PEERS[5]), 0)) is None


def test_who_becomes_light_is_no_holder_of_what_everybody_keeps(world: World) -> None:
    world.join_all()
    admit(world, PEERS[5], FULL)
    world.do(world.join(PEERS[5]))
    world.pin(cid_of(1))
    world.do(world.report(PEERS[5], cid_of(1)))
    reported = row_key(peer_id(PEERS[5]), 0)
    assert world.store.get(Space.DUTY, reported)

    assert admit(world, PEERS[5], LIGHT) is OutcomeCode.COMMITTED

    assert world.store.get(Space.DUTY, reported) is None
    assert not world.ledger._state.moves


class Asked:
    """Notes the keys of rows that a world's ledger asks for one by one from now on."""

    def __init__(self, world: World) -> None:
        self._store = world.store
        self.keys: set[bytes] = set()
        world.ledger = Ledger(world.genesis, self, world.verifier)

    def get(self, space: Space, key: bytes) -> bytes | None:
        self.keys.add(key)
        return self._store.get(space, key)

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        return self._store.iterate(space, after, limit)

    def prefetch(self, keys: Iterable[Key]) -> None:
        wanted = list(keys)
        self.keys.update(key for _, key in wanted)
        self._store.prefetch(wanted)


@pytest.mark.parametrize("change", ["unpinned", "given to some"])
def test_a_pin_of_everybodys_asks_no_rows_of_light_peers_when_it_ends(
    world: World, change: str
) -> None:
    world.join_all()
    filled(world, 10, LIGHT)
    world.pin(cid_of(1))
    asked = Asked(world).keys

    if change == "unpinned":
        world.do(world.submit(UnpinOperation(cid=cid_of(1))))
    else:
        world.pin(cid_of(1), replication_min=1, replication_max=1)

    rows = {row_key(PeerId(number.to_bytes(32, "big")), 0) for number in range(10)}
    assert row_key(peer_id(PEERS[0]), 0) in asked
    assert not rows & asked
