"""Who may connect: the admitted; and, for one that slept, those who came meanwhile."""

from collections.abc import Callable
from typing import TypeVar

import trio
import trio.testing

from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.node.loops.peer_directory import LOOK_AGAIN_S, Addresses, PeerDirectory

T = TypeVar("T")

ME, FOUNDER, SUCCESSOR, STRANGER = (PeerId(bytes((n,)) * 32) for n in range(4))
NAMED = {SUCCESSOR: ["/ip4/127.0.0.1/tcp/9105"]}


class InPlace:
    async def run(self, work: Callable[..., T], *args: object) -> T:
        return work(*args)


class World:
    def __init__(self) -> None:
        self.is_lost = False
        self.voters = [ReplicaId(ME), ReplicaId(FOUNDER)]
        self.told: list[Addresses] = []
        store = MemoryStateStore()
        for peer in (ME, FOUNDER):
            record = PeerRecord(peer=peer, name="p", addresses=(), is_replica=True)
            store.flush({(Space.PEER, peer): record.to_value()})
        self.directory = PeerDirectory(
            me=ME,
            reader=store,
            configured=NAMED,
            is_lost=lambda: self.is_lost,
            voters=lambda: self.voters,
            workers=InPlace(),  # type: ignore[arg-type]
        )


async def test_an_admitted_peer_that_hears_others_lets_in_none_but_the_admitted() -> None:
    assert set(World().directory.allowed()) == {ME, FOUNDER}


async def test_one_that_hears_nobody_it_knows_follows_the_peers_its_operator_named(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """It slept while the others were replaced, and its ledger cannot know that yet."""
    world = World()
    nursery.start_soon(world.directory.run, lambda peers, _: world.told.append(peers))
    await trio.sleep(3 * LOOK_AGAIN_S)
    assert world.told == []

    world.is_lost = True
    await trio.sleep(3 * LOOK_AGAIN_S)
    assert [set(allowed) for allowed in world.told] == [{ME, FOUNDER, SUCCESSOR}]
    world.is_lost = False
    await trio.sleep(3 * LOOK_AGAIN_S)

    assert set(world.told[-1]) == {ME, FOUNDER}
    nursery.cancel_scope.cancel()


async def test_voters_that_were_proved_are_let_in_before_the_ledger_knows_them() -> None:
    world = World()
    world.voters += [ReplicaId(SUCCESSOR), ReplicaId(STRANGER)]

    allowed = world.directory.allowed()

    assert allowed[SUCCESSOR] == NAMED[SUCCESSOR]
    assert allowed[STRANGER] == ()
