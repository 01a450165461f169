"""Hands in again what a recovery set aside: signed requests whose order was given up."""

from typing import Final

from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import Batch, LogEntry
from bftcluster.storage.rewinding import Rewinder

ORDER_TIMEOUT_S: Final = 60.0
"""How long one entry's requests may take before they are handed in once more."""

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

    async def run(self) -> None:
        """Return when nothing is set aside."""
        refused = entries = 0
        while (first := await self._workers.run(self._rewinder.first_set_aside)) is not None:
            number, data = first
            refused += await self._order(data)
            entries += 1
            await self._workers.run(self._rewinder.forget_set_aside, number)
        if entries:
            _log.info("what was set aside is ordered again", entries=entries, refused=refused)

    async def _order(self, data: bytes) -> int:
        """Have the requests of an entry ordered; return how many were refused."""
        batch = Batch.from_bytes(LogEntry.from_bytes(data).batch)
        waiting = [each for each in batch.requests if not self._gateway.problem(each)]
        refused = 0
        while waiting:
            ordered = await self._gateway.order(waiting, timeout_s=ORDER_TIMEOUT_S)
            refused += sum(each is not None and not each.outcome.is_accepted for each in ordered)
            pairs = zip(waiting, ordered, strict=True)
            waiting = [request for request, each in pairs if each is None]
        return refused
