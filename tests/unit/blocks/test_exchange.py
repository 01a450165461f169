"""Fetching between peers that do what they should."""

import pytest

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.exchange.exchange_messages import (
    CancelWant,
    Want,
    from_frame,
)
from bftcluster.blocks.exchange.fetch_report import FetchFailedError
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.layout import KUBO_V0, Layout
from bftcluster.blocks.importer.directory import build_directory
from bftcluster.blocks.importer.file_builder import build_file
from bftcluster.blocks.store.memory import MemoryBlockStore
from tests.unit.blocks.content import SMALL, add_file, pattern
from tests.unit.blocks.exchanging import (
    ALICE,
    BOB,
    CAROL,
    ME,
    complete,
    copy_of,
    fetch_with,
)
from tests.unit.blocks.network import open_network


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 10_000, 600_000])
@pytest.mark.parametrize("layout", [SMALL, KUBO_V0], ids=["raw leaves", "dag-pb leaves"])
async def test_a_dag_comes_whole_from_one_provider(
    autojump_clock, size: int, layout: Layout
) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(size), layout)
    async with open_network() as network:
        report = await fetch_with(network, entry, {ALICE: alice}, mine)

    assert complete(mine, entry)
    assert sorted(mine.multihashes()) == sorted(alice.multihashes())
    assert report.blocks == mine.stat().blocks
    assert report.providers[0].fault is None


async def test_a_small_dag_takes_one_request(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    async with open_network() as network:
        await fetch_with(network, entry, {ALICE: alice}, mine, ExchangeSettings())

        wants = [frame for sender, _, frame in network.sent if sender == ME]

    assert [type(from_frame(frame)) for frame in wants] == [Want, CancelWant]


async def test_a_deep_chain_does_not_cost_a_request_per_level(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    blocks: list[Block] = []
    entry = build_file([b"x"], blocks.append, SMALL)
    for _ in range(500):
        entry = build_directory({"below": entry}, blocks.append, SMALL)
    alice.put_many(blocks)
    async with open_network() as network:
        await fetch_with(network, entry, {ALICE: alice}, mine)

        wants = [from_frame(frame) for sender, _, frame in network.sent if sender == ME]

    assert complete(mine, entry)
    assert sum(isinstance(message, Want) for message in wants) == 1


async def test_several_providers_share_the_work(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(1_000_000))
    stores = {ALICE: alice, BOB: copy_of(alice, entry), CAROL: copy_of(alice, entry)}
    mine = MemoryBlockStore()
    async with open_network() as network:
        report = await fetch_with(network, entry, stores, mine)

    assert complete(mine, entry)
    assert all(provider.blocks > 100 for provider in report.providers)
    assert sum(provider.blocks for provider in report.providers) == report.blocks


async def test_providers_that_each_have_a_part_make_the_whole(autojump_clock) -> None:
    whole = MemoryBlockStore()
    entry = add_file(whole, pattern(300_000))
    blocks = list(walk(whole, entry.cid))
    alice, bob, mine = MemoryBlockStore(), MemoryBlockStore(), MemoryBlockStore()
    alice.put_many(block for number, block in enumerate(blocks) if number % 2 == 0)
    bob.put_many(block for number, block in enumerate(blocks) if number % 2 == 1)
    async with open_network() as network:
        report = await fetch_with(network, entry, {ALICE: alice, BOB: bob}, mine)

    assert complete(mine, entry)
    assert [provider.fault for provider in report.providers] == [None, None]


async def test_a_fetch_that_was_cut_short_resumes_with_what_is_missing(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(1_000_000))
    blocks = list(walk(alice, entry.cid))
    mine.put_many(blocks[: len(blocks) // 2], hold=mine.begin(entry.cid))
    async with open_network() as network:
        report = await fetch_with(network, entry, {ALICE: alice}, mine)

    assert complete(mine, entry)
    assert report.blocks == len(blocks) - len(blocks) // 2


async def test_leaves_that_another_version_brought_are_not_fetched_again(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    blocks: list[Block] = []
    files = {f"{n}": build_file([pattern(50_000, n)], blocks.append, SMALL) for n in range(20)}
    old = build_directory(files, blocks.append, SMALL)
    files["new"] = build_file([b"new"], blocks.append, SMALL)
    new = build_directory(files, blocks.append, SMALL)
    alice.put_many(blocks)
    mine.put_many(walk(alice, old.cid))
    mine.pin_root(old.cid)
    async with open_network() as network:
        report = await fetch_with(network, new, {ALICE: alice}, mine)

    assert complete(mine, new)
    assert report.blocks == 2
    assert sum(len(frame) for sender, _, frame in network.sent if sender == ALICE) < 100_000


async def test_a_dag_that_is_here_already_is_pinned_without_asking_anybody(autojump_clock) -> None:
    mine = MemoryBlockStore()
    entry = add_file(mine, pattern(10_000))
    async with open_network() as network:
        report = await fetch_with(network, entry, {}, mine)

    assert complete(mine, entry)
    assert report.blocks == 0


async def test_content_that_nobody_has_is_a_failure_that_says_how_much_is_missing(
    autojump_clock,
) -> None:
    entry = add_file(MemoryBlockStore(), pattern(10_000))
    async with open_network() as network:
        with pytest.raises(FetchFailedError) as failed:
            await fetch_with(network, entry, {ALICE: MemoryBlockStore()}, MemoryBlockStore())

    assert failed.value.missing == 1
    assert failed.value.providers[0].fault is None


async def test_what_came_before_a_failure_stays_for_the_next_try(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    leaf = list(walk(alice, entry.cid))[-1]
    alice.delete([leaf.cid])
    async with open_network() as network:
        with pytest.raises(FetchFailedError):
            await fetch_with(network, entry, {ALICE: alice}, mine)
        mine.collect_garbage()
        alice.put_many([leaf])

        report = await network.ends[ME].fetch_dag(entry.cid, [ALICE])

    assert report.blocks == 1
    assert complete(mine, entry)
