"""The store on disk does what the one in memory does, whatever the order of calls."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.file_builder import build_file
from bftcluster.blocks.port import Hold
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.errors import BlockNotFoundError

QUOTA = 64 << 20
LAYOUT = Layout(chunk_size_bytes=10, width=2)


def dag(number: int) -> list[Block]:
    """One of a few DAGs that share some of their blocks, root last."""
    blocks: list[Block] = []
    shared = bytes(range(30))
    build_file([shared[: 10 * (number % 3)], b"%02d" % number * 15], blocks.append, LAYOUT)
    return blocks


DAGS = [dag(number) for number in range(8)]
numbers = st.integers(0, len(DAGS) - 1)


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.disk = EmbeddedStore(self.directory, QUOTA)
        self.memory = MemoryBlockStore(QUOTA)
        self.holds: list[tuple[Hold, Hold]] = []

    def teardown(self) -> None:
        if hasattr(self, "disk"):
            self.disk.close()
            shutil.rmtree(self.directory)

    @rule(number=numbers, hold=st.integers(0, 3))
    def put(self, number: int, hold: int) -> None:
        on_disk, in_memory = self.holds[hold] if hold < len(self.holds) else (None, None)
        self.disk.put_many(DAGS[number], hold=on_disk)
        self.memory.put_many(DAGS[number], hold=in_memory)

    @rule()
    def begin(self) -> None:
        self.holds.append((self.disk.begin(), self.memory.begin()))

    @rule(hold=st.integers(0, 3))
    def release(self, hold: int) -> None:
        if hold < len(self.holds):
            on_disk, in_memory = self.holds.pop(hold)
            self.disk.release(on_disk)
            self.memory.release(in_memory)

    @rule(number=numbers)
    def pin(self, number: int) -> None:
        root = DAGS[number][-1].cid
        outcomes = []
        for store in (self.disk, self.memory):
            try:
                store.pin_root(root)
                outcomes.append("pinned")
            except BlockNotFoundError:
                outcomes.append("missing")
        assert outcomes[0] == outcomes[1]

    @rule(number=numbers)
    def unpin(self, number: int) -> None:
        self.disk.unpin_root(DAGS[number][-1].cid)
        self.memory.unpin_root(DAGS[number][-1].cid)

    @rule(number=numbers, block=st.integers(0, 10))
    def delete(self, number: int, block: int) -> None:
        cids = [DAGS[number][block % len(DAGS[number])].cid]
        self.disk.delete(cids)
        self.memory.delete(cids)

    @rule()
    def collect_garbage(self) -> None:
        self.disk.collect_garbage()
        self.memory.collect_garbage()

    @rule()
    def open_again(self) -> None:
        self.disk.close()
        self.disk = EmbeddedStore(self.directory, QUOTA)
        for _, in_memory in self.holds:
            self.memory.release(in_memory)
        self.holds.clear()

    @invariant()
    def both_hold_the_same(self) -> None:
        if not hasattr(self, "disk"):
            return
        assert list(self.disk.multihashes()) == list(self.memory.multihashes())
        assert self.disk.roots() == self.memory.roots()
        assert self.disk.stat().content_bytes == self.memory.stat().content_bytes
        files = list((self.directory / "blocks").glob("*/*"))
        assert len(files) == self.disk.stat().blocks


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestStore = StoreMachine.TestCase
