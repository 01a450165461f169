"""Kill one peer at every boundary between two effects, and let it come back.

The story: three decisions, the primary dies, a new view, three more decisions, in the course of
which the old primary returns. It is told once per peer, boundary and way to lose unsynced bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bftcluster_sim.cluster.peers.disks import WriteLoss
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.processes import ProcessCrashedError
from bftcluster_sim.cluster.runs.swarm import RunOutcome, judge
from bftcluster_sim.cluster.world import World

LOSSES = (WriteLoss.ALL, WriteLoss.TORN)
_SUBMITS_MS = (20, 60, 100, 160, 1_400, 1_440)
_PRIMARY_DIES_MS = 150
_PRIMARY_RETURNS_MS = 1_380
_RESTART_AFTER_MS = 30
DECISIONS = len(_SUBMITS_MS)
_LIMIT_MS = 60_000
_SLICE_MS = 20


@dataclass(frozen=True, slots=True)
class Point:
    """Where to kill whom."""

    n: int
    peer: int
    boundary: int
    """Number of the effect of that peer, from the start of the run, before which it dies."""
    loss: WriteLoss

    def describe(self) -> str:
        """Return cluster size, peer, boundary and loss, as ``parse`` reads them: "4:0:17:TORN"."""
        return f"{self.n}:{self.peer}:{self.boundary}:{self.loss.name}"

    @classmethod
    def parse(cls, text: str) -> "Point":
        """Return the point that ``describe`` tells of.

        Raises:
            ValueError: It tells of none.
        """
        n, peer, boundary, loss = text.split(":")
        if not 0 <= int(peer) < int(n) or int(n) < 4 or loss not in WriteLoss.__members__:
            raise ValueError("a peer of the cluster, and how unsynced bytes are lost")
        return cls(int(n), int(peer), int(boundary), WriteLoss[loss])


def points(n: int) -> Iterator[Point]:
    """Yield every point of the story."""
    world = _tell(n, None)[1]
    for node in world.nodes:
        for boundary in range(_first_boundary(n), node.boundaries + 1):
            for loss in LOSSES:
                yield Point(n, node.index, boundary, loss)


def run(point: Point, *, is_traced: bool = False) -> tuple[RunOutcome, World]:
    """Tell the story with a crash at ``point``."""
    return _tell(point.n, point, is_traced=is_traced)


def _first_boundary(n: int) -> int:
    """Return the first boundary after what setting up a disk takes."""
    return World(seed=0, keys=range(n), n=n).nodes[0].boundaries + 1


def _tell(n: int, point: Point | None, *, is_traced: bool = False) -> tuple[RunOutcome, World]:
    world = World(seed=0, keys=range(n), n=n, is_traced=is_traced)
    if point is not None:
        _plant(world, point)
    world.start()
    clock, primary = world.clock, world.nodes[0]
    victim = 0 if point is None else point.peer
    clients = [index for index in range(1, n) if index != victim]
    for number, at_ms in enumerate(_SUBMITS_MS):
        to = clients[number % len(clients)]
        clock.call_at(at_ms, lambda number=number, to=to: world.submit(number, to=to))  # type: ignore[misc]
    clock.call_at(_PRIMARY_DIES_MS, primary.kill)
    clock.call_at(_PRIMARY_RETURNS_MS, primary.start)
    wanted = [world.founding.request(number) for number in range(len(_SUBMITS_MS))]
    is_done = False
    while clock.now_ms < _LIMIT_MS and not is_done:
        world.run_until(clock.now_ms + _SLICE_MS)
        is_done = _is_done(world, wanted)
    for node in world.nodes:
        if is_done:
            world.check_end(node)
    name = "no crash" if point is None else f"crash {point.describe()}"
    return judge(name, world, has_progressed=is_done), world


def _is_done(world: World, wanted: list[bytes]) -> bool:
    same = len({node.state.executed for node in world.nodes}) == 1
    return same and all(
        world.has_effect(node, request) for node in world.nodes for request in wanted
    )


def _plant(world: World, point: Point) -> None:
    node = world.nodes[point.peer]
    node.loss = point.loss

    def on_boundary(name: str) -> None:
        if node.boundaries == point.boundary:
            _come_back(world, node)
            raise ProcessCrashedError(name)

    node.on_boundary = on_boundary


def _come_back(world: World, node: Node) -> None:
    world.clock.call_at(world.clock.now_ms + _RESTART_AFTER_MS, node.start)
