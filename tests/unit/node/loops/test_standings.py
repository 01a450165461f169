"""The log of a node says whose standing changed, and who is absent or back."""

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import trio
import trio.testing
from structlog.testing import capture_logs

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.ledger.rules.effects import PeerChanged, PeerRemoved
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.repairs import ABSENT_ROW, absence_key
from bftcluster.node.loops.standings import StandingLog
from bftcluster.reputation import Cause, Standing
from bftcluster.signing.keys import SigningKey, peer_id_text
from tests.unit.ledger.world import PEERS, World, peer_id
from tests.unit.node.loops.test_peer_directory import InPlace

ME, OTHER = PEERS[:2]


def suspend(world: World, peer: SigningKey) -> None:
    before = queries.reputation_of(world.store, peer_id(peer))
    assert before is not None
    last = replace(before.last_change, standing=Standing.SUSPENDED, cause=Cause.ABSENT)
    value = replace(before, last_change=last).to_value()
    world.store.flush({(Space.REPUTATION, peer_id(peer)): value})


def set_absent(world: World, *peers: SigningKey) -> None:
    rows: Delta = {
        (Space.META, absence_key(peer_id(each))): ABSENT_ROW if each in peers else None
        for each in PEERS
    }
    world.store.flush(rows)


class CountingReader:
    """A ledger's rows, and how many reputations were read."""

    def __init__(self, store: MemoryStateStore) -> None:
        self._store = store
        self.reputations = 0

    def get(self, space: Space, key: bytes) -> bytes | None:
        self.reputations += space is Space.REPUTATION
        return self._store.get(space, key)

    def iterate(self, space: Space, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        rows = self._store.iterate(space, after, limit)
        self.reputations += len(rows) if space is Space.REPUTATION else 0
        return rows


async def lines_after(world: World, *changes: Any) -> list[MutableMapping[str, Any]]:
    """Return what a node logs while these change something, one after the other."""
    log = StandingLog(me=peer_id(ME), reader=world.store, workers=InPlace())  # type: ignore[arg-type]
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            await trio.sleep(5)
            for change in changes:
                change()
                log.note([PeerChanged(peer_id(ME)), PeerChanged(peer_id(OTHER))])
                await trio.sleep(5)
            nursery.cancel_scope.cancel()
    return lines


async def test_its_own_suspension_is_a_warning_and_that_of_another_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()

    lines = await lines_after(world, lambda: suspend(world, ME), lambda: suspend(world, OTHER))

    levels = [(line["log_level"], line.get("peer")) for line in lines]
    assert levels == [("warning", None), ("info", peer_id_text(peer_id(OTHER)))]
    assert all((line["now"], line["cause"]) == ("suspended", "absent") for line in lines)


async def test_absences_and_returns_are_told_once(autojump_clock: trio.testing.MockClock) -> None:
    world = World()

    lines = await lines_after(
        world,
        lambda: set_absent(world, OTHER),
        lambda: None,
        lambda: set_absent(world),
        lambda: set_absent(world, ME),
    )

    assert [line["event"] for line in lines] == [
        "a peer was not heard for a day",
        "a peer was heard again",
        "this peer was not heard for a day",
    ]


async def test_only_who_changed_is_read_again(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    reader = CountingReader(world.store)
    log = StandingLog(me=peer_id(ME), reader=reader, workers=InPlace())  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await trio.sleep(5)
        everybody = reader.reputations

        for _ in range(3):
            log.note([PeerChanged(peer_id(OTHER)), PeerRemoved(PeerId(bytes(32)))])
            await trio.sleep(5)
        nursery.cancel_scope.cancel()

    assert reader.reputations == everybody + 3 * 2


async def test_who_is_removed_and_let_in_again_begins_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    kept = world.store.get(Space.REPUTATION, peer_id(OTHER))

    def remove() -> None:
        world.store.flush({(Space.REPUTATION, peer_id(OTHER)): None})

    def come_back() -> None:
        world.store.flush({(Space.REPUTATION, peer_id(OTHER)): kept})
        suspend(world, OTHER)

    assert await lines_after(world, remove, come_back) == []
