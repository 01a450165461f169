"""Peers that give and take states in one process: real loops and databases, a clock that jumps."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bftcluster.ids import Digest, PeerId, ReplicaId, Seq
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key, Space
from bftcluster.ledger.rows.tree import StateTree
from bftcluster.node.loops.state_server import StateServer
from bftcluster.node.loops.state_transfer import StateTransfer
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import StartStateTransfer
from bftcluster.shell_limits import STATE_PAGE_ROWS_MAX
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore

GENESIS = b"genesis"
CERTIFICATE = b"certificate"
IDLE_S = 0.001
TIMEOUT_S = 600
"""By a clock that jumps."""

Liar = Callable[[PeerId, bytes], Iterable[bytes]]
"""Returns what a peer sends instead of one frame."""


class JumpingClock:
    """The clock of the event loop, for threads as well."""

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        return int(self._clock.current_time() * 1000)

    def wall_ms(self) -> int:
        return self.now_ms()


class Disk:
    """A ledger's rows and tree in a database, without a ledger."""

    def __init__(self, path: Path) -> None:
        self._url = sqlite_url(path)
        self.store = LedgerStore.open(self._url, genesis=GENESIS)
        self.tree = StateTree(self.store)
        self.root = Digest(bytes(32))

    def checkpoint(self, rows: Mapping[Key, bytes | None]) -> Seq:
        """Change rows as one batch does, and take the root."""
        for space in STATE_SPACES:
            self.tree.absorb([(space, {key: v for (s, key), v in rows.items() if s is space})])
        self.root = self.tree.root()
        seq = Seq(self.store.position() + 1)
        self.store.flush({**rows, **self.tree.take_delta(seq)}, [(seq, b"entry")], seq)
        return seq

    def state(self) -> dict[Key, bytes]:
        """Return the rows of the state, and those of the tree."""
        return {
            (space, key): value
            for space in (*STATE_SPACES, Space.TREE)
            for key, value in self.store.reader.iterate(space, b"", STATE_PAGE_ROWS_MAX)
        }

    def reopen(self) -> Seq | None:
        """Close it and open it again; return the position of what was installed."""
        self.store.close()
        self.store = LedgerStore.open(self._url, genesis=GENESIS)
        return self.store.stage.install()


class World:
    """One peer that takes, and others that give."""

    def __init__(self, directory: Path, clock: MockClock) -> None:
        assert trio.lowlevel.current_clock() is clock, "a test names its clock, not only a fixture"
        self._directory = directory
        self._clock = clock
        self.me = PeerId(b"t" * 32)
        self.disk = Disk(directory / "transfer.db")
        self.servers: dict[PeerId, StateServer] = {}
        self.disks: dict[PeerId, Disk] = {}
        self.liars: dict[PeerId, Liar] = {}
        self.frames: dict[PeerId, int] = {}
        """How many each sent."""
        self.whole = trio.Event()
        self.nursery: trio.Nursery | None = None
        self.workers = Workers(4)
        self.transfer = StateTransfer(
            stage=self.disk.store.stage,
            reader=self.disk.store.reader,
            send=self.ask,
            clock=JumpingClock(clock),
            on_whole=self.whole.set,
            workers=self.workers,
        )

    def add(self, number: int, rows: Mapping[Key, bytes | None]) -> PeerId:
        """Make a peer that can give."""
        peer = PeerId(bytes((number,)) * 32)
        disk = self.disks[peer] = Disk(self._directory / f"server{number}.db")
        disk.checkpoint(rows)
        self.frames[peer] = 0
        self.servers[peer] = StateServer(
            reader=disk.store.reader,
            send=lambda to, frame: self.answer(peer, to, frame),
            stable=lambda: None,
            keep_earlier=lambda keeps: setattr(disk.tree, "keeps_earlier", keeps),
            rate_max_bytes_per_s=64 << 20,
            workers=self.workers,
        )
        return peer

    def ask(self, peer: PeerId, frame: bytes) -> None:
        self.servers[peer].on_frame(self.me, frame)

    def answer(self, peer: PeerId, to: PeerId, frame: bytes) -> None:
        """Send a server's answer, or what a liar makes of it."""
        liar = self.liars.get(peer)
        for each in [frame] if liar is None else liar(peer, frame):
            self.frames[peer] += 1
            self.transfer.on_frame(peer, each)

    async def later(self, peer: PeerId, frame: bytes, after_s: float) -> None:
        await trio.sleep(after_s)
        self.transfer.on_frame(peer, frame)

    def wanted(self, disk: Disk) -> StartStateTransfer:
        """Return the certified state of a peer, which all are said to have signed."""
        sources = tuple(map(ReplicaId, self.servers))
        return StartStateTransfer(disk.store.position(), disk.root, CERTIFICATE, sources)

    async def hurry(self) -> NoReturn:
        """Jump to the next deadline whenever every task waits and no thread works."""
        while True:
            await wait_all_tasks_blocked(IDLE_S)
            wait_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if not self.workers.working and 0 < wait_s < math.inf:
                self._clock.jump(wait_s)

    async def fetch(self, disk: Disk) -> None:
        """Fetch the state of ``disk``, and open again on it."""
        await self.fetch_wanted(self.wanted(disk))
        self.disk.reopen()

    async def fetch_wanted(self, *wanted: StartStateTransfer, timeout_s: float = TIMEOUT_S) -> None:
        """Do as the replica says that wants a state, and then another, until one is whole."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            nursery.start_soon(self.hurry)
            for server in self.servers.values():
                nursery.start_soon(server.run)
            nursery.start_soon(self.transfer.run)
            for each in wanted:
                self.transfer.fetch(each)
            with trio.fail_after(timeout_s):
                await self.whole.wait()
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        for disk in (self.disk, *self.disks.values()):
            disk.store.close()
