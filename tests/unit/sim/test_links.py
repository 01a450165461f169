"""The network of a world does each of the things that its faults are named for."""

from collections.abc import Callable
from random import Random

from bftcluster_sim.cluster.environment.clocks import VirtualClock
from bftcluster_sim.cluster.environment.links import LinkFaults, Links

Pair = tuple[int, int]


class Wire:
    """Links, and what came out of them."""

    def __init__(self, *, seed: int = 0, faults: LinkFaults | None = None) -> None:
        self.clock = VirtualClock()
        self.arrived: list[tuple[int, Pair, bytes]] = []
        self.links = Links(clock=self.clock, random=Random(seed), faults=faults or LinkFaults())

    def send(self, source: int, target: int, frame: bytes = b"-") -> None:
        self.links.send(source, target, frame, self._deliver((source, target), frame))

    def run(self) -> list[Pair]:
        self.clock.run_until(self.clock.now_ms + 1_000)
        pairs = [pair for _, pair, _ in self.arrived]
        self.arrived.clear()
        return pairs

    def _deliver(self, pair: Pair, frame: bytes) -> Callable[[], None]:
        return lambda: self.arrived.append((self.clock.now_ms, pair, frame))


def test_without_faults_everything_arrives_once_in_order_after_the_delay() -> None:
    wire = Wire(faults=LinkFaults(delay_ms_min=3, delay_ms_max=3))
    for number in range(5):
        wire.send(0, 1, b"%d" % number)

    wire.clock.run_until(2)
    assert wire.arrived == []
    wire.clock.run_until(3)
    assert [frame for _, _, frame in wire.arrived] == [b"0", b"1", b"2", b"3", b"4"]


def test_some_frames_are_lost_and_some_arrive_twice_in_the_share_asked_for() -> None:
    lossy = Wire(faults=LinkFaults(loss_percent=20))
    doubling = Wire(faults=LinkFaults(duplicate_percent=20))
    for _ in range(2_000):
        lossy.send(0, 1)
        doubling.send(0, 1)

    assert 1_500 < len(lossy.run()) < 1_700
    assert 2_300 < len(doubling.run()) < 2_500


def test_frames_overtake_each_other_within_the_delay_and_late_ones_take_ten_times_as_long() -> None:
    wire = Wire(faults=LinkFaults(delay_ms_min=1, delay_ms_max=20, late_percent=5))
    for number in range(200):
        wire.send(0, 1, b"%03d" % number)
    wire.clock.run_until(1_000)

    frames = [frame for _, _, frame in wire.arrived]
    assert len(frames) == 200
    assert frames != sorted(frames)
    assert 20 < max(at_ms for at_ms, _, _ in wire.arrived) <= 200


def test_a_partition_cuts_between_the_groups_and_nowhere_else() -> None:
    wire = Wire()
    wire.links.partition({0, 1}, {2})

    for source in range(3):
        for target in range(3):
            if source != target:
                wire.send(source, target)
    assert wire.run() == [(0, 1), (1, 0)]

    wire.links.heal()
    wire.send(0, 2)
    assert wire.run() == [(0, 2)]


def test_a_link_may_be_cut_one_way_only() -> None:
    wire = Wire()
    wire.links.cut.add((0, 1))

    wire.send(0, 1)
    wire.send(1, 0)

    assert wire.run() == [(1, 0)]


def test_a_clogged_link_keeps_everything_and_lets_it_out_at_once() -> None:
    wire = Wire()
    wire.links.clogged = {(0, 1)}
    for number in range(3):
        wire.clock.run_until(number * 100)
        wire.send(0, 1)
        wire.send(0, 2)
    assert wire.run() == [(0, 2)] * 3

    wire.links.release()
    now_ms = wire.clock.now_ms
    wire.clock.run_until(now_ms + 1)
    assert [(at_ms, pair) for at_ms, pair, _ in wire.arrived] == [(now_ms + 1, (0, 1))] * 3


def test_a_filter_loses_the_frames_it_names() -> None:
    wire = Wire()
    wire.links.filter = lambda _source, target, frame: target == 1 and frame == b"deaf"

    wire.send(0, 1, b"deaf")
    wire.send(0, 2, b"deaf")
    wire.send(0, 1, b"heard")

    assert wire.run() == [(0, 2), (0, 1)]


def test_a_seed_decides_the_fate_of_every_frame() -> None:
    def fates(seed: int) -> list[tuple[int, Pair, bytes]]:
        wire = Wire(
            seed=seed, faults=LinkFaults(delay_ms_max=50, loss_percent=30, duplicate_percent=30)
        )
        for number in range(50):
            wire.send(0, 1, b"%d" % number)
        wire.clock.run_until(1_000)
        return wire.arrived

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
