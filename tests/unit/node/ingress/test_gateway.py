"""The one door in: what could change nothing is answered at once, and orders nothing."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from bftcluster.ids import Seq
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import Approve, Request, Submit
from bftcluster.node.ingress.gateway import Gateway, Ordered
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.pbft import Event, RequestSubmitted
from bftcluster.signing.approvals import approve
from tests.unit.ledger.world import PEERS, World, cid_of
from tests.unit.signing.people import ALICE, BOB, CAROL, MALLORY

PIN = PinOperation(cid=cid_of(1))


class Door:
    """A gateway before a ledger; the order is decided by hand."""

    def __init__(self) -> None:
        self.world = World()
        self.inbox: OrderInbox[Event] = OrderInbox(external_max=100)
        self.gateway = Gateway(inbox=self.inbox, verifier=self.world.verifier)

    async def order(self, *requests: Request, timeout_s: float = 5) -> list[Ordered | None]:
        data = [request.to_bytes() for request in requests]
        return await self.gateway.order(data, timeout_s=timeout_s)

    async def taken(self) -> list[bytes]:
        """What the replica was handed."""
        events = await self.inbox.take(timeout_s=0.01)
        return [event.request for event in events if isinstance(event, RequestSubmitted)]

    def execute(self, requests: Sequence[bytes]) -> None:
        outcomes = self.world.run(*requests).outcomes
        seq = self.world.ledger.head.seq
        self.gateway.resolve(seq, zip(requests, outcomes, strict=True))


@pytest.fixture
def door() -> Door:
    return Door()


async def test_what_a_stranger_sends_is_answered_at_once_and_orders_nothing(
    door: Door, autojump_clock: MockClock
) -> None:
    strange = (door.world.join(PEERS[5]), door.world.report(PEERS[5]))

    [join, report] = await door.order(*strange, timeout_s=0)

    assert [each.outcome.code for each in (join, report)] == [OutcomeCode.NOT_ADMITTED] * 2
    assert (join.seq, report.seq) == (Seq(0), Seq(0))
    assert await door.taken() == []


async def test_what_is_wanted_is_ordered_beside_what_is_not(
    door: Door, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answers: list[Ordered | None] = []

    async def client() -> None:
        answers.extend(await door.order(door.world.join(PEERS[5]), door.world.submit(PIN)))

    nursery.start_soon(client)
    await trio.sleep(0.1)
    door.execute(await door.taken())
    await trio.sleep(0.1)

    assert [(a.seq, a.outcome.code) for a in answers] == [
        (Seq(0), OutcomeCode.NOT_ADMITTED),
        (Seq(1), OutcomeCode.COMMITTED),
    ]


async def test_a_vote_waits_a_little_for_its_proposal(
    door: Door, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    intent = door.world.intent(PIN)
    vote = Approve(intent_digest=intent.digest, approval=approve(intent.to_bytes(), BOB))
    nursery.start_soon(door.order, vote)
    await trio.sleep(0.3)
    assert await door.taken() == []

    door.world.do(door.world.propose(intent))
    await trio.sleep(0.1)

    assert await door.taken() == [vote.to_bytes()]


async def test_a_vote_on_nothing_is_refused_after_a_while(
    door: Door, autojump_clock: MockClock
) -> None:
    intent = door.world.intent(PIN)
    vote = Approve(intent_digest=intent.digest, approval=approve(intent.to_bytes(), BOB))

    [ordered] = await door.order(vote, timeout_s=30)

    assert ordered.outcome.code is OutcomeCode.UNKNOWN_PROPOSAL
    assert await door.taken() == []


async def test_who_waits_for_what_has_become_useless_is_told(
    door: Door, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answers: list[Ordered | None] = []
    one, two = door.world.submit(PIN), door.world.submit(PIN)

    async def client() -> None:
        answers.extend(await door.order(one, timeout_s=30))

    nursery.start_soon(client)
    await trio.sleep(0.1)
    door.world.run(two, one)  # executed without a word: in an earlier life of this peer, say
    await trio.sleep(2)

    assert [(a.seq, a.outcome.code) for a in answers] == [(Seq(1), OutcomeCode.REPLAYED)]


async def test_a_second_client_who_is_refused_takes_nothing_from_the_first(
    door: Door, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answers: list[Ordered | None] = []
    request = door.world.submit(PIN)

    async def client() -> None:
        answers.extend(await door.order(request))

    nursery.start_soon(client)
    await trio.sleep(0.1)
    outcomes = door.world.run(request).outcomes
    [again] = await door.order(request)
    door.gateway.resolve(Seq(1), [(request.to_bytes(), outcomes[0])])
    await trio.sleep(0.1)

    assert again.outcome.code is OutcomeCode.REPLAYED
    assert [answer.outcome.code for answer in answers] == [OutcomeCode.COMMITTED]


async def test_what_becomes_of_an_intent_is_told_to_whoever_brought_other_signers_of_it(
    door: Door, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answers: list[Ordered | None] = []
    intent = door.world.intent(PIN)
    one, other = (
        Submit(certificate=door.world.certificate(intent, *signers))
        for signers in ((ALICE, BOB), (ALICE, BOB, CAROL))
    )

    async def client() -> None:
        answers.extend(await door.order(one))

    nursery.start_soon(client)
    await trio.sleep(0.1)
    door.execute([other.to_bytes()])
    await trio.sleep(0.1)

    assert [(a.seq, a.outcome.code) for a in answers] == [(Seq(1), OutcomeCode.COMMITTED)]


async def test_who_does_not_wait_is_told_of_a_refusal_too(
    door: Door, autojump_clock: MockClock
) -> None:
    refusal = await door.gateway.submit(door.world.join(PEERS[5]).to_bytes())
    taken = await door.gateway.submit(door.world.submit(PIN).to_bytes())

    assert (refusal.code, taken) == (OutcomeCode.NOT_ADMITTED, None)
    assert len(await door.taken()) == 1


async def test_a_proposal_by_a_stranger_is_a_problem_whatever_the_state(
    door: Door, autojump_clock: MockClock
) -> None:
    request = door.world.propose(door.world.intent(PIN), MALLORY).to_bytes()

    assert "its signer is not of this cluster" in door.gateway.problem(request)


async def test_a_peer_whose_log_is_full_takes_nothing_from_clients_and_still_speaks() -> None:
    world = World()
    gateway = Gateway(
        inbox=OrderInbox(external_max=10), verifier=world.verifier, closed=lambda: "the log is full"
    )
    request = world.submit(PIN).to_bytes()

    assert gateway.client_problem(request) == "the log is full"
    assert gateway.problem(request) == ""
    assert await gateway.submit(world.join(PEERS[0]).to_bytes()) is None
