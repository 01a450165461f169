"""Batches that come early: those of one sender make room for his own only."""

from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import EARLY_BODIES_MAX
from bftcluster.pbft.log import Bodies, batch_digest

OLD, NEW = ReplicaId(b"o" * 32), ReplicaId(b"n" * 32)


def offer(bodies: Bodies, sender: ReplicaId, *numbers: int) -> None:
    for number in numbers:
        body = b"%s %d" % (sender[:1], number)
        bodies.offer(batch_digest(body), body, sender)


def holds(bodies: Bodies, sender: ReplicaId, number: int) -> bool:
    return bodies.get(batch_digest(b"%s %d" % (sender[:1], number))) is not None


def test_a_flood_of_early_batches_displaces_none_of_another_sender() -> None:
    bodies = Bodies()
    offer(bodies, NEW, 0)

    offer(bodies, OLD, *range(EARLY_BODIES_MAX + 1))

    assert holds(bodies, NEW, 0)
    assert [holds(bodies, OLD, number) for number in (0, 1, EARLY_BODIES_MAX)] == [
        False,
        True,
        True,
    ]


def test_what_came_early_of_others_goes_when_a_view_begins_unless_a_slot_names_it() -> None:
    bodies = Bodies()
    offer(bodies, OLD, 0, 1)
    offer(bodies, NEW, 0)
    kept = b"o 1"
    bodies.keep(Seq(1), batch_digest(kept), kept)

    bodies.forget_others(NEW)

    assert [holds(bodies, OLD, 0), holds(bodies, OLD, 1), holds(bodies, NEW, 0)] == [
        False,
        True,
        True,
    ]
