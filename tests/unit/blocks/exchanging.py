"""What the tests of the exchange share: how fetches run and how providers are made to lie."""

from collections.abc import Callable

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.exchange.exchange_messages import (
    Blocks,
    from_frame,
)
from bftcluster.blocks.exchange.fetch_report import FetchReport
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.formats.layout import DagEntry
from bftcluster.blocks.port import BlockStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from tests.unit.blocks.network import Filter, Network, peer_id

ME, ALICE, BOB, CAROL = (peer_id(number) for number in range(4))

TIGHT = ExchangeSettings(
    request_size_bytes=64 << 10, window_total_bytes=64 << 10, leaf_budget_bytes=4 << 10
)
"""Many small requests: a DAG of a megabyte is a large one."""


async def fetch_with(
    network: Network,
    entry: DagEntry,
    providers: dict[bytes, MemoryBlockStore],
    mine: BlockStore,
    settings: ExchangeSettings = TIGHT,
) -> FetchReport:
    for peer, store in providers.items():
        await network.add(peer, store, settings)
    me = await network.add(ME, mine, settings)
    return await me.fetch_dag(entry.cid, list(providers))


def on_blocks(change: Callable[[Blocks], list[bytes]]) -> Filter:
    """Tamper with frames of blocks only."""

    def tamper(frame: bytes) -> list[bytes]:
        message = from_frame(frame)
        return change(message) if isinstance(message, Blocks) else [frame]

    return tamper


def complete(store: MemoryBlockStore, entry: DagEntry) -> bool:
    root = store.find_root(entry.cid)
    return root is not None and root.complete


def copy_of(store: MemoryBlockStore, *roots: DagEntry) -> MemoryBlockStore:
    copy = MemoryBlockStore()
    for root in roots:
        copy.put_many(walk(store, root.cid))
    return copy
