"""Hands proof of misbehaviour in, so that everybody has it and the maintainers can decide."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NoReturn

import trio

from bftcluster.ledger.wire.requests import ReportEvidence
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.process.logs import log_for

ATTEMPT_TIMEOUT_S: Final = 15.0

_log = log_for("node")


class EvidenceSubmission:
    """Orders each piece of evidence once; the ledger takes it only if it proves something."""

    def __init__(self, gateway: Gateway, known: Iterable[bytes]) -> None:
        """Prepare.

        Args:
            gateway: The one door in.
            known: Evidence of earlier lives: it may not have been ordered then.
        """
        self._gateway = gateway
        self._waiting = deque(known)
        self._arrived = trio.Event()

    def accuse(self, piece: bytes) -> None:
        """Hand a piece in as soon as possible."""
        self._waiting.append(piece)
        self._arrived.set()

    async def run(self) -> NoReturn:
        """Hand in until cancelled; what is not ordered in time is tried again."""
        while True:
            if not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
                continue
            request = ReportEvidence(evidence=self._waiting[0]).to_bytes()
            problem = self._gateway.problem(request)
            if problem:
                _log.warning("evidence that proves nothing", detail=problem)
                self._waiting.popleft()
                continue
            [ordered] = await self._gateway.order([request], timeout_s=ATTEMPT_TIMEOUT_S)
            if ordered is not None:
                _log.error(
                    "evidence handed in",
                    outcome=ordered.outcome.label,
                    detail=ordered.outcome.detail,
                )
                self._waiting.popleft()
