"""Who lags behind every log fetches a certified state, whoever lies and dies, and votes again."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.pbft import Application, Replica
from bftcluster.pbft.frames import kind_of
from bftcluster.sync.frames import STATE
from bftcluster_sim.cluster.adversary.behaviours import Byzantine, Vice
from bftcluster_sim.cluster.peers import nodes
from bftcluster_sim.cluster.peers.disks import WriteLoss
from bftcluster_sim.cluster.peers.processes import ProcessCrashedError
from bftcluster_sim.cluster.peers.states import TERMS
from bftcluster_sim.cluster.world import SETTINGS, World

INTERVAL = SETTINGS.checkpoint_interval_seqs
CHECKPOINT_VOTE = 4
LATE = 3


class Story:
    """Peers that keep no log before a stable checkpoint, and the last of them is away at first."""

    def __init__(self, *, n: int = 4, peers: int = 4, seed: int = 0) -> None:
        settings = replace(SETTINGS, state_fetch_behind_seqs=INTERVAL)
        self.world = World(
            seed=seed, keys=range(peers), n=n, settings=settings, log_kept_seqs=0, is_traced=True
        )
        self.late = self.world.nodes[LATE]
        self.pins = 0
        for node in self.world.nodes[:n]:
            if node is not self.late:
                node.start()
        self.world.run_until(20)

    def decide(self, count: int) -> None:
        """Have pins ordered, one after the other."""
        for _ in range(count):
            self.pins += 1
            self.world.submit(self.pins, to=1)
            self.pass_time(100)

    def pass_time(self, duration_ms: int) -> None:
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def returns(self) -> None:
        """Let the late peer start, and wait until it is where the others are."""
        self.late.start()
        assert self.world.run_until(
            self.world.clock.now_ms + 30_000,
            lambda: self.late.is_up and self.late.state.executed == self.executed,
        )

    @property
    def executed(self) -> int:
        return max(node.state.executed for node in self.world.nodes if node is not self.late)

    def decides_with_the_late_one(self) -> bool:
        """Kill another, so that no quorum is without it, and return whether pins are ordered."""
        self.world.nodes[2].kill()
        before = self.executed
        self.decide(INTERVAL)
        return self.executed >= before + INTERVAL

    def check(self) -> None:
        for node in self.world.nodes:
            if node.is_up:
                self.world.check_end(node)
        assert self.world.breaches == []

    def times(self, what: str) -> int:
        return sum(what in line for line in self.world.trace.lines)


def test_a_peer_that_was_away_goes_on_from_a_fetched_state_and_votes() -> None:
    story = Story()
    story.decide(2 * INTERVAL + 1)
    story.returns()

    assert story.world.transfer.installed == 1
    assert sorted(story.late.state.log) == [2 * INTERVAL + 1]
    assert story.decides_with_the_late_one()
    story.check()


@pytest.mark.parametrize("keeps_votes", [True, False])
def test_a_peer_whose_disk_was_replaced_votes_again_once_all_it_may_have_voted_on_is_past(
    keeps_votes: bool,
) -> None:
    story = Story()
    story.late.start()
    story.decide(INTERVAL + 1)
    story.world.forgetful = {LATE}
    story.late.wipe(keeps_votes=keeps_votes)
    story.decide(2 * INTERVAL)
    story.returns()

    assert story.world.transfer.installed == 1
    story.decide(2 * SETTINGS.window_size_seqs)
    assert story.decides_with_the_late_one()
    story.check()


def test_the_last_certified_state_is_to_be_had_while_the_next_one_lacks_a_vote() -> None:
    """Nobody certified the last checkpoint, nor can without the one that is too late for logs."""
    story = Story()
    story.decide(2 * INTERVAL - 1)
    story.world.links.filter = lambda _source, _to, frame: kind_of(frame) == CHECKPOINT_VOTE
    story.decide(1)
    story.world.nodes[2].kill()
    story.world.links.heal()
    assert story.executed == 2 * INTERVAL
    story.returns()

    assert story.times(f"3 installs the state after {INTERVAL}") == 1
    story.decide(INTERVAL)
    assert story.late.state.executed == 3 * INTERVAL
    story.check()


@pytest.mark.parametrize("seed", range(12))
def test_lying_sources_are_named_and_the_state_comes_from_another(seed: int) -> None:
    story = Story(seed=seed)
    liar = story.world.nodes[1]
    story.world.faulty = {1}
    liar.behaviour = Byzantine(frozenset({Vice.MISGIVE}), story.world.random)
    story.decide(2 * INTERVAL + 1)
    story.returns()

    assert story.world.transfer.installed == 1
    assert story.times("3 blames") == story.times("3 blames 1")
    assert story.decides_with_the_late_one()
    story.check()


def test_some_of_those_lies_are_told_and_seen() -> None:
    blamed = 0
    for seed in range(40):
        story = Story(seed=seed)
        story.world.faulty = {0, 1, 2}
        for node in story.world.nodes[:LATE]:
            node.behaviour = Byzantine(frozenset({Vice.MISGIVE}), story.world.random)
        story.decide(2 * INTERVAL + 1)
        story.late.start()
        story.pass_time(1_000)
        blamed += story.times("3 blames")
        assert story.world.breaches == []

    assert blamed > 24


@pytest.mark.parametrize("loss", [WriteLoss.ALL, WriteLoss.TORN])
def test_a_transfer_survives_a_crash_of_its_taker_at_each_effect(loss: WriteLoss) -> None:
    untouched = Story()
    untouched.decide(2 * INTERVAL + 1)
    first = untouched.late.boundaries
    untouched.returns()
    last = untouched.late.boundaries
    assert last > first + 20

    for boundary in range(first, last + 1):
        story = Story()
        story.late.loss = loss
        story.decide(2 * INTERVAL + 1)
        _kill_at(story, boundary)
        story.returns()

        assert story.world.transfer.installed >= 1
        assert story.decides_with_the_late_one()
        story.check()


def _kill_at(story: Story, boundary: int) -> None:
    clock, late = story.world.clock, story.late

    def on_boundary(name: str) -> None:
        if late.boundaries == boundary:
            clock.call_at(clock.now_ms + 30, late.start)
            raise ProcessCrashedError(name)

    late.on_boundary = on_boundary


def test_a_source_that_dies_in_the_middle_is_replaced_by_another() -> None:
    story = Story()
    story.decide(2 * INTERVAL + 1)
    story.world.links.filter = lambda source, _to, frame: source == 1 and kind_of(frame) == STATE
    story.late.start()
    story.pass_time(200)
    story.world.nodes[1].kill()
    story.returns()

    assert story.world.transfer.installed == 1
    story.check()


class WantsAll:
    """An application that thinks nothing a copy."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def admissible(self, request: bytes) -> bool:
        return self._application.admissible(request)

    def name(self, request: bytes) -> Digest:
        return self._application.name(request)

    def is_wanted(self, request: bytes) -> bool:
        return True

    def is_owed(self, request: bytes) -> bool:
        return True


def careless(*, application: Application, **given: object) -> Replica:
    return Replica(application=WantsAll(application), **given)


def test_a_request_of_before_the_transfer_has_no_effect_again_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The table of what was done came with the state: whoever lacks it diverges (S3, S6).

    Nobody here looks whether a request is a copy before it is ordered, as a liar would not.
    """
    monkeypatch.setattr(nodes, "Replica", careless)
    story = Story()
    story.decide(2 * INTERVAL)
    story.returns()
    for node in story.world.nodes[:LATE]:
        node.kill()
        node.start()
    story.pass_time(1_000)
    for number in range(1, INTERVAL):
        story.world.submit(number, to=LATE)
        story.pass_time(100)

    assert story.late.state.executed == 3 * INTERVAL - 1
    story.check()


def test_a_transfer_crosses_a_change_of_members() -> None:
    """Five vote now, and the certificate of the state is theirs; the late peer knew four."""
    story = Story(peers=5)
    newcomer = story.world.nodes[4]
    newcomer.start()
    operation = AdmitPeer(
        peer=PeerId(newcomer.key), name="peer4", addresses=(), votes=True, terms=TERMS
    )
    request = story.world.founding.member_request(0, operation)
    story.world.hand_in(request, "admit 4", to=1)
    story.decide(5 * INTERVAL)
    story.returns()

    assert story.times("3 learns of epoch 1") == 1
    assert story.world.transfer.installed >= 1
    assert story.late.replica is not None
    assert story.late.replica.membership.n == 5
    story.check()
