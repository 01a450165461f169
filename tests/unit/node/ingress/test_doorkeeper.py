"""Strangers at the door get the genesis, and redeem what they were sent; nothing else."""

import pytest
import trio
from trio.testing import MockClock

from bftcluster.ids import PeerId
from bftcluster.node.ingress.door_messages import (
    DoorAnswer,
    DoorQuestion,
    DoorTopic,
    answer_from_bytes,
)
from bftcluster.node.ingress.doorkeeper import Doorkeeper
from bftcluster.node.process.threads import Workers
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.invitees import INVITE_KEY, invitation, is_in, redemption
from tests.unit.ledger.world import PEERS, peer_id
from tests.unit.node.ingress.test_gateway import Door

NEWCOMER, OTHER = PEERS[5], PEERS[6]


class Clock:
    def now_ms(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return 1_234_567


class Threshold:
    """A doorkeeper before a ledger; the order is decided by hand."""

    def __init__(self) -> None:
        self.door = Door()
        self.world = self.door.world
        assert self.world.do(self.world.submit(invitation())).is_accepted
        self.doorkeeper = Doorkeeper(
            genesis=self.world.genesis,
            reader=self.world.store,
            gateway=self.door.gateway,
            clock=Clock(),
            workers=Workers(1),
        )

    async def ask(self, topic: DoorTopic, body: bytes, *, by: SigningKey = NEWCOMER) -> DoorAnswer:
        question = DoorQuestion(topic=topic, body=body).to_bytes()
        return answer_from_bytes(await self.doorkeeper.answer(PeerId(by.public_key), question))


@pytest.fixture
def threshold() -> Threshold:
    return Threshold()


async def test_who_names_an_open_invitation_gets_the_genesis(threshold: Threshold) -> None:
    answer = await threshold.ask(DoorTopic.GENESIS, INVITE_KEY)

    assert answer.code == "genesis"
    assert answer.genesis == threshold.world.genesis.to_bytes()
    assert answer.wall_ms == 1_234_567


@pytest.mark.parametrize("key", [bytes(32), b"", bytes(1000)])
async def test_others_get_nothing(threshold: Threshold, key: bytes) -> None:
    answer = await threshold.ask(DoorTopic.GENESIS, key)

    assert (answer.code, answer.genesis) == ("unknown-invite", b"")


async def test_a_redemption_is_ordered_and_its_outcome_told(
    threshold: Threshold, nursery: trio.Nursery
) -> None:
    answers: list[DoorAnswer] = []
    request = redemption(threshold.world, NEWCOMER).to_bytes()

    async def ask() -> None:
        answers.append(await threshold.ask(DoorTopic.REDEMPTION, request))

    nursery.start_soon(ask)
    taken: list[bytes] = []
    while not taken:
        taken = await threshold.door.taken()
    threshold.door.execute(taken)
    while not answers:
        await trio.lowlevel.checkpoint()

    assert answers[0].code == "committed"
    assert is_in(threshold.world, NEWCOMER)
    assert (await threshold.ask(DoorTopic.REDEMPTION, request)).code == "already"


async def test_nobody_redeems_for_another(threshold: Threshold) -> None:
    request = redemption(threshold.world, NEWCOMER).to_bytes()

    answer = await threshold.ask(DoorTopic.REDEMPTION, request, by=OTHER)

    assert answer.code == "invalid"
    assert await threshold.door.taken() == []


async def test_other_requests_do_not_come_in_by_the_door(threshold: Threshold) -> None:
    for request in (threshold.world.join(NEWCOMER).to_bytes(), b"", b"nonsense"):
        answer = await threshold.ask(DoorTopic.REDEMPTION, request)

        assert answer.code == "invalid"
    assert await threshold.door.taken() == []


async def test_what_is_no_question_is_answered_so(threshold: Threshold) -> None:
    for data in (b"", b"\x80", DoorAnswer(code="", detail="", wall_ms=0).to_bytes()):
        answer = answer_from_bytes(await threshold.doorkeeper.answer(peer_id(NEWCOMER), data))

        assert answer.code == "invalid"


async def test_a_cluster_that_does_not_decide_is_asked_again(
    threshold: Threshold, autojump_clock: MockClock
) -> None:
    request = redemption(threshold.world, NEWCOMER).to_bytes()

    assert (await threshold.ask(DoorTopic.REDEMPTION, request)).code == "timeout"
