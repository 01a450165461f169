"""Signs and submits what this peer says about itself: that it is there, its room, what it holds."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn

import trio

from bftcluster.blocks.pin_store import StoreSpace
from bftcluster.ids import ClusterId
from bftcluster.ledger.rules.peer_reports import next_counter
from bftcluster.ledger.wire.requests import ReportEntry, join, report
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ports import Clock
from bftcluster.node.process.logs import log_for
from bftcluster.signing.envelope import Signer

ATTEMPT_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.5

_log = log_for("node")


class PeerReporter:
    """Signs joins and reports with one rising counter, so that none can be replayed."""

    def __init__(
        self,
        *,
        signer: Signer,
        cluster_id: ClusterId,
        name: str,
        addresses: Callable[[], Sequence[str] | None],
        pace_s: Callable[[], float | None],
        clock: Clock,
        gateway: Gateway,
        space: Callable[[], Awaitable[StoreSpace]],
        recorded: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            signer: The peer's own key.
            cluster_id: Bound into every signature.
            name: Shown to people.
            addresses: Where peers reach this one; None while the cluster does not know it.
            pace_s: Returns how long to wait between announcements that are made only to bring the
                next checkpoint closer; None if nothing waits for one.
            clock: Unix time is the counter, as long as it rises.
            gateway: Where requests go.
            space: Returns what is lent, and how much of it is used.
            recorded: Returns the counter that the cluster has heard last.
        """
        self._signer = signer
        self._cluster_id = cluster_id
        self._name = name
        self._addresses = addresses
        self._pace_s = pace_s
        self._clock = clock
        self._gateway = gateway
        self._space = space
        self._recorded = recorded
        self._counter = 0

    async def run(self, *, interval_s: float) -> NoReturn:
        """Join at once and again every ``interval_s``: that is how free space becomes known."""
        while True:
            addresses = self._addresses()
            if addresses is None:
                await trio.sleep(POLL_S)
                continue
            space = await self._space()
            request = join(
                self._signer,
                cluster_id=self._cluster_id,
                counter=self._next_counter(),
                name=self._name,
                addresses=tuple(addresses),
                capacity_bytes=space.quota_bytes,
                free_bytes=space.free_bytes,
                tags={},
            )
            [ordered] = await self._gateway.order([request.to_bytes()], timeout_s=ATTEMPT_TIMEOUT_S)
            if ordered is None:
                _log.info("announcement not ordered yet; trying again")
                continue
            if not ordered.outcome.is_accepted:
                _log.warning("announcement refused", detail=ordered.outcome.detail)
            await self._rest(interval_s)

    async def report(self, entries: tuple[ReportEntry, ...]) -> bool:
        """Order a signed report about what we hold; return whether it was taken in time."""
        space = await self._space()
        request = report(
            self._signer,
            cluster_id=self._cluster_id,
            counter=self._next_counter(),
            entries=entries,
            free_bytes=space.free_bytes,
        )
        [ordered] = await self._gateway.order([request.to_bytes()], timeout_s=ATTEMPT_TIMEOUT_S)
        return ordered is not None and ordered.outcome.is_accepted

    async def _rest(self, interval_s: float) -> None:
        """Return after ``interval_s``, or soon if a change of members waits for a checkpoint.

        An idle cluster orders nothing, and would come to its next checkpoint hours later.
        """
        end_s = trio.current_time() + interval_s
        while (remaining_s := end_s - trio.current_time()) > 0:
            pace_s = self._pace_s()
            if pace_s is not None:
                await trio.sleep(pace_s)
                return
            await trio.sleep(min(POLL_S, remaining_s))

    def _next_counter(self) -> int:
        self._counter = next_counter(self._counter, self._recorded(), self._clock.wall_ms())
        return self._counter
