"""Signs and submits what this peer says about itself: that it is there, its room, what it holds."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn, Protocol

import trio

from bftcluster.blocks.pin_store import StoreSpace
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.node.ingress.gateway import Ordered
from bftcluster.node.ports import Clock
from bftcluster.node.process.logs import log_for
from bftcluster.pins.events import ReportLine
from bftcluster.sync.announcements import AnnouncementPace, Announcer

ATTEMPT_TIMEOUT_S: Final = 15.0

_log = log_for("node")


class Orders(Protocol):
    """Where requests are ordered: the replica of this process, or a relay."""

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered | None]:
        """Submit requests; return each one's outcome, ``None`` for those not ordered in time."""
        ...


class PeerReporter:
    """Has joins and reports of this peer ordered."""

    def __init__(
        self,
        *,
        announcer: Announcer,
        record: Callable[[], PeerRecord | None],
        hurry_ms: Callable[[], int | None],
        clock: Clock,
        gateway: Orders,
        space: Callable[[], Awaitable[StoreSpace]],
        recorded: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            announcer: Signs.
            record: Returns what the cluster knows of this peer; None while it knows nothing.
            hurry_ms: Returns how long to wait between announcements that are made only to bring the
                next checkpoint closer; None if nothing waits for one.
            clock: Unix time is the counter, as long as it rises.
            gateway: Where requests go.
            space: Returns what is lent, and how much of it is used.
            recorded: Returns the counter that the cluster has heard last.
        """
        self._announcer = announcer
        self._record = record
        self._hurry_ms = hurry_ms
        self._clock = clock
        self._gateway = gateway
        self._space = space
        self._recorded = recorded

    async def run(self, *, every_ms: Callable[[], int]) -> NoReturn:
        """Join at once and again every ``every_ms()``.

        So free space becomes known, and that this peer is there.
        """
        pace = AnnouncementPace(attempt_ms=int(ATTEMPT_TIMEOUT_S * 1000))
        while True:
            record, hurry_ms = self._record(), self._hurry_ms()
            joined = None if record is None else record.joined_ms > 0
            pause_ms = pace.pause_ms(self._clock.now_ms(), has_joined=joined, hurry_ms=hurry_ms)
            if record is None or pause_ms:
                await trio.sleep(pause_ms / 1000)
                continue
            pace.begin(self._clock.now_ms())
            ordered = await self._join(record)
            if ordered is None:
                _log.info("announcement not ordered yet; trying again")
                continue
            pace.end(self._clock.now_ms(), again_ms=every_ms())
            if not ordered.outcome.is_accepted:
                _log.warning("announcement refused", detail=ordered.outcome.detail)

    async def _join(self, record: PeerRecord) -> Ordered | None:
        space = await self._space()
        request = self._announcer.join(
            record.addresses,
            capacity_bytes=space.quota_bytes,
            free_bytes=space.free_bytes,
            recorded=self._recorded(),
            wall_ms=self._clock.wall_ms(),
            is_registered=bool(record.registration),
        )
        return await self._order(request)

    async def report(self, lines: Sequence[ReportLine]) -> bool:
        """Order a signed report about what we hold; return whether it was taken in time."""
        space = await self._space()
        request = self._announcer.report(
            lines,
            free_bytes=space.free_bytes,
            recorded=self._recorded(),
            wall_ms=self._clock.wall_ms(),
        )
        ordered = await self._order(request)
        return ordered is not None and ordered.outcome.is_accepted

    async def _order(self, request: bytes) -> Ordered | None:
        [ordered] = await self._gateway.order([request], timeout_s=ATTEMPT_TIMEOUT_S)
        return ordered
