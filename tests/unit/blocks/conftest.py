from collections.abc import Iterator
from pathlib import Path

import pytest

from bftcluster.blocks.port import BlockStore
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore

QUOTA = 64 << 20


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "store", QUOTA) as store:
        yield store


@pytest.fixture(params=["embedded", "memory"])
def store(request: pytest.FixtureRequest) -> BlockStore:
    if request.param == "memory":
        return MemoryBlockStore(QUOTA)
    return request.getfixturevalue("embedded")
