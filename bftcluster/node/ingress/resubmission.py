"""Hands in again what a recovery set aside: signed requests whose order was given up."""

from collections.abc import Sequence
from typing import Final

from bftcluster import cid as cids
from bftcluster.ids import Digest
from bftcluster.ledger.wire.operations import content_of
from bftcluster.node.ingress.gateway import Gateway, Ordered
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import Batch, LogEntry
from bftcluster.storage.rewinder import Rewinder

ORDER_TIMEOUT_S: Final = 60.0
"""How long one entry's requests may take before they are handed in once more."""
REFUSED_NAMED_MAX: Final = 50
"""How many refused requests are named in the log; beyond, they are counted."""

_log = log_for("recovery")


class Resubmission:
    """Orders the requests of one entry after the other, as they were; then forgets the entry.

    Each survivor does so. Who signed a request bound it to be done once, so that it is; a report
    that others have overtaken is refused like any old one.
    """

    def __init__(self, *, rewinder: Rewinder, gateway: Gateway, workers: Workers) -> None:
        self._rewinder = rewinder
        self._gateway = gateway
        self._workers = workers
        self._refused = 0

    async def run(self) -> None:
        """Return when nothing is set aside."""
        entries = 0
        while (first := await self._workers.run(self._rewinder.first_set_aside)) is not None:
            number, data = first
            await self._order(data)
            entries += 1
            await self._workers.run(self._rewinder.forget_set_aside, number)
        if entries:
            _log.info(
                "what was set aside is ordered again",
                entries=entries,
                refused=self._refused,
                refused_not_named=max(0, self._refused - REFUSED_NAMED_MAX),
            )

    async def _order(self, data: bytes) -> None:
        """Have the requests of an entry ordered, or refused."""
        waiting: list[bytes] = []
        for request in Batch.from_bytes(LogEntry.from_bytes(data).batch).requests:
            if problem := self._gateway.problem(request):
                self._note_refused(request, code="invalid", reason=problem, proposal=None)
            else:
                waiting.append(request)
        while waiting:
            ordered = await self._gateway.order(waiting, timeout_s=ORDER_TIMEOUT_S)
            self._note_outcomes(waiting, ordered)
            pairs = zip(waiting, ordered, strict=True)
            waiting = [request for request, each in pairs if each is None]

    def _note_outcomes(self, requests: Sequence[bytes], ordered: Sequence[Ordered | None]) -> None:
        for request, each in zip(requests, ordered, strict=True):
            if each is not None and not each.outcome.is_accepted:
                outcome = each.outcome
                self._note_refused(
                    request,
                    code=outcome.label,
                    reason=outcome.detail,
                    proposal=outcome.intent_digest,
                )

    def _note_refused(
        self, request: bytes, *, code: str, reason: str, proposal: Digest | None
    ) -> None:
        self._refused += 1
        if self._refused > REFUSED_NAMED_MAX:
            return
        inspected = self._gateway.inspect(request)
        operation = inspected.operation
        cid = None if operation is None else content_of(operation)
        _log.info(
            "what was set aside was refused",
            request=type(inspected.request).__name__,
            proposal=None if proposal is None else proposal.hex()[:12],
            cid=None if cid is None else cids.text(cid),
            code=code,
            reason=reason,
        )
