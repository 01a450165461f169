"""Whatever is approved, each epoch can decide, and hands over to the next."""

import hypothesis.strategies as st
from hypothesis import given

from bftcluster.ids import Epoch, PeerId, ReplicaId
from bftcluster.ledger.state.membership_rows import Change, next_membership, taken_up
from bftcluster.membership import Membership

PEERS = [ReplicaId(bytes((number,)) * 32) for number in range(16)]
some = st.lists(st.sampled_from(PEERS), unique=True)


@given(
    founders=st.integers(4, 10),
    wishes=st.lists(st.tuples(st.sampled_from(PEERS), st.booleans()), max_size=24),
    liars=some,
    tired=some,
    primaries=st.lists(st.sampled_from(PEERS), min_size=8, max_size=8),
)
def test_each_epoch_has_a_quorum_that_shares_correct_replicas_with_the_one_before(
    founders: int,
    wishes: list[tuple[ReplicaId, bool]],
    liars: list[ReplicaId],
    tired: list[ReplicaId],
    primaries: list[ReplicaId],
) -> None:
    was = Membership(Epoch(0), tuple(PEERS[:founders]))
    changes = [
        Change(peer=PeerId(peer), votes=votes)
        for peer, votes in dict(wishes).items()
        if votes != (peer in was.replicas)
    ]
    for last_primary in primaries:
        becomes = next_membership(
            was, changes, set(liars), sitting_out=tired, last_primary=last_primary
        )
        if becomes is None:
            continue

        come = set(becomes.replicas) - set(was.replicas)
        gone = set(was.replicas) - set(becomes.replicas)
        assert becomes.n >= 4
        assert becomes.quorum - becomes.f - len(come) >= 1, "a correct one who was there before"
        assert was.quorum - was.f - len(gone) >= 1, "a correct one who stays"
        assert len(becomes.barred) <= becomes.f
        assert becomes.barred < set(becomes.replicas)
        if last_primary in becomes.replicas and last_primary not in liars:
            assert last_primary not in becomes.barred
        changes = taken_up(changes, was, becomes)
        was = becomes
