"""Light peers are audited through two relays; some have deleted, and some relays withhold."""

from collections.abc import Callable

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import AuditVerdict, Grounds
from bftcluster.limits import AUDITS_ASKED_MAX
from bftcluster.pbft.frames import kind_of
from bftcluster.reputation import AuditOutcome
from bftcluster.sync.frames import AUDIT_HINT, AuditHint
from bftcluster_sim.cluster.adversary.audit_lies import Colluder, Guesser, Mum
from bftcluster_sim.cluster.peers.audit_speech import AuditLie
from bftcluster_sim.cluster.peers.light_peers import SimLightPeer, SimRelay
from bftcluster_sim.cluster.runs.volunteers import VolunteerWorld
from tests.simulation.test_audits import world_of
from tests.simulation.test_beacons import PERIOD_MS, dealt

LIGHTS = 4
PINS = 12
FULL = 4


class AuditedLights(VolunteerWorld):
    """Four full peers, of which two are relays, four light peers, and pins that some hold."""

    def __init__(self, lies: dict[int, AuditLie] | None = None) -> None:
        world = world_of(FULL)
        dealt(world)
        super().__init__(LIGHTS, world=world)
        for index, light in enumerate(self.lights):
            light.lie = (lies or {}).get(index)
            world.contents.lights[light.key] = light.shows
        self.pin(PINS)
        assert self.run_until(lambda: self.is_settled)

    def holders_of(self, number: int) -> tuple[PeerId, ...]:
        """Return two light peers and one that is neither light nor a relay."""
        pair = self.lights[number % LIGHTS], self.lights[(number + 1) % LIGHTS]
        return (*[PeerId(light.key) for light in pair], PeerId(self.world.nodes[0].key))

    def audited(self, periods: int = 5) -> None:
        for _ in range(periods):
            self.pin(1)
            self.wait_ms(PERIOD_MS)

    def verdicts(self, light: SimLightPeer) -> list[AuditVerdict]:
        database = self.world.nodes[0].state.database
        return queries.audit_verdicts_of(database, PeerId(light.key))

    def grounds(self, light: SimLightPeer) -> set[tuple[AuditOutcome, Grounds]]:
        return {(each.outcome, each.grounds) for each in self.verdicts(light)}

    def withhold(self, *relays: SimRelay, hides: Callable[[bytes], bool]) -> None:
        """Have relays leave out of what they say to light peers what ``hides`` picks."""
        for relay in relays:
            relay.lie = lambda _, frame: [] if hides(frame) else [frame]


def is_hint(frame: bytes) -> bool:
    return kind_of(frame) == AUDIT_HINT


def outcomes(verdicts: list[AuditVerdict]) -> set[AuditOutcome]:
    return {each.outcome for each in verdicts}


def test_light_peers_that_hold_what_they_should_pass_by_what_they_answer() -> None:
    world = AuditedLights()

    world.audited()

    assert world.world.breaches == []
    for light in world.lights:
        assert outcomes(world.verdicts(light)) == {AuditOutcome.PASSED}
        assert light.faults == []
    answered = [each for light in world.lights for each in world.verdicts(light) if each.word_seq]
    assert answered


@pytest.mark.parametrize(
    "lie",
    [
        Guesser(),
        pytest.param(Colluder(), marks=pytest.mark.slow),
        pytest.param(Mum(), marks=pytest.mark.slow),
    ],
    ids=lambda lie: type(lie).__name__,
)
def test_a_light_peer_that_has_deleted_fails_whatever_it_says(lie: AuditLie) -> None:
    world = AuditedLights({0: lie})

    world.audited(10 if isinstance(lie, Mum) else 8)

    assert world.world.breaches == []
    assert AuditOutcome.FAILED in outcomes(world.verdicts(world.lights[0]))
    for light in world.lights[1:]:
        assert outcomes(world.verdicts(light)) == {AuditOutcome.PASSED}


def test_one_relay_that_withholds_or_loses_costs_nothing() -> None:
    """It hides challenges, sends no blocks, and has nothing ordered of what it is given."""
    world = AuditedLights()
    world.withhold(world.relays[0], hides=is_hint)
    world.relays[0].sends_blocks = False

    world.audited()

    for light in world.lights:
        assert outcomes(world.verdicts(light)) == {AuditOutcome.PASSED}


@pytest.mark.slow
def test_two_relays_that_hide_challenges_make_voters_look() -> None:
    world = AuditedLights()
    world.withhold(*world.relays, hides=is_hint)

    world.audited()

    judged = [light for light in world.lights if world.verdicts(light)]
    assert judged
    for light in judged:
        last = world.verdicts(light)[-2:]
        assert {(each.outcome, each.grounds) for each in last} == {
            (AuditOutcome.PASSED, Grounds.SIGHT)
        }


@pytest.mark.slow
def test_two_relays_that_hide_everything_harm_no_more_than_absence_does() -> None:
    """Light peers are unknown at first; they fail only if their announcements get through."""
    world = AuditedLights()
    world.withhold(*world.relays, hides=is_hint)
    for relay in world.relays:
        relay.sends_blocks = False

    world.audited(10)

    found = {each for light in world.lights for each in world.grounds(light)}
    assert (AuditOutcome.UNKNOWN, Grounds.SILENCE) in found
    failed = {grounds for outcome, grounds in found if outcome is AuditOutcome.FAILED}
    assert failed <= {Grounds.ABSENCE}
    for light in world.lights:
        unknown = [each for each in world.verdicts(light) if each.grounds is Grounds.SILENCE]
        absent = [each for each in world.verdicts(light) if each.grounds is Grounds.ABSENCE]
        for each in absent:
            asked = [one for one in unknown if one.number == each.number]
            assert len(asked) <= AUDITS_ASKED_MAX


@pytest.mark.slow
def test_light_peers_at_no_relay_fail_nothing() -> None:
    world = AuditedLights()
    for light in world.lights:
        light.kill()

    world.audited(10)

    for light in world.lights:
        assert AuditOutcome.FAILED not in outcomes(world.verdicts(light))


def test_challenges_that_relays_make_up_convict_nobody() -> None:
    """The first asks for another pin under true numbers and seeds, and for answers too early."""
    world = AuditedLights()
    told: list[AuditHint] = []

    def made_up(light: SimLightPeer, frame: bytes) -> list[bytes]:
        if not is_hint(frame):
            return [frame]
        hint = AuditHint.from_frame(frame)
        others = [cid for cid in sorted(light.kept) if cid != hint.cid][:1]
        lies = [
            AuditHint(number=hint.number, seed=hint.seed, cid=cid, is_pledged=is_pledged)
            for cid in others
            for is_pledged in (False, True)
        ]
        early = AuditHint(number=hint.number, seed=hint.seed, cid=hint.cid, is_pledged=True)
        told.extend(lies)
        return [*[each.frame() for each in (*lies, early)], frame]

    for relay in world.relays:
        relay.lie = made_up

    world.audited()

    assert told
    assert world.world.breaches == []
    for light in world.lights:
        assert outcomes(world.verdicts(light)) == {AuditOutcome.PASSED}
