"""Frames for a view or window to come, bounded per sender in number and bytes."""

from collections import deque

from bftcluster.ids import ReplicaId
from bftcluster.limits import STASH_FRAMES_MAX, STASH_SIZE_MAX_BYTES
from bftcluster.pbft.verdicts import Verdict


class Stash:
    """One queue per sender, so that a flood of one cannot displace the frames of another."""

    __slots__ = ("_queues", "_sizes_bytes")

    def __init__(self) -> None:
        self._queues: dict[ReplicaId, deque[bytes]] = {}
        self._sizes_bytes: dict[ReplicaId, int] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def put(self, sender: ReplicaId, frame: bytes) -> Verdict:
        """Keep ``frame`` of a member, unless its sender has used up its share."""
        queue = self._queues.setdefault(sender, deque())
        size_bytes = self._sizes_bytes.get(sender, 0) + len(frame)
        if len(queue) >= STASH_FRAMES_MAX or size_bytes > STASH_SIZE_MAX_BYTES:
            return Verdict.STASH_FULL
        queue.append(frame)
        self._sizes_bytes[sender] = size_bytes
        return Verdict.STASHED

    def of(self, sender: ReplicaId) -> tuple[bytes, ...]:
        """Return what waits of one sender."""
        return tuple(self._queues.get(sender, ()))

    def take_all(self) -> list[tuple[ReplicaId, bytes]]:
        """Return and forget everything, sender by sender in the order they first appeared."""
        taken = [(sender, frame) for sender, queue in self._queues.items() for frame in queue]
        self._queues.clear()
        self._sizes_bytes.clear()
        return taken
