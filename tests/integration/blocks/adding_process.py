"""Adds files to a store until it is killed, and says the CID of each that is durable."""

import random
import sys
from pathlib import Path

from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.adder import Adder
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import text

store = EmbeddedStore(Path(sys.argv[1]), int(sys.argv[2]))
content = random.Random(sys.argv[3])
while True:
    with Adder(store, layout=Layout(chunk_size_bytes=16 << 10)) as adder:
        adder.add_file("file", (content.randbytes(64 << 10) for _ in range(16)))
        sys.stdout.write(text(adder.finish().cid) + "\n")
        sys.stdout.flush()
