"""The count of pins: what it finds, and that it goes slowly through many."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
import trio
import trio.testing

from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.node.loops.census import (
    ARRIVING_MS,
    FRESH_S,
    PAGE_PINS,
    UNASKED_S,
    Census,
    PinTally,
)
from tests.unit.ledger.departures import holders, pin, report_all, world_of, written
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id

T = TypeVar("T")


class SlowThreads:
    """Does each thing in its turn, for a second if not said otherwise."""

    def __init__(self, takes_s: float = 1.0) -> None:
        self.runs = 0
        self._takes_s = takes_s

    async def run(self, work: Callable[[], T]) -> T:
        await trio.sleep(self._takes_s)
        self.runs += 1
        return work()


class VirtualClock:
    def now_ms(self) -> int:
        return int(trio.current_time() * 1000)

    def wall_ms(self) -> int:
        return self.now_ms()


def tally_of(
    world: World, *, absent: frozenset[PeerId] = frozenset(), later_ms: int = 0
) -> PinTally:
    now_ms = world.now_ms + later_ms
    tally = PinTally(peers=queries.peers(world.store), absent=absent, now_ms=now_ms)
    for record in queries.pins_behind(world.store, b"", 1000):
        tally.note(record)
    return tally


def test_pins_are_told_apart_by_their_reported_live_copies() -> None:
    world = world_of(4)
    pin(world, range(4), 3)
    report_all(world, [0])
    for count, number in enumerate((1, 2, 3)):
        for holder in holders(world, number)[:count]:
            signer = next(peer for peer in PEERS if peer_id(peer) == holder)
            assert world.do(world.report(signer, cid_of(number))).is_accepted

    lately, old = tally_of(world).counts(), tally_of(world, later_ms=ARRIVING_MS).counts()

    assert (lately.pins, lately.enough, lately.arriving) == (4, 1, 3)
    assert (old.enough, old.missing, old.endangered, old.short) == (1, 1, 1, 1)


def test_a_copy_at_an_absent_peer_is_missing() -> None:
    world = world_of(4)
    pin(world, [0], 2)
    report_all(world, [0])
    gone = holders(world, 0)[0]

    counts = tally_of(world, absent=frozenset({gone}), later_ms=ARRIVING_MS).counts()

    assert (counts.enough, counts.endangered) == (0, 1)


def test_what_everybody_keeps_needs_those_who_are_not_absent() -> None:
    world = World()
    world.join_all()
    world.pin(cid_of(1))
    for peer in PEERS[:3]:
        world.do(world.report(peer, cid_of(1)))

    counts = tally_of(world, absent=frozenset({peer_id(PEERS[3])}), later_ms=ARRIVING_MS).counts()
    assert counts.enough == 1
    assert tally_of(world, later_ms=ARRIVING_MS).counts().short == 1


def test_the_loss_of_a_holder_makes_those_pins_short_that_have_no_copy_to_spare() -> None:
    world = world_of(4)
    pin(world, [0], 2)
    pin(world, [1], 3, least=2)
    report_all(world, [0, 1])

    tally = tally_of(world)

    assert dict(tally.without_peer) == dict.fromkeys(holders(world, 0), 1)


def test_the_loss_of_a_domain_takes_all_copies_in_it() -> None:
    world = World(genesis_of(domains=("cellar", "cellar", "attic", "attic")))
    world.join_all()
    pin(world, [0], 4, least=3)
    report_all(world, [0])

    assert dict(tally_of(world).without_domain) == {"cellar": 1, "attic": 1}
    assert not tally_of(world).without_peer


@pytest.fixture
def crowded() -> World:
    world = world_of(4, replication_min=1, replication_max=1)
    pin(world, ["template"], 1)
    written(world, range(1, 2 * PAGE_PINS + 1), [PEERS[0]])
    return world


async def test_a_page_is_followed_by_a_rest_nine_times_as_long(
    crowded: World, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    threads = SlowThreads()
    census = Census(reader=crowded.store, clock=VirtualClock(), workers=threads)  # type: ignore[arg-type]
    begun_s = trio.current_time()
    nursery.start_soon(census.run)
    await trio.sleep(20.5)
    assert await census.recent() is None

    await trio.sleep(1.5)

    last = await census.recent()
    assert last is not None
    assert last.counts().pins == 2 * PAGE_PINS + 1
    assert (threads.runs, trio.current_time() - begun_s) == (4, 22.5)
    nursery.cancel_scope.cancel()


async def test_a_small_pinset_is_counted_no_more_often_than_every_ten_seconds(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    threads = SlowThreads()
    world = world_of(4)
    census = Census(reader=world.store, clock=VirtualClock(), workers=threads)  # type: ignore[arg-type]
    nursery.start_soon(census.run)

    for _ in range(10 * int(FRESH_S + 1)):
        last = await census.recent()
        await trio.sleep(1)

    assert 10 < threads.runs <= 22
    assert last == replace(tally_of(world), now_ms=last.now_ms)
    nursery.cancel_scope.cancel()


async def test_where_nobody_asks_a_count_is_made_now_and_then(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    threads = SlowThreads()
    census = Census(reader=world_of(4).store, clock=VirtualClock(), workers=threads)  # type: ignore[arg-type]
    nursery.start_soon(census.run)

    await trio.sleep(6 * (UNASKED_S + FRESH_S))

    assert 10 <= threads.runs <= 12
    nursery.cancel_scope.cancel()


async def test_a_question_has_a_new_count_begun_and_is_answered_by_it(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    world, threads = world_of(4), SlowThreads(0.1)
    census = Census(reader=world.store, clock=VirtualClock(), workers=threads)  # type: ignore[arg-type]
    nursery.start_soon(census.run)
    await trio.sleep(FRESH_S + 1)
    pin(world, [0], 1)

    last = await census.recent()

    assert last is not None
    assert last.counts().pins == 1
    nursery.cancel_scope.cancel()
