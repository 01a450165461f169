"""The tracker's queues: young pins are fetched first, then the rest; drops have their own."""

import heapq
from collections import OrderedDict

from bftcluster.cid import Cid


class Queue:
    """First in, first out; anyone can leave."""

    def __init__(self) -> None:
        self._cids: OrderedDict[Cid, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cids)

    def push(self, cid: Cid) -> None:
        """Add ``cid`` at the end, or leave it where it is."""
        self._cids.setdefault(cid)

    def pop(self) -> Cid:
        """Take the first."""
        return self._cids.popitem(last=False)[0]

    def discard(self, cid: Cid) -> None:
        """Take ``cid`` out, if it is in."""
        self._cids.pop(cid, None)


class Timetable:
    """Which CID is due when; each at most once."""

    def __init__(self) -> None:
        self._due: dict[Cid, int] = {}
        self._heap: list[tuple[int, Cid]] = []

    def __len__(self) -> int:
        return len(self._due)

    def put(self, cid: Cid, due_ms: int) -> None:
        """Make ``cid`` due at ``due_ms`` instead of whenever it was."""
        self._due[cid] = due_ms
        heapq.heappush(self._heap, (due_ms, cid))
        if len(self._heap) > 2 * len(self._due) + 16:
            self._heap = [(due, key) for key, due in self._due.items()]
            heapq.heapify(self._heap)

    def discard(self, cid: Cid) -> None:
        """Take ``cid`` out, if it is in."""
        self._due.pop(cid, None)

    def pop_due(self, now_ms: int) -> list[Cid]:
        """Take all that are due, earliest first."""
        due: list[Cid] = []
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, cid = heapq.heappop(self._heap)
            if self._due.get(cid) == due_ms:
                del self._due[cid]
                due.append(cid)
        return due

    @property
    def next_ms(self) -> int | None:
        """When the first is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
