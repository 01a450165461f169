"""What every pin store does, whatever it is made of: a suite for any of them to inherit.

Nothing here asks what a daemon behind an RPC could not tell. Such a store is its own world, too.
"""

from typing import Protocol

import pytest
import trio

from bftcluster import cid as cids
from bftcluster.blocks.pin_store import PinStore, Root
from bftcluster.cid import Cid
from bftcluster.errors import ClusterError, NotReachedError
from bftcluster.ids import PeerId
from tests.unit.blocks.content import pattern

SIZE = 1_000_000
"""Several blocks, whatever the store makes of it."""


class PinWorld(Protocol):
    """A store, and what lies in and beside it."""

    store: PinStore

    async def add_here(self, data: bytes) -> Cid:
        """Bring a file into the store without pinning it."""
        ...

    async def add_directory_here(self, data: bytes) -> tuple[Cid, Cid]:
        """Likewise, a directory with one file; return both."""
        ...

    async def add_elsewhere(self, data: bytes) -> tuple[Cid, list[PeerId]]:
        """Let others have a file; return them with it."""
        ...

    def cut_off(self) -> None:
        """Let nobody be reached any more."""
        ...

    async def read(self, cid: Cid) -> bytes:
        """Return a file out of the store.

        Raises:
            ClusterError: Not all of it is here.
        """
        ...


class PinStoreContract:
    """Inherited with a fixture ``world``, a new one for each test."""

    async def test_what_is_here_is_kept_once_it_is_pinned(self, world: PinWorld) -> None:
        cid = await world.add_here(pattern(SIZE))
        assert await world.store.present([cid]) == [False]

        await world.store.pin(cid, [])

        assert await world.store.present([cid]) == [True]
        assert await world.store.roots() == [Root(cid=cid, complete=True)]

    async def test_what_others_have_is_brought_here_and_stays_without_them(
        self, world: PinWorld
    ) -> None:
        data = pattern(SIZE)
        cid, providers = await world.add_elsewhere(data)

        brought_bytes = await world.store.pin(cid, providers)

        world.cut_off()
        assert brought_bytes == 0 or brought_bytes >= SIZE
        assert await world.store.present([cid]) == [True]
        assert await world.read(cid) == data

    async def test_what_nobody_has_fails_for_now(self, world: PinWorld) -> None:
        cid = cids.of_block(b"nobody has this")

        with pytest.raises(NotReachedError):
            await world.store.pin(cid, [])

        assert await world.store.present([cid]) == [False]
        assert Root(cid=cid, complete=True) not in await world.store.roots()

    async def test_a_pin_that_failed_succeeds_when_somebody_has_it(self, world: PinWorld) -> None:
        data = pattern(SIZE)
        cid, providers = await world.add_elsewhere(data)
        with pytest.raises(NotReachedError):
            await world.store.pin(cid, [])

        await world.store.pin(cid, providers)

        assert await world.read(cid) == data

    async def test_a_failed_pin_can_be_given_up(self, world: PinWorld) -> None:
        cid = cids.of_block(b"nobody has this")
        with pytest.raises(NotReachedError):
            await world.store.pin(cid, [])

        await world.store.unpin(cid)

        assert await world.store.roots() == []

    async def test_a_cancelled_pin_can_be_begun_again(self, world: PinWorld) -> None:
        data = pattern(SIZE)
        cid, providers = await world.add_elsewhere(data)
        with trio.move_on_after(0):
            await world.store.pin(cid, providers)

        await world.store.pin(cid, providers)

        assert await world.store.present([cid]) == [True]
        assert await world.read(cid) == data

    async def test_two_who_pin_the_same_both_succeed(self, world: PinWorld) -> None:
        cid, providers = await world.add_elsewhere(pattern(SIZE))

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(world.store.pin, cid, providers)

        assert await world.store.roots() == [Root(cid=cid, complete=True)]

    async def test_pinning_again_changes_nothing(self, world: PinWorld) -> None:
        cid = await world.add_here(pattern(SIZE))

        for _ in range(2):
            await world.store.pin(cid, [])

        assert await world.store.roots() == [Root(cid=cid, complete=True)]
        await world.store.unpin(cid)
        assert await world.store.present([cid]) == [False]

    async def test_what_is_unpinned_is_gone_once_garbage_was_collected(
        self, world: PinWorld
    ) -> None:
        cid = await world.add_here(pattern(SIZE))
        await world.store.pin(cid, [])

        await world.store.unpin(cid)
        await world.store.collect_garbage()

        assert await world.store.present([cid]) == [False]
        assert await world.store.roots() == []
        with pytest.raises(ClusterError):
            await world.read(cid)

    async def test_unpinning_what_is_not_pinned_is_no_error(self, world: PinWorld) -> None:
        here = await world.add_here(pattern(SIZE))

        await world.store.unpin(here)
        await world.store.unpin(cids.of_block(b"never heard of"))

        assert await world.store.roots() == []

    async def test_garbage_is_what_no_root_keeps(self, world: PinWorld) -> None:
        data = pattern(SIZE, 1)
        kept, garbage = await world.add_here(data), await world.add_here(pattern(SIZE, 2))
        await world.store.pin(kept, [])

        await world.store.collect_garbage()

        assert await world.read(kept) == data
        with pytest.raises(ClusterError):
            await world.read(garbage)

    async def test_a_part_of_what_is_kept_is_no_root(self, world: PinWorld) -> None:
        directory, file = await world.add_directory_here(pattern(SIZE))

        await world.store.pin(directory, [])

        assert await world.store.present([directory, file]) == [True, False]
        assert await world.store.roots() == [Root(cid=directory, complete=True)]

    @pytest.mark.parametrize("goes", ["directory", "file"])
    async def test_of_a_whole_and_its_part_each_stays_without_the_other(
        self, world: PinWorld, goes: str
    ) -> None:
        data = pattern(SIZE)
        directory, file = await world.add_directory_here(data)
        await world.store.pin(directory, [])
        await world.store.pin(file, [])

        await world.store.unpin(directory if goes == "directory" else file)
        await world.store.collect_garbage()

        stays = goes == "file"
        assert await world.store.present([directory, file]) == [stays, not stays]
        assert await world.read(file) == data

    async def test_each_cid_asked_about_has_its_answer(self, world: PinWorld) -> None:
        pinned, other = await world.add_here(b"pinned"), await world.add_here(b"other")
        await world.store.pin(pinned, [])

        assert await world.store.present([]) == []
        assert await world.store.present([other, pinned, other, pinned]) == [
            False, True, False, True,
        ]  # fmt: skip

    async def test_roots_come_in_order_a_page_at_a_time(self, world: PinWorld) -> None:
        pinned = sorted([await world.add_here(b"file %d" % number) for number in range(5)])
        for cid in pinned:
            await world.store.pin(cid, [])

        pages = []
        after = b""
        while len(pages) < 5 and (page := await world.store.roots(after, 2)):
            pages.append([root.cid for root in page])
            after = page[-1].cid

        assert pages == [pinned[:2], pinned[2:4], pinned[4:]]
        assert [root.cid for root in await world.store.roots()] == pinned

    async def test_at_one_visit_only_what_is_all_here_is_kept(self, world: PinWorld) -> None:
        here = [await world.add_here(b"small"), await world.add_here(pattern(SIZE))]
        elsewhere, _ = await world.add_elsewhere(pattern(SIZE, 1))

        kept = set(await world.store.pin_present([*here, elsewhere]))

        assert kept <= set(here)
        assert await world.store.present(here) == [cid in kept for cid in here]
        for cid in here:
            await world.store.pin(cid, [])
        assert await world.store.present([*here, elsewhere]) == [True, True, False]

    async def test_how_full_it_is_rises_and_falls_with_what_it_keeps(self, world: PinWorld) -> None:
        empty = await world.store.stat()
        cid, providers = await world.add_elsewhere(pattern(SIZE))

        await world.store.pin(cid, providers)
        full = await world.store.stat()
        await world.store.unpin(cid)
        await world.store.collect_garbage()
        emptied = await world.store.stat()

        assert full.used_bytes >= empty.used_bytes + SIZE
        assert emptied.used_bytes <= full.used_bytes - SIZE
        assert empty.quota_bytes == full.quota_bytes > full.used_bytes
        assert full.free_bytes == full.quota_bytes - full.used_bytes
