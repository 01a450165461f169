"""Content to build DAGs from, the same in every run."""

import random

from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.importer.file_builder import build_file
from bftcluster.blocks.port import BlockStore

SMALL = Layout(chunk_size_bytes=1024, width=4)
"""Deep DAGs from little content."""


def pattern(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{seed}/{size}").randbytes(size)


def add_file(store: BlockStore, data: bytes, layout: Layout = SMALL) -> DagEntry:
    blocks = []
    entry = build_file([data], blocks.append, layout)
    store.put_many(blocks)
    return entry
