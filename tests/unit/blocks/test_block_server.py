"""The provider's side of the exchange, and stores that change under a fetch."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from bftcluster.blocks.dag import survey
from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.exchange.exchange_messages import (
    Blocks,
    Credit,
    End,
    EndStatus,
    Want,
    from_frame,
    to_frame,
)
from bftcluster.blocks.exchange.fetch_plan import ProviderFault
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.formats.block import key_of
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid, of_block
from bftcluster.errors import BlockStoreError, MalformedContentError, StorageError
from bftcluster.shell_limits import SERVED_REQUESTS_PER_PEER_MAX
from tests.unit.blocks.content import add_file, pattern
from tests.unit.blocks.exchanging import (
    ALICE,
    BOB,
    ME,
    TIGHT,
    complete,
    copy_of,
    fetch_with,
)
from tests.unit.blocks.network import Network, open_network


async def ask(network: Network, want: Want) -> None:
    """Send one raw request to Alice from a peer that only listens."""
    await network.add(ME, MemoryBlockStore())
    await network._send(ME, ALICE, to_frame(want))


def answers(network: Network) -> list[Blocks | End]:
    found = [from_frame(frame) for sender, _, frame in network.sent if sender == ALICE]
    return [message for message in found if isinstance(message, Blocks | End)]


def request(*cids: Cid, window: int = 1 << 20, leaves: int = 1 << 20) -> Want:
    return Want(request=1, window_bytes=window, leaf_budget_bytes=leaves, cids=cids)


async def test_a_provider_sends_no_more_than_its_window_until_credit_comes(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    async with open_network() as network:
        await network.add(ALICE, alice)
        await ask(network, request(entry.cid, window=10_000))
        await trio.testing.wait_all_tasks_blocked()
        before = sum(len(data) for m in answers(network) for _, data in m.blocks)
        await network._send(ME, ALICE, to_frame(Credit(request=1, size_bytes=10_000)))
        await trio.testing.wait_all_tasks_blocked()
        after = sum(len(data) for m in answers(network) for _, data in m.blocks)

    assert 10_000 <= before < 12_000
    assert 20_000 <= after < 24_000


async def test_a_provider_forgets_a_requester_that_gives_no_credit(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    async with open_network() as network:
        end = await network.add(ALICE, alice)
        await ask(network, request(entry.cid, window=10_000))
        await trio.sleep(ExchangeSettings().credit_timeout_s + 1)

        assert end._server._servings == {}


async def test_a_provider_says_which_blocks_it_does_not_have(autojump_clock) -> None:
    absent = of_block(b"absent")
    async with open_network() as network:
        await network.add(ALICE, MemoryBlockStore())
        await ask(network, request(absent))
        await trio.testing.wait_all_tasks_blocked()

        assert answers(network) == [End(request=1, status=EndStatus.SERVED, absent=(absent,))]


async def test_who_is_no_relay_does_not_send_its_own_copy_as_that_of_another(
    autojump_clock,
) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(1_000))
    async with open_network() as network:
        await network.add(ALICE, alice)
        await ask(network, replace(request(entry.cid), holder=BOB))
        await trio.testing.wait_all_tasks_blocked()

        absent = (entry.cid,)
        assert answers(network) == [End(request=1, status=EndStatus.SERVED, absent=absent)]


async def test_a_provider_serves_a_peer_only_so_many_requests_at_once(autojump_clock) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    async with open_network() as network:
        await network.add(ALICE, alice)
        await network.add(ME, MemoryBlockStore())
        for number in range(SERVED_REQUESTS_PER_PEER_MAX + 1):
            want = Want(request=number, window_bytes=1, leaf_budget_bytes=0, cids=(entry.cid,))
            await network._send(ME, ALICE, to_frame(want))
        await trio.testing.wait_all_tasks_blocked()

        ends = [message for message in answers(network) if isinstance(message, End)]

    assert [end.status for end in ends] == [EndStatus.BUSY]


async def test_a_busy_provider_is_left_alone(autojump_clock) -> None:
    def refuse(frame: bytes) -> list[bytes]:
        message = from_frame(frame)
        return [to_frame(End(request=message.request, status=EndStatus.BUSY, absent=()))]

    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(500_000))
    async with open_network() as network:
        network.tamper[ALICE] = refuse
        report = await fetch_with(network, entry, {ALICE: alice, BOB: copy_of(alice, entry)}, mine)

    assert complete(mine, entry)
    assert report.providers[0].fault is ProviderFault.BUSY


async def test_a_held_block_that_turns_out_to_be_damaged_is_fetched_again(
    autojump_clock, tmp_path: Path
) -> None:
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(50_000))
    with EmbeddedStore(tmp_path, 64 << 20) as mine:
        mine.put_many(walk(alice, entry.cid))
        key = base64.b32encode(key_of(entry.cid)).decode().rstrip("=")
        (file,) = (tmp_path / "blocks").glob(f"*/{key}.data")
        file.write_bytes(b"rot")
        async with open_network() as network:
            report = await fetch_with(network, entry, {ALICE: alice}, mine)

        assert report.blocks == 1
        assert mine.roots() == [Root(cid=entry.cid, complete=True)]


async def test_blocks_that_are_deleted_under_a_fetch_are_fetched_again(autojump_clock) -> None:
    class Losing(MemoryBlockStore):
        """Loses a shared leaf once, after the fetch has found it here."""

        lost = False

        def pin_root(self, root: Cid) -> None:
            if not self.lost:
                self.lost = True
                self.delete([shared])
            super().pin_root(root)

    alice, mine = MemoryBlockStore(), Losing()
    entry = add_file(alice, pattern(50_000))
    shared = list(walk(alice, entry.cid))[-1].cid
    mine.put(shared, alice.get(shared))
    async with open_network() as network:
        report = await fetch_with(network, entry, {ALICE: alice}, mine)

    assert complete(mine, entry)
    assert report.blocks == 1


async def test_a_dag_of_too_many_blocks_is_refused(autojump_clock, monkeypatch) -> None:
    monkeypatch.setattr(survey, "DAG_BLOCKS_MAX", 20)
    alice = MemoryBlockStore()
    entry = add_file(alice, pattern(50_000))
    async with open_network() as network:
        with pytest.raises(MalformedContentError):
            await fetch_with(network, entry, {ALICE: alice}, MemoryBlockStore())


async def test_a_root_that_is_given_up_while_it_is_fetched_stays_given_up(autojump_clock) -> None:
    alice, mine = MemoryBlockStore(), MemoryBlockStore()
    entry = add_file(alice, pattern(100_000))
    async with open_network() as network:
        await network.add(ALICE, alice, TIGHT)
        me = await network.add(ME, mine, TIGHT)
        with pytest.raises(BlockStoreError, match="given up"):
            await me.fetch_dag(
                entry.cid, [ALICE], progress=lambda _: mine.unpin_root(entry.cid) and None
            )

    assert mine.roots() == []
    mine.collect_garbage()
    assert mine.stat().blocks == 0


class RefusingStore(MemoryBlockStore):
    """A store whose disk refuses to be read."""

    def get(self, cid: Cid) -> bytes:
        raise StorageError(f"reading {cid.hex()} failed")


async def test_a_provider_whose_disk_refuses_says_that_it_is_busy_and_serves_on(
    autojump_clock,
) -> None:
    alice = RefusingStore()
    entry = add_file(alice, pattern(1000))
    async with open_network() as network:
        await network.add(ALICE, alice)
        await ask(network, request(entry.cid))
        await trio.testing.wait_all_tasks_blocked()
        await network._send(ME, ALICE, to_frame(request(of_block(b"absent"))))
        await trio.testing.wait_all_tasks_blocked()

    busy, served = answers(network)
    assert isinstance(busy, End)
    assert busy.status is EndStatus.BUSY
    assert isinstance(served, End)
    assert served.status is EndStatus.SERVED
