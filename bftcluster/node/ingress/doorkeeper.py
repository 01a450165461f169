"""Answers strangers at the door: they get the genesis, and may redeem an invitation.

Nothing else of theirs enters the order here, and only what the invitation's key has signed.
"""

from typing import Final, Self, assert_never

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import InviteKey, PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.loan_requests import Redeem
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES
from bftcluster.node.ingress.door_messages import DoorAnswer, DoorTopic, question_from_bytes
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.threads import Threads, Workers
from bftcluster.storage.ledger_reader import LedgerReader

_ORDER_TIMEOUT_S: Final = 3.0
"""Within the time that a stranger has at the door; it asks again, and is told then."""


class Doorkeeper:
    """Knows what may be told to a stranger."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        reader: LedgerReader,
        gateway: Gateway,
        clock: Clock,
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            genesis: Handed out as it is.
            reader: Of the ledger.
            gateway: Where redemptions go.
            clock: Tells strangers how far theirs is off.
            workers: Look up invitations, and judge signatures.
        """
        self._genesis = genesis.to_bytes()
        self._reader = reader
        self._gateway = gateway
        self._clock = clock
        self._workers = workers

    @classmethod
    def of(cls, parts: Parts, gateway: Gateway, clock: Clock, threads: Threads) -> Self:
        """Return the doorkeeper of a peer."""
        return cls(
            genesis=parts.genesis,
            reader=parts.store.reader,
            gateway=gateway,
            clock=clock,
            workers=threads.judging,
        )

    async def answer(self, stranger: PeerId, data: bytes) -> bytes:
        """Return the answer to a question of ``stranger``, who has proven its key."""
        try:
            question = question_from_bytes(data)
        except MalformedMessageError as exc:
            return self._said("invalid", str(exc))
        match question.topic:
            case DoorTopic.GENESIS:
                return await self._tell_genesis(question.body)
            case DoorTopic.REDEMPTION:
                return await self._redeem(stranger, question.body)
            case _ as unreachable:
                assert_never(unreachable)

    async def _tell_genesis(self, key: bytes) -> bytes:
        record = None
        if len(key) == PUBLIC_KEY_SIZE_BYTES:
            record = await self._workers.run(queries.invite_of, self._reader, InviteKey(key))
        if record is None:
            detail = "there is no such invitation, or it expired"
            return self._told(Outcome(OutcomeCode.UNKNOWN_INVITE, detail))
        return self._said("genesis", "", genesis=self._genesis)

    async def _redeem(self, stranger: PeerId, request: bytes) -> bytes:
        redemption = self._gateway.inspect(request).request
        if not isinstance(redemption, Redeem) or redemption.peer != stranger:
            return self._said("invalid", "this is no redemption of yours")
        problem = await self._workers.run(self._gateway.client_problem, request)
        if problem:
            return self._said("invalid", problem)
        [ordered] = await self._gateway.order([request], timeout_s=_ORDER_TIMEOUT_S)
        if ordered is None:
            return self._said("timeout", "not ordered yet; ask again")
        return self._told(ordered.outcome)

    def _told(self, outcome: Outcome) -> bytes:
        return self._said(outcome.label, outcome.detail, hint=outcome.hint)

    def _said(self, code: str, detail: str, *, hint: str = "", genesis: bytes = b"") -> bytes:
        wall_ms = self._clock.wall_ms()
        answer = DoorAnswer(code=code, detail=detail, hint=hint, genesis=genesis, wall_ms=wall_ms)
        return answer.to_bytes()
