"""Whoever asks, and whatever it asks for: others get their answers, at the rate that was set."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio.testing
from structlog.testing import capture_logs

from bftcluster import codec
from bftcluster.ids import Digest, Epoch, PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.limits import STATE_FETCH_SIZE_MAX_BYTES, STATE_WANTS_MAX
from bftcluster.node.loops.state_server import ANSWER_COST_BYTES, StateServer
from bftcluster.node.process.threads import Workers
from bftcluster.sync.frames import (
    EPOCHS,
    FETCH_EPOCHS,
    FETCH_STATE,
    FetchEpochLinks,
    FetchState,
    StateParts,
)
from bftcluster.sync.server import PEERS_WAITING_MAX
from tests.unit.node.loops.transfer_peers import Disk

RATE_BYTES_PER_S = 1 << 20
ROWS = {(Space.PIN, b"%d" % number): bytes(8_000) for number in range(400)}
GREEDY, HONEST = PeerId(b"g" * 32), PeerId(b"h" * 32)


class World:
    """A server, and what it sent to whom."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.sent: list[tuple[PeerId, bytes]] = []
        self.changed = trio.Event()
        self.kept: list[bool] = []
        self.server = StateServer(
            reader=disk.store.reader,
            send=self.send,
            stable=lambda: None,
            keep_earlier=self.kept.append,
            rate_max_bytes_per_s=RATE_BYTES_PER_S,
            workers=Workers(1),
        )

    def send(self, peer: PeerId, frame: bytes) -> None:
        self.sent.append((peer, frame))
        self.changed.set()
        if peer == GREEDY:
            self.server.on_frame(GREEDY, self.everything())

    def everything(self) -> bytes:
        rows = tuple(ROWS)[:STATE_WANTS_MAX]
        return FetchState(number=1, root=self.disk.root, nodes=("",), rows=rows).frame()

    async def answered(self, peer: PeerId) -> bytes:
        """Return the first answer that ``peer`` got."""
        while True:
            for to, frame in self.sent:
                if to == peer:
                    return frame
            self.changed = trio.Event()
            await self.changed.wait()


@pytest.fixture
async def world(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[World]:
    disk = Disk(tmp_path / "ledger.db")
    disk.checkpoint(ROWS)
    world = World(disk)
    nursery.start_soon(world.server.run)
    yield world
    nursery.cancel_scope.cancel()
    disk.store.close()


async def test_who_asks_for_everything_for_ever_gets_the_rate_and_holds_up_nobody(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate, mock_clock.autojump_threshold = 1, 0.3
    begun_s = trio.current_time()
    world.server.on_frame(GREEDY, world.everything())
    while len(world.sent) < 4:
        world.changed = trio.Event()
        await world.changed.wait()
    taken_s = trio.current_time() - begun_s
    world.server.on_frame(HONEST, FetchEpochLinks(Epoch(0)).frame())
    before = len(world.sent)
    frame = await world.answered(HONEST)

    paid = sum(len(frame) + ANSWER_COST_BYTES for _, frame in world.sent[:3])
    assert taken_s >= paid / RATE_BYTES_PER_S
    assert codec.decode(frame) == [EPOCHS, []]
    assert len(world.sent) - before <= 2


HOSTILE = [
    codec.encode([FETCH_STATE]),
    codec.encode([FETCH_STATE, 1, bytes(32), ["x"], []]),
    codec.encode([FETCH_STATE, 1, bytes(32), ["0" * 65], []]),
    codec.encode([FETCH_STATE, 1, bytes(31), [], []]),
    codec.encode([FETCH_STATE, -1, bytes(32), [], []]),
    codec.encode([FETCH_STATE, 1, bytes(32), [], [[64, b""]]]),
    codec.encode([FETCH_STATE, 1, bytes(32), [], [[3, bytes(256)]]]),
    codec.encode([FETCH_STATE, 1, bytes(32), [""] * (STATE_WANTS_MAX + 1), []]),
    codec.encode([FETCH_STATE, 1, bytes(32), [], []]) + b"\x00",
    b"\x85" + bytes((FETCH_STATE,)) + bytes(STATE_FETCH_SIZE_MAX_BYTES),
    codec.encode([FETCH_EPOCHS, 1 << 63]),
    codec.encode([FETCH_EPOCHS, b"0"]),
    b"\x82" + bytes((FETCH_EPOCHS,)),
    b"\x82" + bytes((FETCH_EPOCHS,)) + bytes(1 << 20),
]


async def test_hostile_bytes_are_answered_with_silence(world: World) -> None:
    for frame in HOSTILE:
        world.server.on_frame(GREEDY, frame)
    world.server.on_frame(HONEST, world.everything())

    parts = StateParts.from_frame(await world.answered(HONEST))

    assert parts.root == world.disk.root
    assert [to for to, _ in world.sent] == [HONEST]


async def test_what_nobody_has_is_said_not_to_be_there(world: World) -> None:
    unknown = FetchState(number=7, root=Digest(bytes(32)), nodes=("", "f" * 64), rows=())
    world.server.on_frame(HONEST, unknown.frame())

    parts = StateParts.from_frame(await world.answered(HONEST))

    assert (parts.root, parts.nodes, parts.rows) == (world.disk.root, (), ())


async def test_the_greatest_request_that_is_right_is_not_refused(world: World) -> None:
    keys = tuple((Space.EVIDENCE, bytes((number,)) * 255) for number in range(STATE_WANTS_MAX))
    paths = tuple("f" * 64 for _ in range(STATE_WANTS_MAX))
    fetch = FetchState(number=(1 << 63) - 1, root=world.disk.root, nodes=paths, rows=keys)
    world.server.on_frame(HONEST, fetch.frame())

    assert StateParts.from_frame(await world.answered(HONEST)).root == world.disk.root


async def test_so_many_peers_wait_and_no_more(world: World) -> None:
    everything = world.everything()
    peers = [PeerId(bytes((number,)) * 32) for number in range(PEERS_WAITING_MAX + 9)]
    for peer in peers * 2:
        world.server.on_frame(peer, everything)

    assert len(world.server._questions) == PEERS_WAITING_MAX


async def test_earlier_checkpoints_are_kept_while_somebody_fetches(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate, mock_clock.autojump_threshold = 1, 0.3
    world.server.on_frame(HONEST, world.everything())
    await world.answered(HONEST)
    assert world.kept == [True]

    await trio.sleep(60)

    assert world.kept == [True, False]


async def test_malformed_requests_without_end_are_one_line_of_the_log(world: World) -> None:
    with capture_logs() as logs:
        for _ in range(100):
            world.server.on_frame(GREEDY, b"no request")

    assert len(logs) == 1
