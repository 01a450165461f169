"""Who hears whom decides who gets on: for each shape of a network, exactly one verdict."""

from collections.abc import Collection, Iterable
from itertools import combinations

import pytest

from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import BODY, ENTRIES, REQUESTS, STATUS
from bftcluster_sim.cluster.environment.links import Filter
from bftcluster_sim.cluster.runs.swarm import RunVerdict, judge
from bftcluster_sim.cluster.world import SETTINGS, World

N = 4
ALL = frozenset(range(N))
LIMIT_MS = 20_000
PRE_PREPARE, PREPARE, COMMIT, VIEW_CHANGE, NEW_VIEW = 1, 2, 3, 5, 6

TIMEOUT_MS = SETTINGS.request_timeout_ms + SETTINGS.view_change_timeout_ms

PASS, STUCK = RunVerdict.PASS, RunVerdict.NO_PROGRESS
Pairs = set[tuple[int, int]]


class Story:
    """Peers on a network of some shape, and what becomes of the pins that clients hand in."""

    def __init__(self, n: int = N, down: Collection[int] = ()) -> None:
        self.world = World(seed=1, keys=range(n), n=n)
        self.pins = 0
        self.world.start(but=down)
        self.pass_time(50)

    def pass_time(self, duration_ms: int) -> None:
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def verdict(self, who: Iterable[int], *, limit_ms: int = LIMIT_MS) -> RunVerdict:
        """Hand a pin to each of ``who``; return whether all of them get all in effect in time."""
        world, who = self.world, sorted(who)
        wanted = [world.founding.request(self.pins + number) for number, _ in enumerate(who)]
        for index in who:
            world.submit(self.pins, to=index)
            self.pins += 1
        has_progressed = world.run_until(
            world.clock.now_ms + limit_ms,
            lambda: all(world.has_effect(world.nodes[i], one) for i in who for one in wanted),
        )
        return judge("a topology", world, has_progressed=has_progressed).verdict


def without(linked: Iterable[tuple[int, int]], n: int = N) -> Pairs:
    """Return the links that there are not, if these are all there are, both ways."""
    linked = {*linked}
    both = linked | {(b, a) for a, b in linked}
    return {(a, b) for a in range(n) for b in range(n) if a != b} - both


def partitions(members: list[int]) -> list[list[set[int]]]:
    """Return every way to divide ``members`` into groups."""
    if not members:
        return [[]]
    first, *rest = members
    return [
        [{first, *chosen}, *others]
        for size in range(len(rest) + 1)
        for chosen in combinations(rest, size)
        for others in partitions([one for one in rest if one not in chosen])
    ]


@pytest.mark.parametrize("groups", partitions(sorted(ALL)), ids=str)
def test_of_a_divided_cluster_a_quorum_gets_on_and_nobody_else(groups: list[set[int]]) -> None:
    story = Story()
    story.world.links.partition(*groups)

    for group in groups:
        before = {index: story.world.nodes[index].state.executed for index in ALL}
        assert story.verdict(group, limit_ms=3_000) is (PASS if len(group) >= 3 else STUCK)
        if len(group) < 3:
            assert all(story.world.nodes[i].state.executed == before[i] for i in group)

    story.world.links.heal()
    assert story.verdict(ALL) is PASS


@pytest.mark.parametrize("down", [set(), {0}, {1}, {3}, {0, 1}, {1, 3}, {0, 1, 2}], ids=str)
def test_three_of_four_get_on_and_two_do_not(down: set[int]) -> None:
    story = Story(down=down)

    expected = PASS if len(down) < 2 else STUCK
    assert story.verdict(ALL - down) is expected

    views = [story.world.nodes[index].replica.view for index in ALL - down]
    assert max(views) <= (1 if 0 in down else 0), "nobody reigns whom too few have called"
    for index in down:
        story.world.nodes[index].start()
    assert story.verdict(ALL) is PASS


RING = [(0, 1), (1, 2), (2, 3), (3, 0)]
SHAPES: dict[str, tuple[int, Pairs, set[int], RunVerdict]] = {
    "a star around the primary": (4, without([(0, 1), (0, 2), (0, 3)]), {0, 1, 2, 3}, STUCK),
    "a star around a backup": (4, without([(2, 0), (2, 1), (2, 3)]), {0, 1, 2, 3}, STUCK),
    "a ring, where each hears a quorum": (4, without(RING), {0, 1, 2, 3}, PASS),
    "a line": (4, without(RING[:3]), {0, 1, 2, 3}, STUCK),
    "a ring and a chord from the primary": (4, without([*RING, (0, 2)]), {0, 1, 2, 3}, PASS),
    "a ring and a chord between backups": (4, without([*RING, (1, 3)]), {0, 1, 2, 3}, PASS),
    "a bridge between two pairs": (
        5,
        without([(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4)], 5),
        {0, 1, 2, 3, 4},
        STUCK,
    ),
    "one that does not hear the primary": (4, {(0, 1)}, {0, 1, 2, 3}, PASS),
    "one that the primary does not hear": (4, {(1, 0)}, {0, 1, 2, 3}, PASS),
    "a primary that reaches one only": (4, {(0, 2), (0, 3)}, {1, 2, 3}, PASS),
    "a primary that nobody hears": (4, {(0, 1), (0, 2), (0, 3)}, {1, 2, 3}, PASS),
    "a primary that hears nobody": (4, {(1, 0), (2, 0), (3, 0)}, {1, 2, 3}, PASS),
    "each deaf to the one before it": (4, {(0, 1), (1, 2), (2, 3), (3, 0)}, {0, 1, 2, 3}, PASS),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_has_its_verdict_and_all_get_on_when_it_is_healed(name: str) -> None:
    n, cut, who, expected = SHAPES[name]
    story = Story(n)
    story.world.links.cut = cut

    assert story.verdict(who) is expected

    story.world.links.heal()
    assert story.verdict(range(n)) is PASS


def lost(*kinds: int, to: frozenset[int] = ALL, of: frozenset[int] = ALL) -> Filter:
    return lambda source, target, frame: kind_of(frame) in kinds and target in to and source in of


def only(index: int) -> frozenset[int]:
    return frozenset({index})


LOSSES: dict[str, tuple[Filter, set[int], set[int], RunVerdict]] = {
    "every PREPARE": (lost(PREPARE), set(), {0, 1, 2, 3}, STUCK),
    "every COMMIT": (lost(COMMIT), set(), {0, 1, 2, 3}, STUCK),
    "every PREPARE to one": (lost(PREPARE, to=only(2)), set(), {0, 1, 2, 3}, PASS),
    "every COMMIT to one": (lost(COMMIT, to=only(2)), set(), {0, 1, 2, 3}, PASS),
    "every PRE-PREPARE to one": (lost(PRE_PREPARE, to=only(2)), set(), {0, 1, 2, 3}, PASS),
    "every PRE-PREPARE of the first primary": (
        lost(PRE_PREPARE, of=only(0)),
        set(),
        {0, 1, 2, 3},
        PASS,
    ),
    "every request that is passed on": (lost(REQUESTS), set(), {0, 1, 2, 3}, STUCK),
    "every batch": (lost(BODY), set(), {0, 1, 2, 3}, STUCK),
    "every batch of the primary to one": (
        lost(BODY, of=only(0), to=only(2)),
        set(),
        {0, 1, 2, 3},
        PASS,
    ),
    "every batch to one, sent or fetched": (
        lost(BODY, to=only(2)),
        set(),
        {0, 1, 2, 3},
        PASS,
    ),
    "every log entry to one": (lost(ENTRIES, to=only(2)), set(), {0, 1, 2, 3}, PASS),
    "every commit and every log entry to one": (
        lost(COMMIT, ENTRIES, to=only(2)),
        set(),
        {0, 1, 3},
        PASS,
    ),
    "every VIEW-CHANGE, when the primary is dead": (lost(VIEW_CHANGE), {0}, {1, 2, 3}, STUCK),
    "every NEW-VIEW, when the primary is dead": (lost(NEW_VIEW), {0}, {1, 2, 3}, STUCK),
    "every NEW-VIEW of the next primary to one": (
        lost(NEW_VIEW, of=only(1), to=only(3)),
        {0},
        {1, 2, 3},
        PASS,
    ),
    "every status": (lost(STATUS), set(), {0, 1, 2, 3}, PASS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_each_kind_of_frame_that_never_arrives_has_its_verdict(name: str) -> None:
    lose, down, who, expected = LOSSES[name]
    story = Story(down=down)
    story.world.links.filter = lose

    assert story.verdict(who) is expected

    story.world.links.heal()
    for index in down:
        story.world.nodes[index].start()
    assert story.verdict(ALL) is PASS


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.9, 1, 1.1, 2, 5])
@pytest.mark.parametrize(
    "shape", [[{0}, {1, 2, 3}], [{0, 1}, {2, 3}], [{0}, {1}, {2}, {3}]], ids=str
)
def test_links_that_flap_at_any_pace_do_not_keep_up_the_cluster(
    ratio: float, shape: list[set[int]]
) -> None:
    """Half of each period somebody is cut off; a peer that is cut off is another each time."""
    story = Story()
    links, half_ms = story.world.links, int(TIMEOUT_MS * ratio / 2)

    def flap(turn: int) -> None:
        if turn % 2:
            links.heal()
        else:
            links.partition(*({(index + turn // 2) % N for index in group} for group in shape))
        story.world.clock.call_at(story.world.clock.now_ms + half_ms, lambda: flap(turn + 1))

    flap(0)

    assert story.verdict(ALL, limit_ms=60_000) is PASS
    story.pass_time(60_000)
    views = [node.replica.view for node in story.world.nodes]
    assert max(views) <= 60_000 // half_ms, "no more views than cuts"
