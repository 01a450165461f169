"""Schemers: one peer decides alone, and a liar opens the next view over it."""

import pytest

from bftcluster.ids import Seq, View
from bftcluster.pbft import Batch
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.log import NULL_DIGEST, batch_digest
from bftcluster.pbft.new_view import Rejection
from bftcluster.pbft.view_messages import NewView
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster_sim.cluster.adversary.behaviours import Vice
from bftcluster_sim.cluster.adversary.schemes import Lone, Mute
from bftcluster_sim.cluster.adversary.usurpers import Pretext, Usurper
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner
from bftcluster_sim.cluster.faults.plans import Ruin, RunPlan
from bftcluster_sim.cluster.runs.swarm import RunVerdict, run
from bftcluster_sim.cluster.world import World
from tests.unit.pbft.builders import prepared, rules
from tests.unit.pbft.view_builders import new_view, view_change

PROOFS = [prepared(1), prepared(2)]
RIGHT = new_view([view_change(voter, proofs=PROOFS) for voter in (0, 1, 2)])
OTHER = batch_digest(Batch(1_000, (b"other",)).to_bytes())


def usurped(pretext: Pretext) -> tuple[NewView, list[Vote]]:
    usurper = Usurper(signer=SimSigner(RIGHT.replica), cluster_id=CLUSTER_ID)
    lie, *votes = (
        parse_frame(RIGHT.replica, frame) for frame in usurper.usurp(RIGHT, pretext, OTHER)
    )
    assert isinstance(lie, NewView)
    return lie, [vote for vote in votes if isinstance(vote, Vote)]


@pytest.mark.parametrize(
    ("pretext", "rejection"),
    [
        (Pretext.DROP, Rejection.WRONG_CHOICES),
        (Pretext.SUBSTITUTE, Rejection.WRONG_CHOICES),
        (Pretext.INVENT, Rejection.UNPROVEN_CLAIM),
        (Pretext.OUTVOTE, Rejection.DUPLICATE_VOTER),
    ],
)
def test_each_pretext_fails_by_one_rule_only(pretext: Pretext, rejection: Rejection) -> None:
    assert rules().reject_new_view(RIGHT) is None

    assert rules().reject_new_view(usurped(pretext)[0]) is rejection


def test_a_usurper_votes_for_what_it_orders() -> None:
    ordered = {
        pretext: [(vote.kind, vote.seq, vote.digest) for vote in usurped(pretext)[1]]
        for pretext in Pretext
    }

    assert ordered[Pretext.DROP] == [(VoteKind.COMMIT, seq, NULL_DIGEST) for seq in (1, 2)]
    assert ordered[Pretext.SUBSTITUTE] == [(VoteKind.COMMIT, seq, OTHER) for seq in (1, 2)]
    assert ordered[Pretext.INVENT] == [], "what is decided needs no votes"
    assert ordered[Pretext.OUTVOTE] == [
        (kind, seq, OTHER) for seq in (1, 2) for kind in (VoteKind.PRE_PREPARE, VoteKind.COMMIT)
    ]


def test_one_whom_the_network_favours_decides_alone_and_cannot_tell() -> None:
    world = World(seed=0, keys=range(4), n=4)
    world.start()
    world.run_until(20)
    world.links.filter = Lone(world.nodes[3], View(0))

    world.submit(0, to=1)
    world.run_until(450)

    assert list(world.agreement.digests) == [Seq(1)]
    assert [node.state.executed for node in world.nodes] == [0, 0, 0, 1]
    world.links.heal()
    world.run_until(3_000)
    assert [node.state.executed for node in world.nodes] == [1, 1, 1, 1]
    assert world.breaches == []


@pytest.mark.parametrize("seed", range(8))
def test_a_schemer_forks_nothing(seed: int) -> None:
    """Each of these runs forks if a replica believes a NEW-VIEW without recomputing it."""
    plan = RunPlan(
        seed=seed,
        n=4,
        faults=frozenset(),
        ruins=((1, Ruin.SCHEMER, frozenset({Vice.USURP})),),
        chaos_ms=4_000,
        requests=12,
    )

    outcome, world = run(plan, is_traced=True)

    assert outcome.verdict is RunVerdict.PASS
    assert outcome.honest_named == 0
    refused = [line for line in world.trace.lines if "reports bad-new-view" in line]
    assert refused, "the lie was told"


def test_a_mute_primary_and_one_who_is_cut_off_lose_their_views_and_the_second_sits_out() -> None:
    world = World(seed=0, keys=range(4), n=4)
    world.start()
    world.run_until(20)
    world.links.adversary = Mute(world.nodes[3], world.membership, View(0))
    for number in range(12):
        world.submit(number, to=3)
        world.run_until(world.clock.now_ms + (3_000 if number == 0 else 100))

    assert world.discipline.latest.barred == {world.nodes[1].key}
    assert [node.state.executed >= 12 for node in world.nodes] == [True] * 4
    assert world.breaches == []
