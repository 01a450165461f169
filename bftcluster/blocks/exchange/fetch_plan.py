"""Plans which missing block is asked of whom: the bookkeeping of one fetch, without I/O."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from bftcluster.blocks.formats.dag_pb import DagLink
from bftcluster.blocks.formats.links import may_link
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.shell_limits import WANT_CIDS_MAX

_HINT_MIN_BYTES = 4 << 10
_HINT_MAX_BYTES = 1 << 20
_SHARE_MIN_BYTES = 1 << 20


class ProviderFault(Enum):
    """Why a provider is asked no more."""

    SILENT = "silent"
    UNREACHABLE = "unreachable"
    BAD_BLOCK = "bad-block"
    UNSOLICITED = "unsolicited"
    FLOODING = "flooding"
    MALFORMED = "malformed"
    BUSY = "busy"


@dataclass(slots=True)
class Provider:
    """What a fetch knows of one provider."""

    peer: PeerId
    fault: ProviderFault | None = None
    lacks: set[Cid] = field(default_factory=set)
    """Blocks that it was asked for by name and did not send."""
    blocks: int = 0
    content_bytes: int = 0
    useless_bytes: int = 0
    """Blocks that were here already when they came."""

    @property
    def dropped(self) -> bool:
        """Whether it is asked no more."""
        return self.fault is not None

    def blame(self, fault: ProviderFault) -> None:
        """Drop it; the first fault is the one that is reported."""
        self.fault = self.fault or fault


@dataclass(slots=True, eq=False)
class Request:
    """One request under way."""

    number: int
    provider: Provider
    listed: frozenset[Cid]
    expected: dict[Cid, None]
    """Missing blocks that this request should bring, in order."""
    leaf_budget_bytes: int
    last_useful_s: float
    uncredited_bytes: int = 0
    """Received, and not stored yet."""
    to_credit_bytes: int = 0
    """Stored, and not told to the provider yet."""
    hedged: bool = False


class FetchPlan:
    """Missing blocks: waiting in a queue, or expected from a request (two, if one is slow)."""

    def __init__(self) -> None:
        self.missing: dict[Cid, int] = {}
        """Every missing block that is known, and a guess of its size."""
        self.requests: list[Request] = []
        self._queue: deque[Cid] = deque()

    def add(self, links: Iterable[DagLink]) -> None:
        """Queue blocks that were found missing."""
        for link in links:
            self._note(link)
            self._queue.append(link.cid)

    def expect(self, request: Request, links: Iterable[DagLink]) -> None:
        """Note blocks that are missing, and that ``request`` will bring without being asked."""
        for link in links:
            self._note(link)
            request.expected[link.cid] = None

    def take(self, provider: Provider, size_max_bytes: int) -> list[Cid]:
        """Return waiting blocks to ask ``provider`` for, of about that size; none it lacks."""
        taken: list[Cid] = []
        passed: list[Cid] = []
        size_bytes = 0
        while self._queue and len(taken) < WANT_CIDS_MAX and size_bytes < size_max_bytes:
            cid = self._queue.popleft()
            if cid not in self.missing:
                continue
            if cid in provider.lacks:
                passed.append(cid)
                continue
            taken.append(cid)
            size_bytes += self.missing[cid]
        self._queue.extend(passed)
        return taken

    def hedge(self, provider: Provider, quiet_since_s: float, size_max_bytes: int) -> list[Cid]:
        """Return blocks that another provider is slow with; each request is hedged once."""
        for request in self.requests:
            if request.hedged or request.provider is provider:
                continue
            if request.last_useful_s > quiet_since_s:
                continue
            request.hedged = True
            taken: list[Cid] = []
            size_bytes = 0
            for cid in request.expected:
                if cid in self.missing and cid not in provider.lacks:
                    taken.append(cid)
                    size_bytes += self.missing[cid]
                if len(taken) == WANT_CIDS_MAX or size_bytes >= size_max_bytes:
                    break
            if taken:
                return taken
        return []

    def share(self, workers: int, size_max_bytes: int) -> int:
        """Return how much one request should ask for, so that all workers end together."""
        if len(self._queue) > WANT_CIDS_MAX:
            return size_max_bytes
        waiting_bytes = sum(self.missing.get(cid, 0) for cid in self._queue)
        return min(size_max_bytes, max(_SHARE_MIN_BYTES, waiting_bytes // (2 * workers)))

    def arrived(self, request: Request, cid: Cid) -> bool:
        """Note a block that came; return whether it was missing."""
        request.expected.pop(cid, None)
        return self.missing.pop(cid, None) is not None

    def give_back(self, request: Request) -> None:
        """Queue what a request did not bring, first; nobody may expect it from there any more."""
        self.requests.remove(request)
        elsewhere = [other.expected for other in self.requests]
        for cid in reversed(request.expected):
            if cid in self.missing and not any(cid in expected for expected in elsewhere):
                self._queue.appendleft(cid)
        request.expected.clear()

    def release_leaves(self, request: Request) -> None:
        """Queue the leaves that a request will not bring, its leaf budget being used up."""
        leaves = [
            cid for cid in request.expected if not may_link(cid) and cid not in request.listed
        ]
        for cid in leaves:
            del request.expected[cid]
            if cid in self.missing:
                self._queue.append(cid)

    def _note(self, link: DagLink) -> None:
        self.missing[link.cid] = min(max(link.tsize, _HINT_MIN_BYTES), _HINT_MAX_BYTES)
