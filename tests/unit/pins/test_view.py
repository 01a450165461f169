"""What people are told, derived from ledger, store and work."""

import pytest

from bftcluster.ids import PeerId
from bftcluster.pins.events import Desired
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.view import PinInfo, Situation, elsewhere, here
from tests.unit.pins.world import ME, WALL_MS, World, cid

OTHER = PeerId(b"o" * 32)


@pytest.mark.parametrize(
    ("situation", "word"),
    [
        (Situation(is_pinned=False), "unpinned"),
        (Situation(is_pinned=False, is_present=True), "unpinned"),
        (Situation(is_pinned=True), "remote"),
        (Situation(is_pinned=True, is_present=True), "remote"),
        (Situation(is_pinned=True, is_desired=True, is_present=True), "pinned"),
        (Situation(is_pinned=True, is_desired=True), "pin_queued"),
        (Situation(is_pinned=True, is_desired=True, is_reported=True), "unexpectedly_unpinned"),
    ],
)
def test_what_is_settled_follows_from_ledger_and_store(situation: Situation, word: str) -> None:
    info = here(cid(1), ME, situation, None, settings=TrackerSettings(), wall_ms=WALL_MS)

    assert info.status.word == word
    assert (info.error, info.attempt_count, info.priority_pin) == ("", 0, False)


def test_only_a_pin_is_allocated() -> None:
    with pytest.raises(AssertionError):
        Situation(is_pinned=False, is_desired=True)


def test_work_in_memory_is_the_newest_truth() -> None:
    world = World().start()
    world.step(Desired(cid=cid(1), since_ms=WALL_MS))
    world.now_ms = 500
    world.failed(cid(1), "no provider")

    info = here(
        cid(1),
        ME,
        Situation(is_pinned=True, is_desired=True, since_ms=WALL_MS),
        world.tracker.item(cid(1)),
        settings=TrackerSettings(),
        wall_ms=world.wall_ms,
    )

    assert info == PinInfo(
        cid=cid(1),
        peer=ME,
        status=TrackerStatus.PIN_ERROR,
        timestamp_ms=WALL_MS + 500,
        error="no provider",
        attempt_count=1,
        priority_pin=True,
    )


@pytest.mark.parametrize(
    ("is_desired", "reported", "word"),
    [
        (False, None, "remote"),
        (False, TrackerStatus.PINNED, "remote"),
        (True, None, "pinning"),
        (True, TrackerStatus.PINNED, "pinned"),
        (True, TrackerStatus.PIN_ERROR, "pin_error"),
        (True, TrackerStatus.UNPINNED, "unexpectedly_unpinned"),
    ],
)
def test_another_peer_is_what_it_last_reported(
    is_desired: bool, reported: TrackerStatus | None, word: str
) -> None:
    info = elsewhere(cid(1), OTHER, is_desired=is_desired, reported=reported, timestamp_ms=7)

    assert (info.peer, info.status.word, info.timestamp_ms) == (OTHER, word, 7)
