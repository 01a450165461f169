"""Whatever one source of a transfer sends, the state comes from the others, and it is named."""

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from bftcluster import codec
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_nodes import EMPTY_PAGE
from bftcluster.limits import FRAME_SIZE_MAX_BYTES, STATE_WANTS_MAX
from bftcluster.sync.frames import STATE, StateParts
from tests.unit.node.loops.transfer_peers import World
from tests.unit.sync.transfer_world import pins

PINS = 2_000
FLOOD = 200


@pytest.fixture
async def world(tmp_path: Path, mock_clock: MockClock) -> AsyncIterator[World]:
    world = World(tmp_path, mock_clock)
    yield world
    world.close()


def changed(frame: bytes, change: Callable[[StateParts], list[object]]) -> bytes:
    return codec.encode(change(StateParts.from_frame(frame)))


def truncated(_: PeerId, frame: bytes) -> Iterable[bytes]:
    return [frame[: len(frame) // 2]]


def oversized(_: PeerId, frame: bytes) -> Iterable[bytes]:
    return [bytes(FRAME_SIZE_MAX_BYTES + 1)]


def swollen(_: PeerId, frame: bytes) -> Iterable[bytes]:
    """As large as a frame may be, and all of it made up."""
    large = bytes(FRAME_SIZE_MAX_BYTES - 4096)
    return [changed(frame, lambda parts: [STATE, parts.number, parts.root, [large], []])]


def too_many(_: PeerId, frame: bytes) -> Iterable[bytes]:
    many = [EMPTY_PAGE] * (STATE_WANTS_MAX + 1)
    return [changed(frame, lambda parts: [STATE, parts.number, parts.root, many, []])]


def empty(_: PeerId, frame: bytes) -> Iterable[bytes]:
    return [changed(frame, lambda parts: [STATE, parts.number, parts.root, [], []])]


def wrong(_: PeerId, frame: bytes) -> Iterable[bytes]:
    def flip(blob: bytes) -> bytes:
        return blob[:-1] + bytes((blob[-1] ^ 1,))

    return [
        changed(
            frame,
            lambda parts: [
                *(STATE, parts.number, parts.root),
                *([flip(blob) for blob in blobs] for blobs in (parts.nodes, parts.rows)),
            ],
        )
    ]


def of_no_state(_: PeerId, frame: bytes) -> Iterable[bytes]:
    return [codec.encode([STATE, "1", b"root", None, {}])]


NAMED = {
    truncated: "malformed",
    oversized: "malformed",
    too_many: "malformed",
    of_no_state: "malformed",
    swollen: "wrong-state",
    empty: "wrong-state",
    wrong: "wrong-state",
}


@pytest.mark.parametrize("lie", NAMED)
async def test_a_wrong_answer_is_judged_and_the_state_comes_from_others(
    world: World, mock_clock: MockClock, lie: Callable[[PeerId, bytes], Iterable[bytes]]
) -> None:
    peers = [world.add(number, pins(PINS)) for number in (1, 2, 3)]
    liar, honest = peers[0], world.disks[peers[1]]
    world.liars[liar] = lie

    with capture_logs() as logs:
        await world.fetch(honest)

    assert world.disk.state() == honest.state()
    verdicts = {(log["peer"], log["verdict"]) for log in logs if log["event"] == "suspicion"}
    assert verdicts == {(liar.hex()[:8], NAMED[lie])}
    assert world.frames[liar] == 1


def nothing(_: PeerId, frame: bytes) -> Iterable[bytes]:
    return []


def endless(_: PeerId, frame: bytes) -> Iterable[bytes]:
    """The right answer, and then no end of it."""
    return [frame] * FLOOD


def elsewhere(_: PeerId, frame: bytes) -> Iterable[bytes]:
    """It says that it has another checkpoint, whatever it is asked for."""
    return [changed(frame, lambda parts: [STATE, parts.number, bytes(32), [], []])]


class Replay:
    """Sends its first answer for ever."""

    def __init__(self) -> None:
        self.first: bytes | None = None

    def __call__(self, _: PeerId, frame: bytes) -> Iterable[bytes]:
        self.first = self.first or frame
        return [self.first]


class Slow:
    """Sends one part of what it is asked for, almost too late."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, peer: PeerId, frame: bytes) -> Iterable[bytes]:
        def one(parts: StateParts) -> list[object]:
            nodes, rows = (list(blobs[:1]) for blobs in (parts.nodes, parts.rows))
            return [STATE, parts.number, parts.root, nodes, [] if nodes else rows]

        assert self.world.nursery is not None
        self.world.nursery.start_soon(self.world.later, peer, changed(frame, one), 4.0)
        return []


@pytest.mark.parametrize("kind", ["nothing", "endless", "elsewhere", "replay", "slow"])
async def test_who_cannot_be_accused_does_not_hold_up_either(
    world: World, mock_clock: MockClock, kind: str
) -> None:
    liars = {"nothing": nothing, "endless": endless, "elsewhere": elsewhere, "replay": Replay()}
    peers = [world.add(number, pins(PINS)) for number in (1, 2, 3)]
    honest = world.disks[peers[1]]
    world.liars[peers[0]] = liars.get(kind, Slow(world))
    begun_s = trio.current_time()

    with capture_logs() as logs:
        await world.fetch(honest)

    assert world.disk.state() == honest.state()
    assert [log for log in logs if log["event"] == "suspicion"] == []
    assert trio.current_time() - begun_s < 60


async def test_parts_of_another_state_under_the_wanted_root_are_of_no_use(
    world: World, mock_clock: MockClock
) -> None:
    liar = world.add(1, pins(PINS, b"forged"))
    peers = [world.add(number, pins(PINS)) for number in (2, 3)]
    honest, forged = world.disks[peers[0]], world.disks[liar]
    plain = world.ask

    def ask(peer: PeerId, frame: bytes) -> None:
        """Let the liar give what it has, as if it had been asked for that."""
        plain(peer, frame if peer != liar else frame.replace(honest.root, forged.root))

    world.transfer._send = ask
    world.liars[liar] = lambda _, frame: [frame.replace(forged.root, honest.root)]

    with capture_logs() as logs:
        await world.fetch(honest)

    assert world.disk.state() == honest.state()
    verdicts = {(log["peer"], log["verdict"]) for log in logs if log["event"] == "suspicion"}
    assert verdicts == {(liar.hex()[:8], "wrong-state")}


async def test_a_target_that_only_a_liar_gives_is_left_for_a_newer_one(
    world: World, mock_clock: MockClock
) -> None:
    """It sends a row or a node at a time; the others have moved on, and nothing was kept."""
    liar, other = world.add(1, pins(PINS)), world.add(2, pins(PINS))
    old, new = world.disks[liar], world.disks[other]
    world.liars[liar] = Slow(world)
    wanted = world.wanted(old)
    new.checkpoint({(Space.PIN, b"cid 1"): b"changed"})
    new.checkpoint({(Space.PIN, b"cid 2"): b"changed"})

    await world.fetch_wanted(wanted, world.wanted(new), timeout_s=120)

    assert world.disk.reopen() == new.store.position()
    assert world.disk.state() == new.state()


async def test_who_was_not_asked_is_not_even_read(world: World, mock_clock: MockClock) -> None:
    peers = [world.add(number, pins(300)) for number in (1, 2)]
    stranger = PeerId(b"x" * 32)
    frame = StateParts(number=1, root=world.disks[peers[0]].root, nodes=(b"x",), rows=())

    with capture_logs() as logs:
        for peer in (stranger, *peers):
            world.transfer.on_frame(peer, frame.frame())
            world.transfer.on_frame(peer, b"\x80")
        await world.fetch(world.disks[peers[0]])

    assert [log for log in logs if log["event"] == "suspicion"] == []
    assert world.disk.state() == world.disks[peers[0]].state()
