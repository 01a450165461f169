"""A state that moves on at one peer while another fetches it."""

from collections.abc import Callable, Mapping

from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key, Space
from bftcluster.ledger.rows.tree import StateTree
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.fetcher import StateFetcher
from bftcluster.sync.frames import FetchState, StateParts
from bftcluster.sync.state_parts import answer

STEPS_MAX = 5_000

Contents = Mapping[Key, bytes]
Lie = Callable[[FetchState, StateParts], StateParts | None]
"""What a source sends instead; None is nothing at all."""


def peer(number: int) -> PeerId:
    return PeerId(bytes((number,)) * 32)


def pins(count: int, value: bytes = b"value", first: int = 0) -> dict[Key, bytes]:
    numbers = range(first, first + count)
    return {(Space.PIN, b"cid %d" % number): value + b" %d" % number for number in numbers}


class Server:
    """A ledger's rows and tree, without a ledger."""

    def __init__(self, contents: Contents | None = None) -> None:
        self.store = MemoryStateStore()
        self.tree = StateTree(self.store)
        self.seq = 0
        self.root = Digest(bytes(32))
        self.put(contents or {})
        self.checkpoint()

    def put(self, rows: Mapping[Key, bytes | None]) -> None:
        """Change rows, as a batch does."""
        for space in STATE_SPACES:
            self.tree.absorb([(space, {key: v for (s, key), v in rows.items() if s is space})])
        self._flush(rows)

    def checkpoint(self) -> None:
        self.root = self.tree.root()
        self._flush({})
        self._at_root = self.state()

    def state(self) -> dict[Key, bytes]:
        """Return the rows of the state, and those of the tree."""
        wanted = (*STATE_SPACES, Space.TREE)
        return {key: value for key, value in self.store.rows().items() if key[0] in wanted}

    def state_at_root(self) -> dict[Key, bytes]:
        """Return what the state was at the last checkpoint."""
        return self._at_root

    def _flush(self, rows: Mapping[Key, bytes | None]) -> None:
        self.seq += 1
        self.store.flush({**rows, **self.tree.take_delta(Seq(self.seq))})


class Fetcher:
    """A fetcher with its stage on a disk, and sources that answer at once."""

    def __init__(self, own: Server | None = None) -> None:
        self.own = own or Server()
        self.stage = MemoryStateStore()
        self.now_ms = 0
        self.asked: list[tuple[PeerId, FetchState]] = []
        self.given: list[StateParts] = []
        self.verdicts: list[tuple[PeerId, Verdict]] = []
        self.restart()

    def restart(self) -> None:
        """As after a crash: nothing is kept but what was flushed."""
        self.fetcher = StateFetcher(stage=self.stage, own=self.own.store)

    def step(self, sources: Mapping[PeerId, Server], lies: Mapping[PeerId, Lie] | None = None):
        """Ask everybody who may be asked once, and take the answers."""
        self.now_ms += 100
        requests = self.fetcher.requests(self.now_ms)
        self.stage.flush(self.fetcher.take_delta())
        for source, request in requests:
            self.asked.append((source, request))
            fetch = FetchState.from_frame(request.frame())
            parts: StateParts | None = answer(sources[source].store, fetch)
            if source in (lies or {}):
                parts = lies[source](fetch, parts)
            if parts is not None:
                parts = StateParts.from_frame(parts.frame())
                self.given.append(parts)
                verdict = self.fetcher.on_parts(source, parts, self.now_ms)
                self.verdicts.append((source, verdict))
                self.stage.flush(self.fetcher.take_delta())

    def fetch(
        self, sources: Mapping[PeerId, Server], lies: Mapping[PeerId, Lie] | None = None
    ) -> None:
        """Fetch the whole state of an honest source."""
        honest = [server for source, server in sources.items() if source not in (lies or {})]
        self.fetcher.aim(honest[0].root, list(sources))
        self.finish(sources, lies)

    def finish(
        self, sources: Mapping[PeerId, Server], lies: Mapping[PeerId, Lie] | None = None
    ) -> None:
        """Fetch the rest of what is aimed at."""
        for _ in range(STEPS_MAX):
            if self.fetcher.is_complete:
                return
            self.step(sources, lies)
        raise AssertionError("the transfer does not end")

    def staged(self) -> dict[Key, bytes]:
        return self.stage.rows()
