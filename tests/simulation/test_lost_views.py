"""A dead member's turn costs the cluster one outage, and then no more (0016)."""

from bftcluster_sim.cluster.world import SETTINGS, World

N, DEAD = 7, 1
TIMEOUT_MS = SETTINGS.view_change_timeout_ms
ONE_VIEW_MS = SETTINGS.request_timeout_ms + TIMEOUT_MS + 10
"""A request waits, is relayed, waits again; then one view is changed, and it is decided."""


class Story:
    """Seven peers, of which one has never run."""

    def __init__(self) -> None:
        self.world = World(seed=0, keys=range(N), n=N)
        self.pins = 0
        self.world.start(but=(DEAD,))
        self.pass_time(1_000)

    @property
    def primary(self) -> int:
        replica = self.world.nodes[0].replica
        assert replica is not None
        return [node.key for node in self.world.nodes].index(replica.primary)

    def pass_time(self, duration_ms: int) -> None:
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def order(self, count: int = 1) -> int:
        """Have the peer two behind the primary order some pins; return how long that took."""
        to = self.world.nodes[(self.primary + 2) % N]
        to = self.world.nodes[DEAD + 1] if to.index == DEAD else to
        begin_ms, before = self.world.clock.now_ms, to.state.executed
        for done in range(1, count + 1):
            self.pins += 1
            self.world.submit(self.pins, to=to.index)
            assert self.world.run_until(
                begin_ms + 60_000,
                lambda: to.state.executed >= before + done,  # noqa: B023
            )
        return self.world.clock.now_ms - begin_ms

    def outage_ms(self) -> int:
        """Cut the primary off, and return how long the others need until they order again."""
        primary = self.primary
        self.world.links.partition({primary}, set(range(N)) - {primary})
        took_ms = self.order()
        self.world.links.heal()
        self.pass_time(2_000)
        return took_ms


def test_the_second_time_a_dead_replicas_turn_comes_its_view_is_not_visited() -> None:
    story = Story()
    first_ms = story.outage_ms()
    assert story.primary == DEAD + 1
    assert first_ms > ONE_VIEW_MS + TIMEOUT_MS - 10

    story.order(3 * SETTINGS.checkpoint_interval_seqs)
    lost, outages_ms = [], []
    while story.primary not in lost:
        lost.append(story.primary)
        outages_ms.append(story.outage_ms())

    assert lost == [2, 3, 4, 5, 6, 0]
    assert max(outages_ms) < ONE_VIEW_MS
    assert story.world.breaches == []


def test_a_replica_that_is_back_is_primary_again_after_its_term() -> None:
    story = Story()
    story.outage_ms()
    story.world.nodes[DEAD].start()
    story.order(20 * SETTINGS.checkpoint_interval_seqs)

    primaries = set()
    for _ in range(N):
        primaries.add(story.primary)
        assert story.outage_ms() < ONE_VIEW_MS

    assert primaries == set(range(N))
    assert story.world.breaches == []
