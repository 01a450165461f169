"""Who is let in at the door, and for how long."""

import trio
from trio.testing import MockClock

from bftcluster.ids import PeerId
from bftcluster.net.door import Door
from bftcluster.shell_limits import DOOR_TIMEOUT_S, DOOR_VISITORS_PER_ADDRESS_MAX


class Silent:
    """A stranger's session that never says anything."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.is_read = False

    def get_remote_address(self) -> tuple[str, int]:
        return self.address, 1

    async def read(self, n: int | None = None) -> bytes:
        self.is_read = True
        await trio.sleep_forever()
        raise AssertionError("it says nothing")

    async def write(self, data: bytes) -> None:
        self.is_read = True


async def nobody(_: PeerId, __: bytes) -> bytes:
    raise AssertionError("nobody asks")


async def test_who_says_nothing_is_gone_in_time(autojump_clock: MockClock) -> None:
    began_s = trio.current_time()

    await Door(nobody).serve(Silent())

    assert trio.current_time() - began_s <= DOOR_TIMEOUT_S


async def test_one_address_has_few_places_and_another_has_its_own(
    autojump_clock: MockClock,
) -> None:
    door = Door(nobody)
    crowd = [Silent() for _ in range(DOOR_VISITORS_PER_ADDRESS_MAX + 3)]
    other = Silent("192.0.2.2")
    async with trio.open_nursery() as nursery:
        for each in (*crowd, other):
            nursery.start_soon(door.serve, each)

    assert sum(each.is_read for each in crowd) == DOOR_VISITORS_PER_ADDRESS_MAX
    assert other.is_read
