"""Who slept while all others were replaced comes back on real ledgers, and can help the next."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Epoch, PeerId, Seq, View
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.sync.epoch_proofs import links_after
from bftcluster.sync.epoch_sync import ASK_AGAIN_MS
from bftcluster_sim.cluster.environment.signatures import signed_vote
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.states import TERMS
from bftcluster_sim.cluster.world import SETTINGS, World

LATE, NEWCOMER = 3, 7
FOUNDERS_GONE = (0, 1, 2)
SUCCESSORS = (4, 5, 6)
FAR = Seq(4_000)


class Generation:
    """Four founders of whom one sleeps, and the successors of the other three."""

    def __init__(self, *, log_kept_seqs: int | None = None) -> None:
        settings = replace(SETTINGS, state_fetch_behind_seqs=4)
        self.world = World(
            seed=0,
            keys=range(8),
            n=4,
            settings=settings if log_kept_seqs is not None else SETTINGS,
            log_kept_seqs=log_kept_seqs,
            is_traced=True,
        )
        self.pins = self.changes = 0
        self.world.start(but=(NEWCOMER,))
        self.pass_time(20)

    @property
    def late(self) -> Node:
        return self.world.nodes[LATE]

    def pass_time(self, duration_ms: int) -> None:
        self.world.run_until(self.world.clock.now_ms + duration_ms)

    def decide(self, count: int, *, to: int) -> None:
        for _ in range(count):
            self.pins += 1
            self.world.submit(self.pins, to=to)
            self.pass_time(100)

    def hand_in(self, operation: AdmitPeer | RemovePeer, *, to: int) -> None:
        request = self.world.founding.member_request(self.changes, operation)
        self.changes += 1
        self.world.hand_in(request, "a change", to=to)
        self.pass_time(2_500)

    def succeed(self) -> None:
        """Replace the founders that do not sleep, one after the other, and switch them off."""
        for old, new in zip(FOUNDERS_GONE, SUCCESSORS, strict=True):
            peer = PeerId(self.world.nodes[new].key)
            self.hand_in(
                AdmitPeer(peer=peer, name=f"{new}", addresses=(), votes=True, terms=TERMS), to=2
            )
            self.hand_in(RemovePeer(peer=PeerId(self.world.nodes[old].key)), to=4)
        self.decide(6, to=4)
        for old in FOUNDERS_GONE:
            self.world.nodes[old].kill()

    def is_up_to_date(self, index: int) -> bool:
        node, other = self.world.nodes[index], self.world.nodes[4]
        if node.replica is None or other.replica is None:
            return False
        is_there = node.state.executed == other.state.executed
        return is_there and node.replica.membership == other.replica.membership

    def comes_back(self, index: int) -> bool:
        self.world.nodes[index].start()
        end_ms = self.world.clock.now_ms + 30_000
        return self.world.run_until(end_ms, lambda: self.is_up_to_date(index))

    def links_of(self, index: int) -> int:
        return len(links_after(self.world.nodes[index].state.database, Epoch(0)))

    @property
    def epoch(self) -> int:
        return self.world.discipline.latest.epoch


@pytest.mark.parametrize("log_kept_seqs", [None, 0])
def test_a_sleeper_comes_back_votes_and_can_prove_who_votes(log_kept_seqs: int | None) -> None:
    story = Generation(log_kept_seqs=log_kept_seqs)
    story.late.kill()
    story.succeed()
    assert story.epoch >= 6

    assert story.comes_back(LATE)
    assert (story.world.transfer.installed > 0) == (log_kept_seqs is not None)
    story.pass_time(4 * ASK_AGAIN_MS)

    assert [story.links_of(index) for index in (*SUCCESSORS, LATE)] == [story.epoch] * 4
    story.world.nodes[4].kill()
    story.decide(1, to=5)
    story.pass_time(10_000)
    assert story.world.has_effect(story.late, story.world.founding.request(story.pins))
    assert story.world.breaches == []


def test_a_sleeper_that_opens_again_still_knows_who_votes() -> None:
    """Nobody proves it twice: it asks for what its links lack, and they lack nothing."""
    story = Generation(log_kept_seqs=0)
    story.late.kill()
    story.succeed()
    story.late.start()
    learned = f"{LATE} learns of epoch {story.epoch}"
    assert story.world.run_until(
        story.world.clock.now_ms + 30_000,
        lambda: any(learned in line for line in story.world.trace.lines),
    )
    assert story.late.replica is not None
    assert story.late.replica.membership.epoch == 0

    story.late.reopen()

    assert story.world.run_until(
        story.world.clock.now_ms + 30_000, lambda: story.is_up_to_date(LATE)
    )
    assert story.world.breaches == []


def test_a_newcomer_whose_founders_are_gone_learns_from_one_who_slept() -> None:
    """The sleeper went past every epoch by log entries, and is the only one that answers."""
    story = Generation()
    story.late.kill()
    story.succeed()
    assert story.comes_back(LATE)
    story.pass_time(4 * ASK_AGAIN_MS)
    story.world.links.filter = lambda source, to, frame: (
        kind_of(frame) in (15, 20) and to == NEWCOMER and source != LATE
    )

    assert story.comes_back(NEWCOMER)
    assert story.world.breaches == []


def forged(world: World, signers: Sequence[int]) -> bytes:
    votes = []
    for index in signers:
        node = world.nodes[index]
        vote = Vote(
            VoteKind.CHECKPOINT,
            Epoch(0),
            View(0),
            FAR,
            Digest(b"a state that never was".ljust(32, b".")),
            node.key,
            bytes(64),
        )
        votes.append(signed_vote(vote, node.signer, world.founding.cluster_id))
    return StableCheckpoint(CheckpointCertificate.of(votes)).frame()


def test_a_sleeper_fetches_no_state_that_those_who_left_certify() -> None:
    story = Generation(log_kept_seqs=0)
    story.late.kill()
    story.succeed()
    story.late.start()
    frame = forged(story.world, FOUNDERS_GONE)
    story.late.receive(story.world.nodes[0].key, frame)

    assert story.world.run_until(
        story.world.clock.now_ms + 30_000, lambda: story.is_up_to_date(LATE)
    )
    assert not any(f"fetches the state after {FAR}" in line for line in story.world.trace.lines)
    assert story.world.breaches == []
