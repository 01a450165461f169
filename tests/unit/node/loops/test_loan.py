"""A lent peer leaves when others hold what it holds, and keeps within what is lent."""

from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster.errors import ConfigError, StoreFullError
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.repairs import ABSENT_ROW, absence_key
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.node.loops.departure import is_held_by_others
from bftcluster.node.loops.loan import Loan, bytes_beside
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.loan_file import LOAN_FILE, LoanChoice
from bftcluster.node.process.threads import Workers
from bftcluster.reputation import Standing
from tests.unit.ledger.departures import duties, holders, pin, settle, world_of
from tests.unit.ledger.invitees import departure
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id

LEAVER = PEERS[4]
PINS = 12


@pytest.fixture
def world() -> World:
    world = world_of(7)
    pin(world, range(PINS), 2)
    world.do(departure(world, LEAVER))
    settle(world)
    assert duties(world, LEAVER)
    return world


def all_report(world: World, *, but: int | None = None) -> None:
    """Have each holder say of each pin that it has it."""
    for peer in PEERS[:7]:
        held = [n for n in range(PINS) if peer_id(peer) in holders(world, n) and n != but]
        if held:
            world.do(world.report(peer, *map(cid_of, held), status=HolderStatus.PINNED))


def test_it_stays_until_others_have_said_that_they_hold_each_pin(world: World) -> None:
    own = [n for n in range(PINS) if peer_id(LEAVER) in holders(world, n)]
    all_report(world, but=own[0])
    assert not is_held_by_others(world.store, peer_id(LEAVER))

    all_report(world)

    assert is_held_by_others(world.store, peer_id(LEAVER))


def co_holder(world: World) -> PeerId:
    """Return another holder of something that the leaver holds."""
    own = next(n for n in range(PINS) if peer_id(LEAVER) in holders(world, n))
    return next(each for each in holders(world, own) if each != peer_id(LEAVER))


def test_what_absent_peers_hold_does_not_count(world: World) -> None:
    all_report(world)
    others = frozenset(each for each in map(peer_id, PEERS[:7]) if each != peer_id(LEAVER))

    for absent in (frozenset({co_holder(world)}), others):
        world.store.flush({(Space.META, absence_key(each)): ABSENT_ROW for each in absent})
        assert not is_held_by_others(world.store, peer_id(LEAVER))


def test_what_evicted_peers_hold_does_not_count(world: World) -> None:
    all_report(world)
    holder = co_holder(world)
    before = queries.reputation_of(world.store, holder)
    assert before is not None
    last = replace(before.last_change, standing=Standing.EVICTED)
    value = replace(before, last_change=last).to_value()
    world.store.flush({(Space.REPUTATION, holder): value})

    assert not is_held_by_others(world.store, peer_id(LEAVER))


def test_what_it_holds_itself_does_not_count(world: World) -> None:
    world.do(world.report(LEAVER, *map(cid_of, range(PINS))))

    assert not is_held_by_others(world.store, peer_id(LEAVER))


def test_a_peer_that_holds_nothing_waits_for_nobody() -> None:
    assert is_held_by_others(world_of(5).store, peer_id(LEAVER))


def test_blocks_have_their_own_quota_and_the_rest_is_counted(tmp_path: Path) -> None:
    for name in ("blocks/blocks", "wal"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "blocks/blocks/one").write_bytes(bytes(1 << 20))
    before = bytes_beside(tmp_path, tmp_path / "blocks")
    (tmp_path / "wal/log").write_bytes(bytes(1 << 16))

    assert bytes_beside(tmp_path, tmp_path / "blocks") - before == 1 << 16
    assert before < 1 << 16


async def _stays(_: LoanChoice) -> None:
    return


def test_a_smaller_quota_holds_from_the_next_start(tmp_path: Path) -> None:
    (tmp_path / LOAN_FILE).write_bytes(LoanChoice(quota_bytes=4 << 20).to_bytes())
    loan = Loan(
        directory=tmp_path,
        blocks=tmp_path / "blocks",
        blocks_quota_bytes=3 << 20,
        leave=_stays,
        clock=SystemClock(),
        workers=Workers(1),
    )
    smaller = LoanChoice(quota_bytes=2 << 20)
    (tmp_path / LOAN_FILE).write_bytes(smaller.to_bytes())

    assert loan._read_again(smaller) == smaller
    loan._check_quota()
    (tmp_path / "log").write_bytes(bytes(2 << 20))
    with pytest.raises(StoreFullError, match="1,048,576 are left"):
        loan._check_quota()


def test_a_choice_survives_its_file(tmp_path: Path) -> None:
    assert LoanChoice.load(tmp_path) is None
    choice = LoanChoice(quota_bytes=5, is_paused=True)
    (tmp_path / LOAN_FILE).write_bytes(choice.to_bytes())

    assert LoanChoice.load(tmp_path) == choice


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"quota_bytes": "1"}', '{"quota_bytes": 1, "x": 2}']
)
def test_a_damaged_choice_is_said_to_be_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / LOAN_FILE).write_text(text)

    with pytest.raises(ConfigError, match="damaged"):
        LoanChoice.load(tmp_path)
