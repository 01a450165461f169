"""A cluster that lost two of four disks goes on from what maintainers signed."""

import pytest

from bftcluster.ids import Epoch, PeerId
from bftcluster.ledger.rules.recovery import VerifiedRecovery
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.limits import RECOVERY_EPOCHS
from bftcluster_sim.cluster.peers import recoveries
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.states import TERMS, pinned
from bftcluster_sim.cluster.world import SETTINGS, World

INTERVAL = SETTINGS.checkpoint_interval_seqs
BEYOND = 2


class Story:
    """Founders, of which the last two lose their disks, and peers that come for them."""

    def __init__(self, seed: int, *, n: int = 4, new: int = 2) -> None:
        self.world = World(seed=seed, keys=range(n + new), n=n, is_traced=True)
        self.lost = self.world.nodes[n - 2 : n]
        self.new = self.world.nodes[n:]
        self.pins = 0
        for node in self.world.nodes[:n]:
            node.start()
        self.pass_time(200)

    def pass_time(self, duration_ms: int) -> None:
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def decide(self, count: int, *, to: int = 0) -> None:
        for _ in range(count):
            self.pins += 1
            self.world.submit(self.pins, to=to)
            self.pass_time(100)

    def lose_disks(self) -> None:
        self.world.forgetful = {node.index for node in self.lost}
        for node in self.lost:
            node.wipe(keeps_votes=False)

    def recovery(self, *survivors: Node) -> VerifiedRecovery:
        """Return what maintainers sign once they have asked the survivors."""
        proofs = [node.replica.stable_certificate for node in survivors if node.replica]
        best = max((proof for proof in proofs if proof is not None), key=lambda proof: proof.seq)
        operation = RecoverCluster(
            seq=best.seq,
            state_root=best.state_root,
            certificate=best.to_bytes(),
            epoch=Epoch(RECOVERY_EPOCHS),
            executed=max(node.state.executed for node in survivors),
            staying=tuple(PeerId(node.key) for node in survivors),
            coming=tuple(
                AdmitPeer(peer=PeerId(node.key), name="new", addresses=(), votes=True, terms=TERMS)
                for node in self.new
            ),
            leaving=tuple(PeerId(node.key) for node in self.lost),
        )
        return self.world.founding.recovery(operation)

    def recover(self, recovery: VerifiedRecovery, *survivors: Node) -> None:
        """Stop who is left, apply the recovery, and start everybody who votes then."""
        self.world.give_up(recovery)
        for node in (*survivors, *self.new):
            if node.is_up:
                node.stop("it is told to")
            recoveries.apply(node, recovery)
        for node in (*survivors, *self.new):
            node.start()
        self.pass_time(3_000)
        for node in survivors:
            recoveries.hand_in_again(node)

    def is_level(self, *nodes: Node) -> bool:
        """Return whether these have executed the same, and everything that was asked for."""
        ends = {node.state.executed for node in nodes}
        return len(ends) == 1 and self.has_every_pin(nodes[0])

    def has_every_pin(self, node: Node) -> bool:
        cids = [pinned(number) for number in range(1, self.pins + 1)]
        return len(node.state.pins_of(cids, of=PeerId(node.key))) == self.pins

    def settle(self, *nodes: Node) -> None:
        world = self.world
        assert world.run_until(world.clock.now_ms + 60_000, lambda: self.is_level(*nodes))

    def check(self, *nodes: Node) -> None:
        for node in nodes:
            self.world.check_end(node)
        assert self.world.breaches == []
        assert len({(node.state.executed, node.state.chain) for node in nodes}) == 1


@pytest.mark.parametrize("seed", range(3))
def test_two_lost_of_four_come_back_under_new_keys(seed: int) -> None:
    story = Story(seed)
    first, second, *_ = story.world.nodes
    story.decide(INTERVAL + BEYOND)
    story.lose_disks()
    story.world.submit(1_000, to=0)
    story.pass_time(2_000)
    assert first.state.executed == INTERVAL + BEYOND, "the cluster stands still"

    story.recover(story.recovery(first, second), first, second)
    story.decide(INTERVAL, to=4)

    voters = (first, second, *story.new)
    story.settle(*voters)
    story.check(*voters)
    assert all(node.replica.membership.epoch == RECOVERY_EPOCHS for node in voters)


@pytest.mark.parametrize("seed", range(3))
def test_one_that_was_away_learns_of_it_from_the_others_and_follows(seed: int) -> None:
    story = Story(seed, n=5)
    first, second, away, *_ = story.world.nodes
    away.stop("it is told to")
    story.decide(2 * INTERVAL + BEYOND)
    story.lose_disks()

    story.recover(story.recovery(first, second), first, second)
    story.decide(INTERVAL)
    away.start()

    everybody = (first, second, away, *story.new)
    story.settle(*everybody)
    story.check(*everybody)
    assert away.replica.membership.epoch == RECOVERY_EPOCHS
    assert PeerId(away.key) in first.state.admitted
    assert not {PeerId(node.key) for node in story.lost} & first.state.admitted


@pytest.mark.parametrize("seed", range(3))
def test_one_that_went_further_stops_until_people_recover_it_too(seed: int) -> None:
    """It was left out when the maintainers asked, and has what the others do not have."""
    story = Story(seed, n=5, new=3)
    first, second, further, *_ = story.world.nodes
    story.decide(INTERVAL + 1)
    second.stop("it is told to")
    story.decide(2)
    story.lose_disks()
    for node in (first, further):
        node.stop("it is told to")
    second.start()
    recovery = story.recovery(second)
    story.recover(recovery, second)
    story.decide(INTERVAL, to=second.index)

    further.start()
    story.pass_time(5_000)
    assert not further.is_up
    assert any("the others went on from" in line for line in story.world.trace.lines)
    recoveries.apply(further, recovery)
    further.start()
    story.pass_time(2_000)
    recoveries.hand_in_again(further)

    everybody = (second, further, *story.new)
    story.settle(*everybody)
    story.check(*everybody)
