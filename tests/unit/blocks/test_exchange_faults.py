"""Fetching from peers some of which lie, stall or leave."""

from collections.abc import Callable

import pytest
import trio

from bftcluster.blocks.exchange.exchange_messages import (
    Blocks,
    CancelWant,
    from_frame,
    to_frame,
)
from bftcluster.blocks.exchange.fetch_plan import ProviderFault
from bftcluster.blocks.exchange.fetch_report import FetchFailedError, FetchProgress, FetchReport
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.formats.block import Block, key_of, raw_cid
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import DAG_PB, of_block
from bftcluster.errors import (
    BlockNotFoundError,
    MalformedContentError,
    RefusedError,
    StoreFullError,
)
from tests.unit.blocks.content import add_file, pattern
from tests.unit.blocks.exchanging import (
    ALICE,
    BOB,
    CAROL,
    ME,
    TIGHT,
    complete,
    copy_of,
    fetch_with,
    on_blocks,
)
from tests.unit.blocks.network import open_network


async def fetch_despite(
    tamper: Callable[[Blocks], list[bytes]], mine: MemoryBlockStore
) -> FetchReport:
    """Fetch a file from Alice, whose blocks are tampered with, and from Bob; it comes whole."""
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(500_000))
    async with open_network() as network:
        network.tamper[ALICE] = on_blocks(tamper)
        report = await fetch_with(network, entry, {ALICE: alice, BOB: copy_of(alice, entry)}, mine)
    assert complete(mine, entry)
    return report


async def test_a_provider_that_sends_wrong_bytes_is_dropped_and_another_takes_over(
    autojump_clock,
) -> None:
    def corrupt(message: Blocks) -> list[bytes]:
        spoilt = tuple((cid, data[:-1] + b"!") for cid, data in message.blocks)
        return [to_frame(Blocks(request=message.request, blocks=spoilt))]

    mine = MemoryBlockStore()

    report = await fetch_despite(corrupt, mine)

    assert [provider.fault for provider in report.providers] == [ProviderFault.BAD_BLOCK, None]
    assert report.providers[0].blocks == 0


async def test_a_provider_that_pushes_what_nobody_asked_for_is_dropped(autojump_clock) -> None:
    def push(message: Blocks) -> list[bytes]:
        junk = b"malware"
        blocks = ((of_block(junk), junk), *message.blocks)
        return [to_frame(Blocks(request=message.request, blocks=blocks))]

    mine = MemoryBlockStore()

    report = await fetch_despite(push, mine)

    assert report.providers[0].fault is ProviderFault.UNSOLICITED
    assert not mine.has(of_block(b"malware"))


@pytest.mark.parametrize("copies", [3, 50], ids=["over time", "beyond the window"])
async def test_a_provider_that_repeats_itself_is_dropped_as_flooding(
    autojump_clock, copies: int
) -> None:
    def repeat(message: Blocks) -> list[bytes]:
        return [to_frame(message)] * copies

    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(12_000_000), Layout(chunk_size_bytes=256 << 10))
    settings = ExchangeSettings(window_total_bytes=1, leaf_budget_bytes=64 << 20)
    async with open_network() as network:
        network.tamper[ALICE] = on_blocks(repeat)
        with pytest.raises(FetchFailedError) as failed:
            await fetch_with(network, entry, {ALICE: alice}, MemoryBlockStore(), settings)

    assert failed.value.providers[0].fault is ProviderFault.FLOODING


async def test_a_provider_that_falls_silent_is_dropped_in_time(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(500_000))
    async with open_network() as network:
        network.tamper[ALICE] = lambda _: []
        started = trio.current_time()
        report = await fetch_with(network, entry, {ALICE: alice, BOB: copy_of(alice, entry)}, mine)
        took_s = trio.current_time() - started

    assert complete(mine, entry)
    assert report.providers[1].blocks == report.blocks
    assert took_s <= TIGHT.silence_timeout_s


async def test_a_lone_provider_that_falls_silent_fails_the_fetch_in_time(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(50_000))
    async with open_network() as network:
        network.tamper[ALICE] = lambda _: []
        started = trio.current_time()
        with pytest.raises(FetchFailedError) as failed:
            await fetch_with(network, entry, {ALICE: alice}, MemoryBlockStore())
        took_s = trio.current_time() - started

    assert failed.value.providers[0].fault is ProviderFault.SILENT
    assert took_s == pytest.approx(TIGHT.silence_timeout_s, abs=1)


async def test_a_provider_that_drops_every_third_frame_is_made_up_for(autojump_clock) -> None:
    seen = 0

    def lose(message: Blocks) -> list[bytes]:
        nonlocal seen
        seen += 1
        return [] if seen % 3 == 0 else [to_frame(message)]

    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(400_000))
    async with open_network() as network:
        network.tamper[ALICE] = on_blocks(lose)
        await fetch_with(network, entry, {ALICE: alice, BOB: copy_of(alice, entry)}, mine)

    assert complete(mine, entry)


async def test_a_provider_that_sends_garbage_is_dropped_and_reported_to_the_network(
    autojump_clock,
) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(500_000))
    async with open_network() as network:
        network.tamper[ALICE] = lambda _: [b"\x00\x00\x00\x01\xff"]
        report = await fetch_with(network, entry, {ALICE: alice, BOB: copy_of(alice, entry)}, mine)

        assert network.protocol_errors

    assert complete(mine, entry)
    assert report.providers[0].fault is ProviderFault.MALFORMED


async def test_a_provider_that_says_it_has_nothing_is_asked_no_more(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(200_000))
    async with open_network() as network:
        report = await fetch_with(network, entry, {BOB: MemoryBlockStore(), ALICE: alice}, mine)

    assert complete(mine, entry)
    assert report.providers[0].blocks == 0


async def test_an_unreachable_provider_is_passed_over(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(200_000))
    async with open_network() as network:
        network.gone.add(BOB)
        report = await fetch_with(network, entry, {BOB: MemoryBlockStore(), ALICE: alice}, mine)

    assert complete(mine, entry)
    assert report.providers[0].fault is ProviderFault.UNREACHABLE


async def test_a_fetch_that_may_ask_nothing_fails_and_says_so(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))

    def refuse(frame: bytes) -> list[bytes]:
        raise RefusedError("used up")

    async with open_network() as network:
        network.tamper[ME] = refuse
        with pytest.raises(FetchFailedError) as caught:
            await fetch_with(network, entry, {ALICE: alice}, MemoryBlockStore())

    assert [each.fault for each in caught.value.providers] == [ProviderFault.BUSY]


async def test_a_slow_provider_does_not_hold_up_the_end(autojump_clock) -> None:
    frames = 0

    def stall(message: Blocks) -> list[bytes]:
        nonlocal frames
        frames += 1
        return [to_frame(message)] if frames < 3 else []

    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(1_000_000))
    settings = ExchangeSettings(
        request_size_bytes=64 << 10, leaf_budget_bytes=4 << 10, silence_timeout_s=600
    )
    async with open_network() as network:
        network.tamper[ALICE] = on_blocks(stall)
        started = trio.current_time()
        await fetch_with(network, entry, {ALICE: alice, BOB: copy_of(alice, entry)}, mine, settings)
        took_s = trio.current_time() - started

    assert complete(mine, entry)
    assert took_s < 10


async def test_a_store_that_is_too_small_ends_the_fetch(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(500_000))
    mine = MemoryBlockStore(quota_bytes=200_000)
    async with open_network() as network:
        with pytest.raises(StoreFullError):
            await fetch_with(network, entry, {ALICE: alice}, mine)

    assert mine.stat().used_bytes <= 200_000
    assert mine.unpin_root(entry.cid) > 0


async def test_a_dag_that_cannot_be_walked_ends_the_fetch(autojump_clock) -> None:
    alice = MemoryBlockStore()
    broken = Block.make(b"not dag-pb", codec=DAG_PB)
    alice.put_many([broken])
    entry = DagEntry(cid=broken.cid, size_bytes=0, tsize=0)
    async with open_network() as network:
        with pytest.raises(MalformedContentError):
            await fetch_with(network, entry, {ALICE: alice}, MemoryBlockStore())


async def test_progress_is_told_and_ends_with_everything_stored(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(500_000))
    told: list[FetchProgress] = []
    async with open_network() as network:
        await network.add(ALICE, alice, TIGHT)
        me = await network.add(ME, mine, TIGHT)
        report = await me.fetch_dag(entry.cid, [ALICE], progress=told.append)

    assert [step.blocks_stored for step in told] == sorted(step.blocks_stored for step in told)
    assert told[-1].blocks_stored == report.blocks
    assert told[-1].blocks_missing == 0


async def test_two_peers_fetch_from_each_other_at_once(autojump_clock) -> None:
    alice, bob = MemoryBlockStore(), MemoryBlockStore()
    hers, his = add_file(alice, pattern(800_000, 1)), add_file(bob, pattern(800_000, 2))
    async with open_network() as network:
        ends = {
            ALICE: await network.add(ALICE, alice, TIGHT),
            BOB: await network.add(BOB, bob, TIGHT),
        }
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends[ALICE].fetch_dag, his.cid, [BOB])
            nursery.start_soon(ends[BOB].fetch_dag, hers.cid, [ALICE])

    assert complete(alice, his)
    assert complete(bob, hers)


async def test_many_fetches_at_once_all_end(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entries = [add_file(alice, pattern(5000, number)) for number in range(60)]
    async with open_network() as network:
        await network.add(ALICE, alice)
        me = await network.add(ME, mine)
        async with trio.open_nursery() as nursery:
            for entry in entries:
                nursery.start_soon(me.fetch_dag, entry.cid, [ALICE])

    assert all(complete(mine, entry) for entry in entries)


async def test_a_fetch_that_is_cancelled_tells_the_provider(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    async with open_network() as network:
        network.tamper[ALICE] = lambda _: []
        await network.add(ALICE, alice, TIGHT)
        me = await network.add(ME, MemoryBlockStore(), TIGHT)
        with trio.move_on_after(1):
            await me.fetch_dag(entry.cid, [ALICE])

        sent = [from_frame(frame) for sender, _, frame in network.sent if sender == ME]

    assert isinstance(sent[-1], CancelWant)


async def test_a_block_comes_from_another_when_the_first_who_is_asked_is_silent(
    autojump_clock,
) -> None:
    block = Block.make(b"hello")
    alice, bob = MemoryBlockStore(), MemoryBlockStore()
    bob.put_many([block])
    taken_s: list[float] = []
    async with open_network() as network:
        await network.add(ALICE, alice)
        await network.add(BOB, bob)
        network.tamper[ALICE] = lambda _: []
        me = await network.add(ME, MemoryBlockStore())
        for _ in range(2):
            began_s = trio.current_time()
            assert await me.fetch_block(raw_cid(key_of(block.cid)), [ALICE, BOB]) == block.data
            taken_s.append(trio.current_time() - began_s)

    assert taken_s == [1.0, 0.0]  # Whoever was silent is asked last.


async def test_a_block_that_nobody_has_costs_one_silence_however_many_are_silent(
    autojump_clock,
) -> None:
    settings = ExchangeSettings()
    async with open_network() as network:
        for peer in (ALICE, BOB, CAROL):
            await network.add(peer, MemoryBlockStore())
            network.tamper[peer] = lambda _: []
        me = await network.add(ME, MemoryBlockStore())
        began_s = trio.current_time()
        with pytest.raises(BlockNotFoundError):
            await me.fetch_block(raw_cid(key_of(of_block(b"lost"))), [ALICE, BOB, CAROL])

        assert trio.current_time() - began_s == settings.silence_timeout_s + 2.0
