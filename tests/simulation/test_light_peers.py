"""Light peers among four replicas and two relays, some of which withhold or lie."""

from collections.abc import Callable

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.wire.requests import Submit, parse_request
from bftcluster.pbft.frames import kind_of
from bftcluster.signing.approvals import ApprovalCertificate
from bftcluster.sync.frames import HINT, DutyHint
from bftcluster_sim.cluster.peers.light_peers import SimLightPeer
from bftcluster_sim.cluster.peers.states import pinned
from bftcluster_sim.cluster.runs.volunteers import VolunteerWorld, count_volunteers

LIGHTS = 6


class LightWorld(VolunteerWorld):
    """Six light peers."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(LIGHTS, seed=seed)

    def wait(self, condition: Callable[[], bool]) -> None:
        assert self.run_until(condition)


def test_every_light_peer_comes_to_know_keep_and_report_its_duties() -> None:
    world = LightWorld()

    cids = world.pin(40)
    world.wait(lambda: world.is_settled)

    assert sum(len(world.owed(light)) for light in world.lights) == 2 * len(cids)
    assert not any(light.faults for light in world.lights)
    for light in world.lights:
        owed, reported = world.world.nodes[0].state.duties(PeerId(light.key))
        assert owed == reported
    assert world.world.breaches == []


def test_a_hint_makes_a_duty_known_within_a_second() -> None:
    world = LightWorld()
    cids = world.pin(20)
    begun_ms = world.world.clock.now_ms

    world.wait(lambda: all(world.owed(light) <= set(light.kept) for light in world.lights))

    assert len(cids) == 20
    assert world.world.clock.now_ms - begun_ms < 1_000


def test_relays_that_lie_about_approvals_have_nothing_kept() -> None:
    """Both invent pins, and forge the approvals of others: it costs each hint a look."""
    world = LightWorld()
    made_up = pinned(9_999)

    def forged(light: SimLightPeer, frame: bytes) -> list[bytes]:
        if kind_of(frame) != HINT:
            return [frame]
        hint = DutyHint.from_frame(frame)
        right = parse_request(hint.approval)
        assert isinstance(right, Submit)
        other = parse_request(world.world.founding.request(9_999))
        assert isinstance(other, Submit)
        certificate = ApprovalCertificate(
            intent=other.certificate.intent,
            scheme=right.certificate.scheme,
            signers=right.certificate.signers,
            signatures=right.certificate.signatures,
        )
        lie = DutyHint(seq=hint.seq, approval=Submit(certificate=certificate).to_bytes())
        return [lie.frame(), frame]

    for relay in world.relays:
        relay.lie = forged
    world.pin(20)
    world.wait(lambda: world.is_settled)

    assert all(made_up not in light.ever_desired for light in world.lights)
    assert any(light.faults for light in world.lights)


def test_approved_content_that_is_not_theirs_is_dropped_after_two_checkpoints() -> None:
    world = LightWorld()
    victim = world.lights[0]
    told: list[Cid] = []

    def not_theirs(light: SimLightPeer, frame: bytes) -> list[bytes]:
        if light is not victim or kind_of(frame) != HINT:
            return [frame]
        others = sorted(set(world.approvals) - world.owed(light))
        told.extend(others[:1])
        seq = DutyHint.from_frame(frame).seq
        lies = [DutyHint(seq=seq, approval=world.approvals[cid]).frame() for cid in others[:1]]
        return [frame, *lies]

    for relay in world.relays:
        relay.lie = not_theirs
    world.pin(20)
    assert set(told) & victim.ever_desired

    for relay in world.relays:
        relay.lie = None
    for _ in range(3):
        world.pin(20)
        world.world.run_until(world.world.clock.now_ms + 70_000)

    assert set(victim.kept) == world.owed(victim)


def test_after_restarts_they_go_on_from_their_memory() -> None:
    world = LightWorld()
    world.pin(20)
    world.wait(lambda: world.is_settled)
    for light in world.lights:
        light.kill()
    world.pin(20)
    for light in world.lights:
        light.start()
        assert set(light.core.book.cids) <= world.owed(light)

    world.wait(lambda: world.is_settled)


def test_equal_seeds_give_equal_runs() -> None:
    def run() -> list[tuple[int, int]]:
        world = LightWorld(seed=7)
        world.world.links.faults.loss_percent = 5
        world.world.links.faults.delay_ms_max = 40
        world.pin(20)
        world.wait(lambda: world.is_settled)
        return [(light.received_bytes, len(light.kept)) for light in world.lights]

    assert run() == run()


def test_a_run_counts_what_light_peers_cost() -> None:
    costs = count_volunteers(8, 20)

    assert len(costs.known_ms) == 2 * 20
    assert costs.known_ms[-1] < 1_000
    assert costs.relay_bytes > 0
    assert costs.newcomer_bytes > 0
