"""Twins (Bano et al., OPODIS'21) for PBFT: one key runs twice, and every short script is tried.

A script says for each of the first views who its primary is and which of the instances hear each
other. The choices of partitions are canonical: instances are told apart only as twin or single.
After the script the network is whole, so that progress is demanded as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Epoch, ReplicaId, View
from bftcluster.limits import FRAME_SIZE_MAX_BYTES
from bftcluster.membership import Membership
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.view_messages import NEW_VIEW, VIEW_CHANGE
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.environment.links import LinkFaults
from bftcluster_sim.cluster.environment.signatures import sim_key
from bftcluster_sim.cluster.runs.swarm import LIVENESS_LIMIT_MS, RunOutcome, judge
from bftcluster_sim.cluster.world import World

TWIN = 0
"""The key that runs twice; the second instance has the index ``n``."""
_SCRIPT_MS = 2_500
_SLICE_MS = 25
_OF_VIEWS = (VoteKind.PRE_PREPARE, VoteKind.PREPARE, VoteKind.COMMIT, VIEW_CHANGE, NEW_VIEW)

Groups = tuple[int, ...]
"""The group of each instance."""


@dataclass(frozen=True, slots=True)
class ScriptedMembership(Membership):
    """A membership whose first primaries are chosen by a script."""

    primaries: tuple[int, ...] = ()

    def primary(self, view: View) -> ReplicaId:
        """Return whom the script names, then take turns."""
        if view < len(self.primaries):
            return self.replicas[self.primaries[view]]
        return self.replicas[view % self.n]


@dataclass(frozen=True, slots=True)
class Script:
    """Primary and partition of each of the first views."""

    n: int
    rounds: tuple[tuple[int, Groups], ...]

    def describe(self) -> str:
        """Return primary and groups of each view, as ``parse`` reads them: "0-00011,3-00001"."""
        return ",".join(f"{primary}-{''.join(map(str, to))}" for primary, to in self.rounds)

    @classmethod
    def parse(cls, text: str) -> "Script":
        """Return the script that ``describe`` tells of.

        Raises:
            ValueError: It tells of none.
        """
        rounds = []
        for part in text.split(","):
            primary, _, groups = part.partition("-")
            rounds.append((int(primary), tuple(int(digit) for digit in groups)))
        n = len(rounds[0][1]) - 1
        if n < 4 or any(len(groups) != n + 1 or primary >= n for primary, groups in rounds):
            raise ValueError("as many groups in each view as there are instances")
        return cls(n, tuple(rounds))


def partitions(n: int) -> list[Groups]:
    """Return the ways to part ``n`` keys, one of them doubled, into at most two groups.

    Up to symmetry: what counts is whether the twins are together, and how many singles are with
    the first of them. For ``n`` = 4 there are 6.
    """
    singles = n - 1
    together = [_groups(n, with_first=count, second=0) for count in range(singles + 1)]
    apart = [_groups(n, with_first=count, second=1) for count in range(singles // 2 + 1)]
    return together + apart


def scripts(n: int, views: int) -> Iterator[Script]:
    """Yield every script of so many views."""
    choices = list(product(range(n), partitions(n)))
    for rounds in product(choices, repeat=views):
        yield Script(n, rounds)


def run(script: Script, *, is_traced: bool = False) -> tuple[RunOutcome, World]:
    """Carry out one script."""
    n = script.n
    membership = ScriptedMembership(
        Epoch(0),
        tuple(ReplicaId(sim_key(index)) for index in range(n)),
        primaries=tuple(primary for primary, _ in script.rounds),
    )
    world = World(seed=0, keys=[*range(n), TWIN], n=n, membership=membership, is_traced=is_traced)
    world.faulty = {TWIN, n}
    world.trace.line(script.describe())
    world.links.faults = LinkFaults(delay_ms_min=1, delay_ms_max=3)
    world.start()
    world.run_until(10)
    world.links.filter = _Parted(script, world)
    for index in range(n + 1):
        world.submit(index, to=index)
    world.run_until(_SCRIPT_MS)
    world.links.heal()
    correct = [node for node in world.nodes if node.is_correct]
    number = n + 1
    world.submit(number, to=correct[0].index)
    request = world.founding.request(number)
    end_ms = _SCRIPT_MS + LIVENESS_LIMIT_MS
    has_progressed = False
    while world.clock.now_ms < end_ms and not has_progressed:
        world.run_until(world.clock.now_ms + _SLICE_MS)
        has_progressed = (
            all(world.has_effect(node, request) for node in correct)
            and len({node.state.executed for node in correct}) == 1
        )
    if has_progressed:
        for node in correct:
            world.check_end(node)
    name = f"twins {script.describe()}"
    return judge(name, world, has_progressed=has_progressed), world


class _Parted:
    """Loses a frame between two groups of the view it belongs to."""

    def __init__(self, script: Script, world: World) -> None:
        self._groups = [groups for _, groups in script.rounds]
        self._world = world
        self._views: dict[bytes, int | None] = {}

    def __call__(self, source: int, target: int, frame: bytes) -> bool:
        """Return whether the frame is lost."""
        view = self._view_of(frame)
        if view is None:
            replica = self._world.nodes[source].replica
            view = 0 if replica is None else replica.view
        groups = self._groups[min(view, len(self._groups) - 1)]
        return groups[source] != groups[target]

    def _view_of(self, frame: bytes) -> int | None:
        """Return the view a vote or view message is about; others go with their sender's view."""
        if kind_of(frame) not in _OF_VIEWS:
            return None
        if frame not in self._views:
            self._views[frame] = _parse_view(frame)
        return self._views[frame]


def _parse_view(frame: bytes) -> int | None:
    try:
        value = codec.decode(frame, size_max_bytes=FRAME_SIZE_MAX_BYTES)
    except MalformedMessageError:
        return None
    view = value[2]
    return view if isinstance(view, int) else None


def _groups(n: int, *, with_first: int, second: int) -> Groups:
    """Return the group of each instance: twin, singles, twin."""
    singles = [0 if index < with_first else 1 for index in range(n - 1)]
    return (0, *singles, second)
