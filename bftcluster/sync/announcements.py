"""What a peer says of itself in the order: that it is there, what it lends, and what it holds."""

from collections.abc import Mapping, Sequence
from typing import Final

from bftcluster.ids import ClusterId
from bftcluster.ledger.rules.peer_reports import next_counter
from bftcluster.ledger.wire.requests import join, report
from bftcluster.limits import AUDIT_DAY_DEFAULT_MS, LIGHT_HEARD_PERIODS
from bftcluster.pins.events import ReportLine
from bftcluster.signing.envelope import Signer
from bftcluster.sync.pin_events import entries_of

LOOK_AGAIN_MS: Final = 500
"""How often to look whether the cluster knows us, or whether something waits for a checkpoint."""
_FEW_PEERS: Final = 4
_HURRY_MS: Final = 20
"""Times the number of voters: together they order some forty batches a second."""


def announced_every_ms(
    wanted_ms: int, *, period_ms: int, peers: int, day_ms: int = AUDIT_DAY_DEFAULT_MS
) -> int:
    """Return how often a peer announces itself when nothing happens.

    A third of a period at most: it is seen in each period, though one announcement fails. Of more
    than four peers each does so more rarely, within that: an idle cluster orders as little as four,
    and its head moves as often. And twice at least before it could be taken for absent.

    Args:
        wanted_ms: Of up to four peers.
        period_ms: The cluster's: what is said within one counts when it ends.
        peers: How many there are.
        day_ms: The cluster's: who is not heard for one is absent.
    """
    return min(wanted_ms * max(1, peers // _FEW_PEERS), period_ms // 3, day_ms // 4)


def light_announced_every_ms(period_ms: int, *, day_ms: int = AUDIT_DAY_DEFAULT_MS) -> int:
    """Return how often a light peer announces itself when nothing happens.

    What it says counts for ``LIGHT_HEARD_PERIODS`` periods of ``period_ms``: three times in them,
    and twice at least before it could be taken for absent. There are ten times as many of them as
    of others, and each announcement costs every replica a signature and a row.
    """
    counts_ms = LIGHT_HEARD_PERIODS * period_ms
    return announced_every_ms(counts_ms, period_ms=counts_ms, peers=1, day_ms=day_ms)


def hurry_ms(voters: int, *, votes: bool, is_awaited: bool) -> int | None:
    """Return how soon a voter announces itself again so that changes need not wait long.

    An idle cluster orders nothing, and would come to its next checkpoint hours later.

    Args:
        voters: How many there are.
        votes: Whether this peer is one of them.
        is_awaited: Whether a change of members waits for a checkpoint.
    """
    return _HURRY_MS * voters if votes and is_awaited else None


class AnnouncementPace:
    """When a peer announces itself: at once, until it is ordered, and again every so often."""

    def __init__(self, *, attempt_ms: int) -> None:
        """Begin.

        Args:
            attempt_ms: How long one may take to be ordered, before it is made again.
        """
        self._attempt_ms = attempt_ms
        self._due_ms: int | None = None
        self._is_ordered = False
        self._ordered_ms = 0

    def pause_ms(self, now_ms: int, *, has_joined: bool | None, hurry_ms: int | None = None) -> int:
        """Return how long to wait before the next look; 0: announce now.

        Args:
            now_ms: Monotonic time.
            has_joined: Whether the cluster has heard this peer since it was admitted, as far as we
                have executed; None: it is not admitted. One that was removed and came back has not.
            hurry_ms: See ``hurry_ms``.
        """
        if has_joined is None:
            return LOOK_AGAIN_MS
        if self._due_ms is None:
            return 0
        if self._is_ordered and not has_joined:
            self._due_ms = min(self._due_ms, self._ordered_ms + self._attempt_ms)
        if self._is_ordered and hurry_ms is not None:
            self._due_ms = min(self._due_ms, now_ms + hurry_ms)
        return max(0, min(self._due_ms - now_ms, LOOK_AGAIN_MS))

    def begin(self, now_ms: int) -> None:
        """Note that an announcement is made now."""
        self._is_ordered = False
        self._due_ms = now_ms + self._attempt_ms

    def end(self, now_ms: int, *, again_ms: int) -> None:
        """Note that it was ordered, whatever became of it; the next one is due in ``again_ms``."""
        self._is_ordered = True
        self._ordered_ms = now_ms
        self._due_ms = now_ms + again_ms


class Announcer:
    """Signs joins and reports with one rising counter, so that none can be replayed."""

    def __init__(
        self,
        signer: Signer,
        cluster_id: ClusterId,
        name: str,
        registration: bytes = b"",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Begin; the last life's counter is in the state, or behind the time.

        Args:
            signer: The peer's own key.
            cluster_id: Bound into every signature.
            name: Shown to people.
            registration: The key that shares for this peer are sealed for; empty: it holds none.
            tags: What the peer says of itself besides.
        """
        self._signer = signer
        self._cluster_id = cluster_id
        self._name = name
        self._registration = registration
        self._tags = dict(tags or {})
        self._counter = 0

    def join(
        self,
        addresses: Sequence[str],
        *,
        capacity_bytes: int,
        free_bytes: int,
        recorded: int,
        wall_ms: int,
        is_registered: bool = True,
    ) -> bytes:
        """Return an announcement.

        Args:
            addresses: Where peers reach this one.
            capacity_bytes: What it lends.
            free_bytes: What of that is free.
            recorded: The counter that the cluster has heard last, 0 if none.
            wall_ms: Unix time.
            is_registered: Whether the cluster knows the key that shares are sealed for.
        """
        return join(
            self._signer,
            cluster_id=self._cluster_id,
            counter=self._next_counter(recorded, wall_ms),
            name=self._name,
            addresses=tuple(addresses),
            capacity_bytes=capacity_bytes,
            free_bytes=free_bytes,
            tags=self._tags,
            registration=b"" if is_registered else self._registration,
        ).to_bytes()

    def report(
        self, lines: Sequence[ReportLine], *, free_bytes: int, recorded: int, wall_ms: int
    ) -> bytes:
        """Return a report of what this peer holds; see ``join``."""
        return report(
            self._signer,
            cluster_id=self._cluster_id,
            counter=self._next_counter(recorded, wall_ms),
            entries=entries_of(lines),
            free_bytes=free_bytes,
        ).to_bytes()

    def _next_counter(self, recorded: int, wall_ms: int) -> int:
        self._counter = next_counter(self._counter, recorded, wall_ms)
        return self._counter
