"""The new view follows from the set of VIEW-CHANGEs alone, and keeps whatever was decided."""

from itertools import combinations, permutations

from hypothesis import given
from hypothesis import strategies as st

from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.log import NULL_DIGEST
from bftcluster.pbft.new_view import compute_new_view
from bftcluster.pbft.view_messages import NewView, Proof, ViewChange
from tests.unit.pbft.builders import A, B, checkpoint, committed, members, prepared
from tests.unit.pbft.view_builders import new_view, view_change

VIEW = 4


@st.composite
def histories(draw: st.DrawFn, n: int = 4) -> tuple[list[ViewChange], dict[int, bytes]]:
    """Draw what each replica may know, and what was decided: prepared at a quorum in one view.

    Later views can only prepare the same digest at such a slot.
    """
    membership = members(n)
    decided: dict[int, bytes] = {}
    knows: list[dict[int, Proof]] = [{} for _ in range(n)]
    stable = [draw(st.sampled_from([0, 0, 2])) for _ in range(n)]
    for seq in range(1, 6):
        final_view = draw(st.integers(0, VIEW - 1))
        is_decided = seq <= 2 or draw(st.booleans())
        locked = draw(st.sampled_from([A, B]))
        if is_decided:
            decided[seq] = locked
            holders = draw(st.permutations(range(n)))[: membership.quorum]
        else:
            holders = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=membership.f))
        for replica in range(n):
            if replica in holders:
                view = draw(st.integers(final_view, VIEW - 1)) if is_decided else final_view
                is_known_decided = is_decided and draw(st.booleans())
                knows[replica][seq] = (
                    committed(seq, locked, view=final_view)
                    if is_known_decided
                    else prepared(seq, locked, view=view)
                )
            elif final_view and draw(st.booleans()):
                other = B if locked == A else A
                knows[replica][seq] = prepared(
                    seq, other, view=draw(st.integers(0, final_view - 1))
                )
    changes = [
        view_change(
            replica,
            view=VIEW,
            stable=checkpoint(stable[replica]) if stable[replica] else None,
            proofs=[p for seq, p in sorted(knows[replica].items()) if seq > stable[replica]],
        )
        for replica in range(n)
    ]
    return changes, decided


@given(histories())
def test_any_quorum_of_view_changes_keeps_every_decision(
    history: tuple[list[ViewChange], dict[int, bytes]],
) -> None:
    changes, decided = history
    membership = members(4)

    for size in range(membership.quorum, 5):
        for quorum in combinations(changes, size):
            plan = compute_new_view(quorum, membership)
            chosen = {choice.seq: choice.digest for choice in plan.choices}
            for seq, digest in decided.items():
                assert seq <= plan.stable or chosen.get(seq) == digest  # type: ignore[call-overload]


@given(histories())
def test_the_plan_does_not_depend_on_the_order_of_arrival(
    history: tuple[list[ViewChange], dict[int, bytes]],
) -> None:
    changes, _ = history

    plans = {compute_new_view(order, members(4)) for order in permutations(changes)}

    assert len(plans) == 1


@given(histories())
def test_a_plan_has_no_gap_and_ends_at_the_highest_claim(
    history: tuple[list[ViewChange], dict[int, bytes]],
) -> None:
    changes, _ = history

    plan = compute_new_view(changes, members(4))

    claimed = {claim.seq for change in changes for claim in change.claims}
    assert [choice.seq for choice in plan.choices] == list(range(plan.stable + 1, plan.top + 1))
    assert plan.top == max({plan.stable} | claimed)
    assert all((c.digest == NULL_DIGEST) == (c.seq not in claimed) for c in plan.choices)


@given(histories())
def test_view_messages_survive_the_wire(
    history: tuple[list[ViewChange], dict[int, bytes]],
) -> None:
    changes, _ = history
    message = new_view(changes)

    for change in changes:
        assert parse_frame(change.replica, change.frame()) == change
    parsed = parse_frame(message.replica, message.frame())
    assert isinstance(parsed, NewView)
    assert parsed == message
