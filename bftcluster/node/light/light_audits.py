"""Answers what relays say that a light peer is asked in audits, from its own blocks."""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import trio

from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.light.audit_questions import AuditQuestion
from bftcluster.node.ingress.peer_reports import ATTEMPT_TIMEOUT_S
from bftcluster.node.light.relay_orders import RelayOrders
from bftcluster.node.loops.audits import digest_to_answer
from bftcluster.node.process.threads import Workers
from bftcluster.sync.audit_duties import AuditDuties

_PAUSE_S: Final = 0.1
"""Between two answers to one relay: each costs reads and a signature, whether it is asked for or
made up."""


class LightAudits:
    """One question of each relay at a time, so that none of them keeps another waiting."""

    def __init__(
        self,
        *,
        duties: AuditDuties,
        blocks: BlockSource,
        orders: RelayOrders,
        has_reported: Callable[[Cid], bool],
        end: Callable[[AuditQuestion], None],
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            duties: Makes what is said.
            blocks: Our own.
            orders: Hands it in.
            has_reported: Returns whether it is proven that we said we hold a pin.
            end: Told of a question that was answered, as far as it could be.
            workers: Read blocks.
        """
        self._duties = duties
        self._blocks = blocks
        self._orders = orders
        self._has_reported = has_reported
        self._end = end
        self._workers = workers
        self._turns: dict[PeerId, trio.Lock] = {}
        self._waiting: list[AuditQuestion] = []
        self._arrived = trio.Event()

    def tell(self, questions: Sequence[AuditQuestion]) -> None:
        """Answer these: as many as ``AuditQuestions`` lets in."""
        if questions:
            self._waiting += questions
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Answer until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._arrived.wait()
                self._arrived = trio.Event()
                questions, self._waiting = self._waiting, []
                for question in questions:
                    nursery.start_soon(self._answer, question)

    async def _answer(self, question: AuditQuestion) -> None:
        """Say it to the relay that asked, which asks again as long as the ledger lacks it."""
        async with self._turns.setdefault(question.relay, trio.Lock()):
            challenge = question.challenge
            digest = await self._workers.run(digest_to_answer, self._blocks, challenge)
            # A relay may make a question up in advance, of what it has not let us fetch yet: that
            # something is missing we say of what we are proven to have reported alone.
            if digest or (digest is not None and self._has_reported(challenge.cid)):
                requests = self._duties.answers([(challenge, digest)])
                await self._orders.order(requests, timeout_s=ATTEMPT_TIMEOUT_S, to=question.relay)
            await trio.sleep(_PAUSE_S)
        self._end(question)
