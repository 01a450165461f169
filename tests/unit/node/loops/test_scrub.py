"""The scrub: how fast it reads, where it goes on, and what the disk may refuse it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from bftcluster.blocks.formats.block import Block, raw_cid
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.node.loops.scrub import Scrubber
from bftcluster.node.process.threads import Workers
from tests.unit.blocks.content import pattern
from tests.unit.node.loops.test_block_care import QUOTA, rot


class SlowClock:
    """Each look at it takes a while."""

    def __init__(self, step_ms: int) -> None:
        self._step_ms = step_ms
        self._now_ms = 0

    def now_ms(self) -> int:
        self._now_ms += self._step_ms
        return self._now_ms

    def wall_ms(self) -> int:
        return self._now_ms


class EnoughError(Exception):
    """The test has seen enough."""


async def rests(
    store: EmbeddedStore, path: Path, count: int, *, step_ms: int = 0, rate: int = 4_000_000
) -> list[float]:
    """Scrub until so many rests were taken; return how long each was, in seconds."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        await trio.lowlevel.checkpoint()
        taken.append(seconds)
        if len(taken) == count:
            raise EnoughError

    scrubber = Scrubber(
        blocks=store,
        directory=path,
        rate_bytes_per_s=rate,
        clock=SlowClock(step_ms),
        workers=Workers(1),
        sleep=sleep,
    )
    with pytest.raises(EnoughError):
        await scrubber.run()
    return taken


@pytest.fixture
def large(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "store", QUOTA) as store:
        store.put_many([Block.make(pattern(1 << 19, seed)) for seed in range(8)])
        yield store


async def test_a_scrub_reads_no_faster_than_it_may(large: EmbeddedStore, tmp_path: Path) -> None:
    taken = await rests(large, tmp_path, 4, rate=1 << 20)

    assert all(1.0 <= seconds < 1.1 for seconds in taken)


async def test_of_small_blocks_few_are_read_in_a_step(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store", QUOTA) as store:
        store.put_many([Block.make(pattern(10, seed)) for seed in range(200)])

        taken = await rests(store, tmp_path, 3, rate=1 << 20)

    assert all(1.0 <= seconds < 1.1 for seconds in taken)


async def test_a_scrub_rests_longer_while_the_disk_is_slow(
    large: EmbeddedStore, tmp_path: Path
) -> None:
    taken = await rests(large, tmp_path, 4, step_ms=10_000)

    assert taken == [40.0] * 4


async def test_a_scrub_goes_on_where_it_was_and_begins_again_after_a_day(
    large: EmbeddedStore, tmp_path: Path
) -> None:
    await rests(large, tmp_path, 3)
    rotten = sorted(large.multihashes())[7]
    rot(tmp_path / "store", raw_cid(rotten))

    taken = await rests(large, tmp_path, 3)

    assert [cid for _, cid in large.damaged(0, 10)] == [raw_cid(rotten)]
    assert taken[2] == 86_400.0


async def test_a_torn_position_is_the_start(large: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "scrub").write_text("12x")
    rot(tmp_path / "store", raw_cid(min(large.multihashes())))

    await rests(large, tmp_path, 1)

    assert large.damage().blocks == 1


@pytest.mark.parametrize("obstacle", ["README", "lost+found", "AB"])
async def test_what_lies_beside_the_blocks_does_not_end_a_scrub(
    large: EmbeddedStore, tmp_path: Path, obstacle: str
) -> None:
    strange = tmp_path / "store" / "blocks" / obstacle
    if obstacle == "README":
        strange.write_text("what is this?")
    else:
        (strange / "directory").mkdir(parents=True)
    stray = next((tmp_path / "store" / "blocks").glob("*/*.data")).with_name("CIQAAAAA.data")
    stray.write_bytes(b"stray")

    await rests(large, tmp_path, 12)

    assert strange.exists()
    assert not stray.exists()


async def test_a_scrub_follows_no_link_out_of_the_store(
    large: EmbeddedStore, tmp_path: Path
) -> None:
    outside = tmp_path / "thesis"
    outside.mkdir()
    (outside / "chapter").write_text("ours alone")
    (tmp_path / "store" / "blocks" / "my").symlink_to(outside)

    await rests(large, tmp_path, 12)

    assert (outside / "chapter").read_text() == "ours alone"


async def test_a_scrub_goes_on_although_its_disk_refuses_and_says_where(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store", QUOTA) as store, capture_logs() as logs:
        (tmp_path / "scrub").mkdir()  # Where it wants to write its position.
        (tmp_path / "store" / "blocks").rename(tmp_path / "store" / "elsewhere")

        taken = await rests(store, tmp_path, 4)

    assert taken[1::2] == [86_400.0] * 2
    reasons = [log["reason"] for log in logs if log["log_level"] == "warning"]
    assert len(reasons) == 4
    assert str(tmp_path / "scrub") in reasons[0]
    assert str(tmp_path / "store" / "blocks") in reasons[1]
