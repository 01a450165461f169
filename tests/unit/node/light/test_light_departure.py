"""A light peer that is lent leaves by two words, of which relays say what became of them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from bftcluster.ids import Seq
from bftcluster.ledger.wire.loan_requests import Leave
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.node.ingress.gateway import Ordered
from bftcluster.node.light.light_departure import ASK_INTERVAL_S, LightDeparture
from bftcluster.node.light.status_file import STATUS_FILE, LightStatus
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.loan_file import LoanChoice
from bftcluster.node.process.threads import Workers
from tests.unit.ledger.world import World, key

LEAVES = LoanChoice(quota_bytes=1, is_light=True, leaves=True)
NOW = LoanChoice(quota_bytes=1, is_light=True, leaves=True, leaves_now=True)


class Relays:
    """Say what they are told to say; ``None`` is silence."""

    def __init__(self, *codes: OutcomeCode | None) -> None:
        self.codes = list(codes)
        self.heard: list[bool] = []
        """Of each word, whether it was the second one."""

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered | None]:
        await trio.lowlevel.checkpoint()
        [word] = map(parse_request, requests)
        assert isinstance(word, Leave)
        self.heard.append(word.is_final)
        code = self.codes.pop(0)
        return [None if code is None else Ordered(Seq(0), Outcome(code))]


class Leaver:
    def __init__(self, directory: Path, relays: Relays, *, goes: bool = False) -> None:
        self.directory = directory
        self.stop = trio.Event()
        self.departure = LightDeparture(
            signer=key("light"),
            cluster_id=World().genesis.cluster_id,
            directory=directory,
            orders=relays,
            goes=lambda: goes,
            clock=SystemClock(),
            stop=self.stop,
            workers=Workers(1),
        )

    async def go_on(self, choice: LoanChoice, times: int = 1) -> bool:
        """Return whether it has left."""
        for _ in range(times):
            await self.departure.go_on(choice)
        kept = LoanChoice.load(self.directory)
        assert self.stop.is_set() == (kept is not None and kept.has_left)
        return self.stop.is_set()


async def test_it_leaves_when_a_relay_has_had_the_second_word_ordered(tmp_path: Path) -> None:
    relays = Relays(None, OutcomeCode.COMMITTED, OutcomeCode.ALREADY, OutcomeCode.COMMITTED)
    leaver = Leaver(tmp_path, relays)

    assert not await leaver.go_on(LEAVES, 3)
    assert await leaver.go_on(LEAVES)
    assert relays.heard == [False, False, False, True]


async def test_a_first_word_that_a_relay_lost_is_said_to_the_other_one(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    taken = [OutcomeCode.COMMITTED, OutcomeCode.ALREADY]
    relays = Relays(*taken, OutcomeCode.NOT_YET_VALID, *taken, OutcomeCode.COMMITTED)
    leaver = Leaver(tmp_path, relays)

    assert not await leaver.go_on(LEAVES, 3)
    mock_clock.jump(ASK_INTERVAL_S)
    assert await leaver.go_on(LEAVES, 3)
    first, other = relays.heard[::2], relays.heard[1::2]  # Relays take turns.
    assert False in first
    assert False in other


async def test_while_others_do_not_hold_what_is_here_it_asks_now_and_then(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    relays = Relays(OutcomeCode.NOT_YET_VALID, OutcomeCode.COMMITTED)
    leaver = Leaver(tmp_path, relays, goes=True)

    assert not await leaver.go_on(LEAVES, 5)
    mock_clock.jump(ASK_INTERVAL_S)
    assert await leaver.go_on(LEAVES)
    assert relays.heard == [True, True]


@pytest.mark.parametrize("code", [OutcomeCode.COMMITTED, OutcomeCode.NOT_YET_VALID])
async def test_who_does_not_wait_ends_whatever_is_said_of_its_second_word(
    code: OutcomeCode, tmp_path: Path
) -> None:
    relays = Relays(OutcomeCode.COMMITTED, OutcomeCode.ALREADY, code)
    leaver = Leaver(tmp_path, relays)

    assert not await leaver.go_on(NOW, 2)
    assert await leaver.go_on(NOW)
    assert relays.heard == [False, False, True]


async def test_who_is_known_to_leave_says_the_second_word_alone(tmp_path: Path) -> None:
    relays = Relays(OutcomeCode.NOT_YET_VALID)

    assert await Leaver(tmp_path, relays, goes=True).go_on(NOW)
    assert relays.heard == [True]


@pytest.mark.parametrize(
    ("code", "has_left"), [(OutcomeCode.NOT_ADMITTED, True), (OutcomeCode.CHANGE_UNDER_WAY, False)]
)
async def test_who_is_no_member_any_more_has_left(
    code: OutcomeCode, has_left: bool, tmp_path: Path
) -> None:
    assert await Leaver(tmp_path, Relays(code)).go_on(LEAVES) == has_left


def test_what_its_owner_is_told_is_read_back_or_is_nothing(tmp_path: Path) -> None:
    status = LightStatus(relays=2, pins=3, used_bytes=4)
    assert LightStatus.load(tmp_path) is None

    status.save(tmp_path)

    assert LightStatus.load(tmp_path) == status
    status.save(tmp_path / "gone")  # What the disk refuses ends nothing.
    for torn in ("", "{}", "[]", '{"relays": "x"}'):
        (tmp_path / STATUS_FILE).write_text(torn)
        assert LightStatus.load(tmp_path) is None
