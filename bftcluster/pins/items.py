"""A CID that this peer still has to do something about. What is settled is not in memory."""

from dataclasses import dataclass
from enum import Enum

from bftcluster.cid import Cid
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.status import TrackerStatus


class Goal(Enum):
    """Where the item is to end."""

    HELD = "held"
    GONE = "gone"


class Phase(Enum):
    """How far the tracker's work on an item is."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    """Its operation was cancelled and has not ended; then it is queued for its goal."""
    WAITING = "waiting"
    """It failed, and is retried when it is due."""


_STATUS = {
    (Goal.HELD, Phase.QUEUED): TrackerStatus.PIN_QUEUED,
    (Goal.HELD, Phase.RUNNING): TrackerStatus.PINNING,
    (Goal.HELD, Phase.STOPPING): TrackerStatus.PIN_QUEUED,
    (Goal.HELD, Phase.WAITING): TrackerStatus.PIN_ERROR,
    (Goal.GONE, Phase.QUEUED): TrackerStatus.UNPIN_QUEUED,
    (Goal.GONE, Phase.RUNNING): TrackerStatus.UNPINNING,
    (Goal.GONE, Phase.STOPPING): TrackerStatus.UNPIN_QUEUED,
    (Goal.GONE, Phase.WAITING): TrackerStatus.UNPIN_ERROR,
}


@dataclass(slots=True, kw_only=True)
class Item:
    """Work on one CID. Only the tracker changes it."""

    cid: Cid
    goal: Goal
    since_ms: int
    """When the pin was ordered, unix."""
    changed_ms: int
    """When goal or phase changed last, unix."""
    phase: Phase = Phase.QUEUED
    ticket: int = 0
    """Of the operation that runs or stops."""
    attempts: int = 0
    """Operations begun towards the goal."""
    error: str = ""
    """Why the last one failed; empty once one begins for another goal."""
    is_error_reported: bool = False
    is_renewed: bool = False
    """Whether the pin changed while its fetch ran, so that it must be fetched once more."""

    @property
    def status(self) -> TrackerStatus:
        """What to call it."""
        return _STATUS[self.goal, self.phase]

    def is_priority(self, settings: TrackerSettings, wall_ms: int) -> bool:
        """Return whether it goes before old and often failed ones (ipfs-cluster, ``stateless``)."""
        return (
            wall_ms - self.since_ms < settings.priority_age_max_ms
            and self.attempts <= settings.priority_attempts_max
        )
