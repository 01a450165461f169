"""The items in memory, their queues, and the few that run."""

from collections import Counter
from collections.abc import Iterator

from bftcluster.cid import Cid
from bftcluster.pins.events import StartDrop, StartFetch
from bftcluster.pins.items import Goal, Item, Phase
from bftcluster.pins.queues import Queue, Timetable
from bftcluster.pins.settings import TrackerSettings


class Work:
    """An item is in a queue while ``QUEUED``, in the timetable while ``WAITING``, else in none."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._items: dict[Cid, Item] = {}
        self._young = Queue()
        self._old = Queue()
        self._drops = Queue()
        self._waiting = Timetable()
        self._running: Counter[Goal] = Counter()
        self._tickets: dict[int, tuple[Cid, Goal]] = {}
        self._last_ticket = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def get(self, cid: Cid) -> Item | None:
        """Return the item of ``cid``, if there is work on it."""
        return self._items.get(cid)

    def add(self, item: Item, *, wall_ms: int) -> bool:
        """Take a new item in and queue it; False if there is no room."""
        assert item.cid not in self._items, "one item for a CID"
        if len(self._items) >= self._settings.items_max:
            return False
        self._items[item.cid] = item
        self.queue(item, wall_ms=wall_ms)
        return True

    def queue(self, item: Item, *, wall_ms: int) -> None:
        """Put ``item`` into the queue of its goal, and out of wherever it was."""
        self._leave(item.cid)
        item.is_renewed = False
        if item.phase is not Phase.QUEUED:
            item.phase, item.changed_ms = Phase.QUEUED, wall_ms
        if item.goal is Goal.GONE:
            self._drops.push(item.cid)
        elif item.is_priority(self._settings, wall_ms):
            self._young.push(item.cid)
        else:
            self._old.push(item.cid)

    def wait(self, item: Item, *, error: str, due_ms: int, wall_ms: int) -> None:
        """Keep a failed item until ``due_ms``."""
        assert item.phase is Phase.RUNNING, "only what ran can fail"
        item.phase, item.error, item.changed_ms = Phase.WAITING, error, wall_ms
        self._waiting.put(item.cid, due_ms)

    def settle(self, item: Item) -> None:
        """Forget ``item``: ledger and store agree on it."""
        assert item.cid not in (cid for cid, _ in self._tickets.values()), "nothing runs for it"
        self._leave(item.cid)
        del self._items[item.cid]

    def end(self, cid: Cid, ticket: int) -> tuple[Item, Goal]:
        """Take note that an operation ended; return its item, and the goal it was begun for."""
        began = self._tickets.pop(ticket, None)
        assert began is not None, "an operation ends once"
        assert began[0] == cid, "a ticket is for one CID"
        self._running[began[1]] -= 1
        return self._items[cid], began[1]

    def queue_due(self, *, now_ms: int, wall_ms: int) -> None:
        """Queue again what failed and is due."""
        for cid in self._waiting.pop_due(now_ms):
            self.queue(self._items[cid], wall_ms=wall_ms)

    def begin_fetches(self, *, wall_ms: int) -> tuple[StartFetch, ...]:
        """Start as many fetches as may run."""
        fetches: list[StartFetch] = []
        while self._running[Goal.HELD] < self._settings.fetches_max:
            queue = self._next_queue()
            if queue is None:
                break
            item = self._begin(queue.pop(), wall_ms)
            fetches.append(StartFetch(cid=item.cid, ticket=item.ticket, attempt=item.attempts))
        return tuple(fetches)

    def begin_drops(self, *, wall_ms: int) -> tuple[StartDrop, ...]:
        """Start as many drops as may run."""
        drops: list[StartDrop] = []
        while self._running[Goal.GONE] < self._settings.drops_max and len(self._drops):
            item = self._begin(self._drops.pop(), wall_ms)
            drops.append(StartDrop(cid=item.cid, ticket=item.ticket))
        return tuple(drops)

    @property
    def next_ms(self) -> int | None:
        """When the next failed item is due."""
        return self._waiting.next_ms

    def _next_queue(self) -> Queue | None:
        """Return whose turn it is: the young first, but the last free slot is for the old."""
        is_last_slot = self._running[Goal.HELD] == self._settings.fetches_max - 1
        if len(self._old) and (is_last_slot or not len(self._young)):
            return self._old
        return self._young if len(self._young) else None

    def _begin(self, cid: Cid, wall_ms: int) -> Item:
        item = self._items[cid]
        assert item.phase is Phase.QUEUED, "only what is queued begins"
        self._last_ticket += 1
        self._tickets[self._last_ticket] = (cid, item.goal)
        self._running[item.goal] += 1
        item.ticket = self._last_ticket
        item.phase, item.changed_ms = Phase.RUNNING, wall_ms
        item.attempts += 1
        return item

    def _leave(self, cid: Cid) -> None:
        for queue in (self._young, self._old, self._drops, self._waiting):
            queue.discard(cid)
