"""Each vice shows in what leaves a peer, and only there."""

from random import Random

import pytest

from bftcluster import codec
from bftcluster.ids import Digest
from bftcluster.pbft import Batch
from bftcluster.pbft.frames import kind_of
from bftcluster_sim.cluster.adversary.behaviours import Byzantine, Corruption, Vice, draw_corruption
from bftcluster_sim.cluster.world import World

LIAR = 0
"""The primary of view 0: whatever it may do wrong, it gets the chance to."""
PRE_PREPARE, PREPARE, COMMIT, BODY, REQUESTS = 1, 2, 3, 10, 11


class Tap:
    """A world in which one peer has a vice, and every frame that it sends."""

    def __init__(self, *vices: Vice, corruptions: tuple[Corruption, ...] = ()) -> None:
        self.world = World(seed=0, keys=range(4), n=4)
        self.sent: list[tuple[int, int, bytes]] = []
        """Time, target, frame."""
        self.world.faulty.add(LIAR)
        liar = Byzantine(frozenset(vices), self.world.random, corruptions)
        self.world.nodes[LIAR].behaviour = liar
        self.world.links.filter = self._note
        self.world.start()
        for number in range(24):
            self.world.run_until(20 + 40 * number)
            self.world.submit(number, to=1)
        self.world.run_until(3_200)

    def _note(self, source: int, target: int, frame: bytes) -> bool:
        if source == LIAR:
            self.sent.append((self.world.clock.now_ms, target, frame))
        return False

    def frames(self, kind: int, *, to: int | None = None) -> list[bytes]:
        found = [(target, frame) for _, target, frame in self.sent if kind_of(frame) == kind]
        return [frame for target, frame in found if to in (None, target)]

    def digests(self, kind: int, *, to: int) -> dict[int, bytes]:
        """Return the digest that ``to`` was told for each sequence number of view 0."""
        votes = [codec.decode(frame) for frame in self.frames(kind, to=to)]
        return {vote[3]: vote[4] for vote in votes if vote[2] == 0}


@pytest.fixture(scope="module")
def honest() -> Tap:
    return Tap()


def test_without_vices_everybody_is_told_the_same(honest: Tap) -> None:
    for kind in (PRE_PREPARE, COMMIT, BODY):
        assert honest.frames(kind, to=1)
        assert honest.frames(kind, to=1) == honest.frames(kind, to=2) == honest.frames(kind, to=3)
    assert not honest.world.breaches
    assert not honest.world.auditor.culprits


def test_one_who_equivocates_proposes_one_batch_to_some_and_another_to_the_others() -> None:
    tap = Tap(Vice.EQUIVOCATE)

    assert tap.digests(PRE_PREPARE, to=1) == tap.digests(PRE_PREPARE, to=3)
    assert tap.digests(PRE_PREPARE, to=1)[1] != tap.digests(PRE_PREPARE, to=2)[1]
    assert tap.world.auditor.culprits == {tap.world.nodes[LIAR].key}
    assert not tap.world.breaches


def test_absurd_proposals_are_the_same_for_all_and_nobody_prepares_them(honest: Tap) -> None:
    tap = Tap(Vice.ABSURD)

    assert tap.digests(PRE_PREPARE, to=1) == tap.digests(PRE_PREPARE, to=2)
    assert tap.digests(PRE_PREPARE, to=1) != honest.digests(PRE_PREPARE, to=1)
    assert not tap.world.breaches


def test_a_mutant_says_different_things_to_different_peers() -> None:
    tap = Tap(Vice.MUTATE)

    assert any(
        tap.frames(kind, to=1) != tap.frames(kind, to=2) for kind in (PRE_PREPARE, COMMIT, BODY)
    )


def test_a_corruption_hits_the_message_and_the_receivers_it_names_and_nothing_else(
    honest: Tap,
) -> None:
    changed = Corruption(kind=COMMIT, nth=1, receivers=0b0110, is_lost=False)
    tap = Tap(Vice.CORRUPT_ROUNDS, corruptions=(changed,))

    right, one, two = honest.frames(COMMIT, to=3), *(tap.frames(COMMIT, to=to) for to in (1, 2))
    assert tap.frames(COMMIT, to=3)[:2] == right[:2]
    assert one[0] == two[0] == right[0]
    assert one[1] == two[1] != right[1]


def test_a_corruption_may_swallow_a_message(honest: Tap) -> None:
    lost = Corruption(kind=COMMIT, nth=0, receivers=0b0010, is_lost=True)
    tap = Tap(Vice.CORRUPT_ROUNDS, corruptions=(lost,))

    assert honest.frames(COMMIT, to=1)[0] not in tap.frames(COMMIT, to=1)
    assert honest.frames(COMMIT, to=2)[0] in tap.frames(COMMIT, to=2)


def test_corruptions_of_every_kind_of_message_are_drawn() -> None:
    drawn = [draw_corruption(Random(seed)) for seed in range(300)]

    assert {one.kind for one in drawn} >= {1, 2, 3, 4, 5, 6, 10, 12, 15}
    assert {one.is_lost for one in drawn} == {True, False}
    assert all(one.receivers for one in drawn)


def test_one_who_withholds_shows_its_commits_to_one_other_only() -> None:
    tap = Tap(Vice.WITHHOLD)

    assert tap.frames(COMMIT, to=1)
    assert not tap.frames(COMMIT, to=2)
    assert not tap.frames(COMMIT, to=3)


def test_the_silent_speak_to_one_of_three_and_to_all_at_other_times() -> None:
    tap = Tap(Vice.SILENT)

    times = {to: [at_ms for at_ms, target, _ in tap.sent if target == to] for to in (1, 2, 3)}
    assert min(times[1]) < 1_000
    assert min(times[2]) >= 2_000
    assert min(times[3]) >= 2_000


def test_the_slow_say_the_same_later(honest: Tap) -> None:
    tap = Tap(Vice.SLOW)

    assert min(at_ms for at_ms, _, _ in tap.sent) >= 100 + min(at_ms for at_ms, _, _ in honest.sent)
    assert tap.frames(PRE_PREPARE)


def test_one_who_stalls_proposes_what_was_asked_for_late_and_nothing_between(honest: Tap) -> None:
    tap = Tap(Vice.STALL)

    batches = [Batch.from_bytes(codec.decode(frame)[1]) for frame in tap.frames(BODY, to=1)]
    assert any(not batch.requests for batch in batches)
    assert tap.frames(PRE_PREPARE) != honest.frames(PRE_PREPARE)
    begun_ms = min(at_ms for at_ms, _, frame in tap.sent if kind_of(frame) == PRE_PREPARE)
    assert begun_ms >= 300 + min(
        at for at, _, frame in honest.sent if kind_of(frame) == PRE_PREPARE
    )
    assert not tap.world.breaches
    assert tap.world.nodes[1].state.executed > 0


@pytest.mark.parametrize("vice", [Vice.JUNK, Vice.REHASH])
def test_useless_requests_are_relayed_in_bounded_numbers_and_depose_nobody(vice: Vice) -> None:
    tap = Tap(vice)

    relayed = [codec.decode(frame) for frame in tap.frames(REQUESTS)]
    named = {request for _, is_relayed, requests in relayed if is_relayed for request in requests}
    assert 0 < len(named) <= 120
    assert (named <= tap.world.integrity.asked) == (vice is Vice.REHASH)
    assert {node.replica.view for node in tap.world.nodes if node.replica} == {0}
    assert not tap.world.breaches


def test_one_who_repeats_absurd_batches_of_its_own_relays_what_can_be_read() -> None:
    tap = Tap(Vice.ABSURD, Vice.REHASH)

    liar = tap.world.nodes[LIAR].behaviour
    assert isinstance(liar, Byzantine)
    liar._batches = {Digest(bytes(32)): Batch(1, (b"twice", b"twice")).to_bytes()}
    assert liar._relay(tap.world.nodes[LIAR]) == []
    assert not tap.world.breaches


def test_one_who_repeats_itself_says_nothing_new(honest: Tap) -> None:
    tap = Tap(Vice.REPLAY)

    doubled = [
        frame for frame in tap.frames(COMMIT, to=3) if tap.frames(COMMIT, to=3).count(frame) > 1
    ]
    assert len(tap.sent) > len(honest.sent)
    assert doubled or len(tap.frames(BODY, to=3)) > len(honest.frames(BODY, to=3))
    assert not tap.world.auditor.culprits


def test_noise_is_one_bit_away_from_sense() -> None:
    tap = Tap(Vice.GARBAGE)

    sense = [frame for _, target, frame in tap.sent if target == 2]
    noise = [frame for _, target, frame in tap.sent if target == 1 and frame not in sense]
    assert any(min(distances_bits(frame, sense)) == 1 for frame in noise)


def distances_bits(frame: bytes, others: list[bytes]) -> list[int]:
    return [
        sum((a ^ b).bit_count() for a, b in zip(frame, other, strict=True))
        for other in others
        if len(other) == len(frame)
    ]
