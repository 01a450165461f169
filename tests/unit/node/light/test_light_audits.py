"""A light peer answers relays from its own blocks, each of them in its turn."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.wire.audit_requests import Answer, Pledge, commitment_of
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.light.light_peer import LOOK_INTERVAL_MS
from bftcluster.node.light.light_audits import LightAudits
from bftcluster.node.light.relay_orders import RelayOrders
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.audit_duties import AuditDuties
from bftcluster.sync.frames import AuditHint, HandedIn, HandIn
from tests.unit.blocks.content import add_file, pattern
from tests.unit.light.relays import LIGHT, RELAYS, LightWorld

T = TypeVar("T")
SEED = Digest(bytes(range(32)))


class Inline:
    """Works at once: a virtual clock must not jump while a thread works."""

    async def run(self, work: Callable[..., T], *args: object) -> T:
        await trio.lowlevel.checkpoint()
        return work(*args)


class Lent:
    """A light peer with one content, and what its relays were given."""

    def __init__(self) -> None:
        self.world = LightWorld()
        self.blocks = MemoryBlockStore()
        self.entry = add_file(self.blocks, pattern(300_000))
        self.world.pin(self.entry.cid)
        self.world.checkpoint()
        self.world.settle()
        self.orders = RelayOrders(self.world.peer, lambda: None)
        self.audits = LightAudits(
            duties=AuditDuties(
                signer=LIGHT, seed=LIGHT.seed, cluster_id=self.world.world.genesis.cluster_id
            ),
            blocks=self.blocks,
            orders=self.orders,
            has_reported=self.world.peer.book.has_reported,
            end=self.world.peer.end_audit,
            workers=Inline(),  # type: ignore[arg-type]
        )

    def report(self) -> None:
        """Report the content as held, and have that proven."""
        self.world.world.do(self.world.world.report(LIGHT, self.entry.cid))
        self.world.checkpoint()
        self.world.settle(LOOK_INTERVAL_MS)

    def ask(self, relay: PeerId, number: int, *, is_pledged: bool = False) -> Verdict:
        hint = AuditHint(number=number, seed=SEED, cid=self.entry.cid, is_pledged=is_pledged)
        return self.world.say(hint.frame(), relay)

    async def handed(self) -> list[tuple[PeerId, HandIn]]:
        """Let it work, and return what it gave to whom."""
        found = []
        for _ in range(5):
            actions = self.world.peer.step(self.world.now_ms)
            self.audits.tell(actions.audits)
            self.orders.resolve(actions.outcomes)
            for relay, frame in actions.sends:
                message = self.world.read(frame)
                if isinstance(message, HandIn):
                    found.append((relay, message))
            await trio.sleep(0.05)
        return found

    def hear(self, relay: PeerId, handed: HandIn) -> None:
        code = int(OutcomeCode.RECORDED)
        assert self.world.say(HandedIn(number=handed.number, code=code).frame(), relay)


@pytest.fixture
async def lent(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncIterator[Lent]:
    lent = Lent()
    nursery.start_soon(lent.audits.run)
    yield lent
    nursery.cancel_scope.cancel()


async def test_it_pledges_and_then_answers_what_it_pledged(lent: Lent) -> None:
    assert lent.ask(RELAYS[0], 1) is Verdict.ACCEPTED
    [(relay, handed)] = await lent.handed()
    assert relay == RELAYS[0]
    pledge = parse_request(handed.request)
    lent.hear(relay, handed)
    await lent.handed()
    assert lent.ask(RELAYS[0], 1, is_pledged=True) is Verdict.ACCEPTED
    [(_, handed)] = await lent.handed()
    answer = parse_request(handed.request)

    assert isinstance(pledge, Pledge)
    assert isinstance(answer, Answer)
    [line] = answer.lines
    assert not line.is_missing
    me = PeerId(LIGHT.public_key)
    assert pledge.lines[0].commitment == commitment_of(SEED, me, line.digest, line.salt)


async def test_a_relay_that_says_nothing_more_keeps_no_other_waiting(lent: Lent) -> None:
    for number in range(8):
        lent.ask(RELAYS[0], number)
    lent.ask(RELAYS[1], 0)

    handed = await lent.handed()

    assert sorted(relay for relay, _ in handed) == sorted(RELAYS)


async def test_blocks_that_are_gone_are_said_to_be(lent: Lent) -> None:
    lent.report()
    lent.blocks.delete([lent.entry.cid])
    lent.ask(RELAYS[0], 1)

    [(_, handed)] = await lent.handed()

    answer = parse_request(handed.request)
    assert isinstance(answer, Answer)
    assert answer.lines[0].is_missing


async def test_blocks_that_it_never_reported_are_not_said_to_be_missing(lent: Lent) -> None:
    lent.blocks.delete([lent.entry.cid])
    lent.ask(RELAYS[0], 1)

    assert await lent.handed() == []


async def test_what_was_answered_is_answered_again_if_the_relay_asks_again(lent: Lent) -> None:
    lent.ask(RELAYS[0], 1)
    [(relay, first)] = await lent.handed()
    lent.hear(relay, first)
    await lent.handed()

    assert lent.ask(RELAYS[0], 1) is Verdict.ACCEPTED
    [(_, second)] = await lent.handed()

    assert second.request == first.request
