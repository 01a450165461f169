"""Four peers answer audits from real blocks, and read those of suspects by the real exchange."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.batch import Applied
from bftcluster.ledger.rules.effects import AuditMoved
from bftcluster.ledger.state.audit_rows import (
    Asked,
    AuditPhase,
    AuditVerdict,
    Grounds,
    challenge_key,
)
from bftcluster.ledger.wire.audit_requests import Attest
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.node.ingress.gateway import Ordered
from bftcluster.node.loops.audits import AuditLoop
from bftcluster.reputation import AuditOutcome
from bftcluster.shell_limits import AUDIT_PATH_TIME_MAX_S
from bftcluster.signing.keys import SigningKey
from bftcluster.sync.audit_duties import AuditDuties
from tests.unit.blocks.content import add_file, pattern
from tests.unit.blocks.exchanging import copy_of
from tests.unit.blocks.network import Network, open_network
from tests.unit.ledger.audits import AuditWorld
from tests.unit.ledger.world import PEERS, genesis_of, peer_id
from tests.unit.sync.test_audit_duties import VOTERS, audit

T = TypeVar("T")
CONTENT = pattern(300_000)
LOSER = PEERS[0]
LIGHT, RELAYS = PEERS[5], [peer_id(PEERS[1]), peer_id(PEERS[2])]


class Inline:
    """Works at once: a virtual clock must not jump while a thread works."""

    async def run(self, work: Callable[..., T], *args: object) -> T:
        await trio.lowlevel.checkpoint()
        return work(*args)


class Rows:
    """A ledger's rows as of now."""

    def __init__(self, store: MemoryStateStore) -> None:
        self._store = store

    @contextmanager
    def snapshot(self) -> Iterator[MemoryStateStore]:
        yield self._store


class Cluster:
    """A real ledger, real blocks and real loops; only the order is made up, a batch a request."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.world = AuditWorld(pins=0)
        self.stores: dict[SigningKey, MemoryBlockStore] = {}
        self.loops: dict[SigningKey, AuditLoop] = {}
        first = MemoryBlockStore()
        self.entry = add_file(first, CONTENT)
        for peer in PEERS[:4]:
            self.stores[peer] = copy_of(first, self.entry)
        cid = self.entry.cid
        assert self.world.pin(cid, replication_min=-1, replication_max=-1).is_accepted
        for peer in PEERS[:4]:
            assert self.world.do(self.world.report(peer, cid)).is_accepted

    async def start(self, nursery: trio.Nursery, *, but: Sequence[SigningKey] = ()) -> None:
        for peer in PEERS[:4]:
            exchange = await self.network.add(peer_id(peer), self.stores[peer])
            if peer in but:
                continue
            self.loops[peer] = AuditLoop(
                duties=AuditDuties(
                    signer=peer, seed=peer.seed, cluster_id=self.world.genesis.cluster_id
                ),
                genesis=self.world.genesis,
                voters=lambda: self.world.ledger.epochs[-1].membership,
                reader=Rows(self.world.store),
                gateway=self,
                blocks=self.stores[peer],
                exchange=exchange,
                workers=Inline(),
            )
            nursery.start_soon(self.loops[peer].run)

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered]:
        await trio.lowlevel.checkpoint()
        ordered = []
        for request in requests:
            if self.world.verifier.is_wanted(request):
                applied = self.world.run(request)
                self.tell(applied)
                ordered.append(Ordered(Seq(self.world.ledger.head.seq), applied.outcomes[0]))
        return ordered

    def tell(self, applied: Applied) -> None:
        for loop in self.loops.values():
            loop.note(applied.effects)

    def draw(self) -> None:
        self.world.begin_period()
        self.world.put_beacon()
        self.tell(self.world.run())
        while self.world.ledger.wants_batches:
            self.tell(self.world.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass, and have it ordered."""
        for _ in range(200):
            if condition():
                return
            await trio.sleep(1)
            self.tell(self.world.run(after_ms=1_000))
        raise AssertionError("it did not happen")

    def verdicts(self, peer: SigningKey) -> list[AuditVerdict]:
        return self.world.verdicts(peer)

    def lose(self, peer: SigningKey) -> None:
        store = self.stores[peer]
        store.delete([Cid(b"\x01\x55" + each) for each in list(store.multihashes())])


@asynccontextmanager
async def started(*, but: Sequence[SigningKey] = ()) -> AsyncIterator[Cluster]:
    async with open_network() as network, trio.open_nursery() as nursery:
        cluster = Cluster(network)
        await cluster.start(nursery, but=but)
        yield cluster
        nursery.cancel_scope.cancel()


def outcomes(verdicts: list[AuditVerdict]) -> set[tuple[AuditOutcome, Grounds]]:
    return {(each.outcome, each.grounds) for each in verdicts}


@pytest.fixture
def mock_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


async def test_peers_answer_from_their_blocks_and_pass(mock_clock: MockClock) -> None:
    async with started() as cluster:
        cluster.draw()
        await cluster.until(lambda: all(cluster.verdicts(peer) for peer in PEERS[:4]))

        for peer in PEERS[:4]:
            assert outcomes(cluster.verdicts(peer)) == {(AuditOutcome.PASSED, Grounds.AGREEMENT)}


async def test_a_peer_whose_blocks_are_gone_says_so(mock_clock: MockClock) -> None:
    async with started() as cluster:
        cluster.lose(LOSER)
        cluster.draw()
        await cluster.until(lambda: all(cluster.verdicts(peer) for peer in PEERS[:4]))

        assert outcomes(cluster.verdicts(LOSER)) == {(AuditOutcome.FAILED, Grounds.ADMISSION)}


async def test_voters_read_the_blocks_of_a_peer_that_does_not_answer(
    mock_clock: MockClock,
) -> None:
    async with started(but=[LOSER]) as cluster:
        cluster.draw()
        await cluster.until(lambda: bool(cluster.verdicts(LOSER)))

        assert outcomes(cluster.verdicts(LOSER)) == {(AuditOutcome.PASSED, Grounds.SIGHT)}


async def test_voters_say_of_who_sends_nothing_that_nothing_came(mock_clock: MockClock) -> None:
    async with started(but=[LOSER]) as cluster:
        cluster.lose(LOSER)
        cluster.draw()
        await cluster.until(lambda: bool(cluster.verdicts(LOSER)))

        assert outcomes(cluster.verdicts(LOSER)) == {(AuditOutcome.UNKNOWN, Grounds.SILENCE)}
        [verdict, *_] = cluster.verdicts(LOSER)
        assert verdict.voters == 3


class Reading:
    """A voter with audits to look at; of the suspects some send nothing and never say so."""

    def __init__(self, silent: Sequence[SigningKey]) -> None:
        self._silent = {peer_id(each) for each in silent}
        self._under_way: Counter[PeerId] = Counter()
        self.at_once: Counter[PeerId] = Counter()
        """How many blocks were asked for at the same time, at most."""
        self.asked: Counter[PeerId] = Counter()
        self.seen: set[int] = set()
        self.holders: set[PeerId | None] = set()
        """Whose copies were asked of relays; None: some were asked of who has them."""
        self.store = MemoryStateStore()
        genesis, me = genesis_of(), PEERS[0]
        self.loop = AuditLoop(
            duties=AuditDuties(signer=me, seed=me.seed, cluster_id=genesis.cluster_id),
            genesis=genesis,
            voters=lambda: VOTERS,
            reader=Rows(self.store),  # type: ignore[arg-type]
            gateway=self,  # type: ignore[arg-type]
            blocks=MemoryBlockStore(),
            exchange=self,  # type: ignore[arg-type]
            workers=Inline(),  # type: ignore[arg-type]
            relays_of=lambda peer: RELAYS if peer == peer_id(LIGHT) else [],
        )

    def begin(self, number: int, suspect: SigningKey) -> None:
        asked = Asked(peer=peer_id(suspect), is_suspect=True)
        challenge = audit(AuditPhase.SIGHTING, asked, number=number)
        self.store.flush({(Space.AUDIT, challenge_key(number)): challenge.to_value()})
        self.loop.note([AuditMoved(number)])

    async def fetch_block(
        self, cid: Cid, providers: Sequence[PeerId], *, holder: PeerId | None = None
    ) -> bytes:
        assert list(providers) == (RELAYS if holder else providers)
        suspect = holder or providers[0]
        self.holders.add(holder)
        self.asked[suspect] += 1
        self._under_way[suspect] += 1
        self.at_once |= self._under_way
        try:
            await trio.sleep(float("inf") if suspect in self._silent else 0.1)
        finally:
            self._under_way[suspect] -= 1
        return b"block"

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered]:
        await trio.lowlevel.checkpoint()
        for request in map(parse_request, requests):
            assert isinstance(request, Attest)
            for line in request.lines:
                self.seen.add(line.number)
                self.store.flush({(Space.AUDIT, challenge_key(line.number)): None})
        return []


async def test_suspects_that_send_nothing_keep_no_other_waiting(mock_clock: MockClock) -> None:
    reading = Reading(silent=[PEERS[1]])
    for number in range(8):
        reading.begin(number, PEERS[1])
    reading.begin(8, PEERS[2])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading.loop.run)
        await trio.sleep(1)
        assert reading.seen == {8}

        reading.begin(9, PEERS[3])
        await trio.sleep(1)
        assert reading.seen == {8, 9}, "what comes later does not wait for what is under way"

        await trio.sleep(3 * AUDIT_PATH_TIME_MAX_S + 1)
        nursery.cancel_scope.cancel()

    assert reading.at_once[peer_id(PEERS[1])] == 1
    assert reading.asked[peer_id(PEERS[1])] >= 3, "and gives up in time"


async def test_the_copy_of_a_light_peer_is_asked_of_relays(mock_clock: MockClock) -> None:
    reading = Reading(silent=[])
    reading.begin(1, LIGHT)
    reading.begin(2, PEERS[3])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading.loop.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert reading.seen == {1, 2}
    assert reading.holders == {peer_id(LIGHT), None}


async def test_all_of_many_audits_are_looked_at(mock_clock: MockClock) -> None:
    reading = Reading(silent=[])
    for number in range(30):
        reading.begin(number, PEERS[1 + number % 6])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading.loop.run)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()

    assert reading.seen == set(range(30))
    assert set(reading.at_once.values()) == {1}
