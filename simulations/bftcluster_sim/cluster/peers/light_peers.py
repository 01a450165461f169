"""Light peers and their relays: the real core, at the level of messages.

Contents are names here: what a light peer keeps it has a while after it learnt that it is to.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.rules.effects import AuditMoved, KeepPin
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.ledger.wire.audit_requests import answer_digest
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.light.audit_questions import AuditQuestion
from bftcluster.light.light_memory import LightMemory
from bftcluster.light.light_peer import LightPeer
from bftcluster.limits import HANDED_IN_EVERY_MS, HINTS_PER_ANSWER_MAX
from bftcluster.pbft import RequestSubmitted
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pins.events import ReportLine
from bftcluster.pins.pace import Pace
from bftcluster.pins.status import TrackerStatus
from bftcluster.sync.announcements import Announcer, light_announced_every_ms
from bftcluster.sync.audit_duties import AuditDuties, gathered_ms, hint_of, is_asked_now
from bftcluster.sync.execution import ExecutedBatch
from bftcluster.sync.frames import (
    DutyHint,
    FetchHints,
    HandedIn,
    HandIn,
    Receiver,
    parse_sync_frame,
    read_question,
    receiver_of,
)
from bftcluster.sync.server import reply
from bftcluster_sim.cluster.environment.clocks import VirtualClock
from bftcluster_sim.cluster.environment.links import Links
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key
from bftcluster_sim.cluster.peers.audit_speech import AuditLie
from bftcluster_sim.cluster.peers.audits import data_of
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.states import CAPACITY_BYTES, WALL_EPOCH_MS, Founding

FIRST_NUMBER: Final = 1_000_000
"""Light peers are numbered from here on, among keys and on links."""
REPORT_AGAIN_MS: Final = 2 * HANDED_IN_EVERY_MS

Lie = Callable[["SimLightPeer", bytes], list[bytes]]
"""What a relay sends a light peer instead of a frame."""


@dataclass(slots=True)
class SimRelay:
    """What a full peer does for the light peers that are connected to it."""

    node: Node
    links: Links
    approvals: dict[Cid, bytes]
    """The approved request of each pin, which a node finds in its log."""
    guests: dict[ReplicaId, "SimLightPeer"] = field(default_factory=dict)
    lie: Lie | None = None
    sends_blocks: bool = True
    """Whether voters get through it what light peers hold."""
    sent_bytes: int = 0
    _handed: dict[bytes, tuple[ReplicaId, int]] = field(default_factory=dict)
    _bundle: list[bytes] = field(default_factory=list)
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace(gathered_ms(self.node.world.founding.genesis))

    def receive(self, guest: ReplicaId, frame: bytes) -> None:
        """Take a frame of a light peer."""
        if self.node.is_up and guest in self.guests:
            self.node.meter.run(lambda: self._take(guest, frame))

    def _take(self, guest: ReplicaId, frame: bytes) -> None:
        if receiver_of(frame) is Receiver.STATE_SERVER:
            question = read_question(frame)
            assert self.node.replica is not None, "it is up"
            stable = self.node.replica.stable_certificate
            for answer in reply(self.node.state.database, question, stable):
                self.say(guest, answer)
            return
        message = parse_sync_frame(frame)
        if isinstance(message, FetchHints):
            database, peer = self.node.state.database, PeerId(guest)
            duties = queries.duties_from(database, peer, message.slot, HINTS_PER_ANSWER_MAX)
            for duty in duties:
                self._hint(guest, duty.cid)
            self._tell(queries.open_audits(database), [guest])
        elif isinstance(message, HandIn):
            self._handed[message.request] = (guest, message.number)
            self.node.world.integrity.asked.add(message.request)
            self._bundle.append(message.request)
            if len(self._bundle) == 1:
                self.node.call_later(self._pace.pause_ms(self.node.now_ms), self._submit)

    def _submit(self) -> None:
        """Submit what was handed in since the last time: it makes one batch."""
        self._pace.begin(self.node.now_ms)
        bundle, self._bundle = self._bundle, []
        for request in bundle:
            self.node.take(RequestSubmitted(request))

    def executed(self, batch: ExecutedBatch) -> None:
        """Tell light peers what a batch gave them, and what became of what they handed in."""
        for request, outcome in batch.pairs:
            if request in self._handed:
                guest, number = self._handed.pop(request)
                self.say(guest, HandedIn(number=number, code=int(outcome.code)).frame())
        for effect in batch.applied.effects:
            if isinstance(effect, KeepPin):
                for peer in effect.record.allocations:
                    self._hint(ReplicaId(peer), effect.cid)
            elif isinstance(effect, AuditMoved):
                moved = queries.challenge_of(self.node.state.database, effect.number)
                self._tell([] if moved is None else [moved], list(self.guests))

    def say(self, guest: ReplicaId, frame: bytes) -> None:
        """Send a frame to a light peer, if it is here."""
        light = self.guests.get(guest)
        if light is None:
            return
        for each in [frame] if self.lie is None else self.lie(light, frame):
            self.sent_bytes += len(each)
            self._deliver(light, each)

    def _tell(self, challenges: Iterable[Challenge], guests: Iterable[ReplicaId]) -> None:
        """Tell light peers of the audits in which something is expected of them."""
        for challenge in challenges:
            for guest in guests:
                if is_asked_now(challenge, PeerId(guest)):
                    self.say(guest, hint_of(challenge).frame())

    def _deliver(self, light: "SimLightPeer", frame: bytes) -> None:
        relay, source = PeerId(self.node.key), self.node.index
        self.links.send(source, light.number, frame, lambda: light.receive(relay, frame))

    def _hint(self, guest: ReplicaId, cid: Cid) -> None:
        if guest in self.guests and cid in self.approvals:
            hint = DutyHint(seq=self.node.state.executed, approval=self.approvals[cid])
            self.say(guest, hint.frame())


class SimLightPeer:
    """One light peer, its disk, and what it keeps."""

    def __init__(
        self, index: int, *, founding: Founding, clock: VirtualClock, relays: list[SimRelay]
    ) -> None:
        self.number = FIRST_NUMBER + index
        self.key = ReplicaId(sim_key(self.number))
        self.kept: dict[Cid, int] = {}
        """What it keeps, and since when it was to."""
        self.ever_desired: set[Cid] = set()
        self.faults: list[tuple[PeerId, Verdict]] = []
        """What relays sent that no correct one sends."""
        self.received_bytes = 0
        self._founding = founding
        self._clock = clock
        self._relays = {PeerId(relay.node.key): relay for relay in relays}
        self._disk: LightMemory | None = None
        """What was written last; the next life reads its bytes."""
        self._life = 0
        self._planned_ms = 0
        """When it steps next, if it is not told of anything before."""
        self._reported: set[Cid] = set()
        self._awaited: dict[int, frozenset[Cid]] = {}
        self.has_joined = False
        """Whether a relay has said so."""
        self._again_ms = 0
        """When it is to announce itself again, once it has joined."""
        self.lie: AuditLie | None = None
        """What it makes of audits, if it is faulty."""
        self._answering: dict[int, AuditQuestion] = {}
        salts = hashlib.sha256(b"salts of " + self.key).digest()
        self._duties = AuditDuties(
            signer=SimSigner(self.key), seed=salts, cluster_id=founding.cluster_id
        )
        self._announcer = Announcer(SimSigner(self.key), founding.cluster_id, f"light{index}")
        self.core = self._new_core()

    def start(self) -> None:
        """Connect to the relays, on what the disk remembers."""
        self._life += 1
        self.core = self._new_core()
        self.core.use(list(self._relays), self._clock.now_ms)
        for relay in self._relays.values():
            relay.guests[self.key] = self
        self._awaited.clear()
        self._answering.clear()
        self._speak()
        self._step()

    def kill(self) -> None:
        """End the process: what the disk has is left."""
        self._life += 1
        for relay in self._relays.values():
            relay.guests.pop(self.key, None)

    def forget(self) -> None:
        """Lose the disk of a process that does not run, and all that it kept."""
        self._disk = None
        self.kept, self._reported = {}, set()

    @property
    def owes_nothing(self) -> bool:
        """Whether it keeps what it knows that it is to, and relays say that this is ordered."""
        return set(self.core.book.cids) == set(self.kept) == self._reported & set(self.kept)

    def receive(self, relay: PeerId, frame: bytes) -> None:
        """Take a frame of a relay."""
        if relay not in self._relays or self.key not in self._relays[relay].guests:
            return
        self.received_bytes += len(frame)
        verdict = self.core.on_frame(relay, frame, self._clock.now_ms)
        if verdict.is_fault:
            self.faults.append((relay, verdict))
        self._step()

    def shows(self, challenge: Challenge) -> bool:
        """Return whether a voter gets the blocks of an audit from it, through a relay."""
        relays = [each for each in self._relays.values() if self.key in each.guests]
        if not any(each.node.is_up and each.sends_blocks for each in relays):
            return False
        return challenge.cid in self.kept if self.lie is None else self.lie.shows(challenge)

    def _new_core(self) -> LightPeer:
        genesis, disk = self._founding.genesis, self._disk
        me, verifier = PeerId(self.key), SimVerifier()
        memory = None if disk is None else LightMemory.from_bytes(disk.to_bytes())
        return LightPeer(genesis=genesis, me=me, verifier=verifier, memory=memory)

    def _step(self) -> None:
        actions = self.core.step(self._clock.now_ms)
        if actions.is_memory_changed:
            self._disk = self.core.memory
        for cid in actions.changes.desired:
            self.kept.setdefault(cid, self._clock.now_ms)
            self.ever_desired.add(cid)
        for cid in actions.changes.dropped:
            self.kept.pop(cid, None)
            self._reported.discard(cid)
        for outcome in actions.outcomes:
            said = self._awaited.pop(outcome.number, None)
            if said is not None and outcome.code < int(OutcomeCode.MALFORMED):
                self._on_heard(said)
            if outcome.number in self._answering:
                self.core.end_audit(self._answering.pop(outcome.number))
        for relay, frame in actions.sends:
            self._send(relay, frame)
        for question in actions.audits:
            self._answer(question)
        due_ms = 0 if actions.audits else actions.deadline_ms
        self._plan(max(due_ms, self._clock.now_ms + 1))

    def _plan(self, due_ms: int) -> None:
        """Have it step when something is due: what was planned before does not count any more."""
        if due_ms == self._planned_ms:
            return
        self._planned_ms, life = due_ms, self._life

        def act() -> None:
            if (life, due_ms) == (self._life, self._planned_ms):
                self._step()

        self._clock.call_at(due_ms, act)

    def _on_heard(self, said: frozenset[Cid]) -> None:
        """Note that an announcement was ordered; at first its turns are spread over the time."""
        genesis = self._founding.genesis
        every_ms = light_announced_every_ms(genesis.period_ms, day_ms=genesis.day_ms)
        now_ms = self._clock.now_ms
        if not self.has_joined:
            self._again_ms = now_ms + int.from_bytes(self.key[:4], "big") * every_ms // (1 << 32)
            self.has_joined = True
        elif not said:
            self._again_ms = now_ms + every_ms
        self._reported |= said

    def _answer(self, question: AuditQuestion) -> None:
        """Answer a relay that says it is asked."""
        challenge = question.challenge
        right = answer_digest(challenge.seed, [data_of(challenge.cid)])
        digest: bytes | None = right if challenge.cid in self.kept else b""
        if self.lie is not None:
            digest = self.lie.answer(PeerId(self.key), challenge, right)
        found = [] if digest is None else [(challenge, digest)]
        for request in self._duties.answers(found):
            number = self.core.hand_in(request, to=question.relay)
            if number is not None:
                self._answering[number] = question
        if question not in self._answering.values():
            self.core.end_audit(question)

    def _send(self, relay: PeerId, frame: bytes) -> None:
        to = self._relays[relay]
        key = self.key

        def deliver() -> None:
            to.receive(key, frame)

        to.links.send(self.number, to.node.index, frame, deliver)

    def _speak(self) -> None:
        """Join, or report what was not reported yet; again after a while."""
        life = self._life
        wall_ms = WALL_EPOCH_MS + self._clock.now_ms
        recorded = 0 if self.core.record is None else self.core.record.counter
        news = sorted(set(self.kept) - self._reported)[:100]
        for given_up in self._awaited:
            self.core.give_up(given_up)
        self._awaited.clear()
        for given_up, question in self._answering.items():
            self.core.give_up(given_up)
            self.core.end_audit(question)
        self._answering.clear()
        if not self.has_joined or self._clock.now_ms >= self._again_ms:
            request = self._announcer.join(
                (),
                capacity_bytes=CAPACITY_BYTES,
                free_bytes=CAPACITY_BYTES,
                recorded=recorded,
                wall_ms=wall_ms,
            )
            self._hand_in(request, frozenset())
        elif news:
            lines = [ReportLine(cid, TrackerStatus.PINNED) for cid in news]
            request = self._announcer.report(
                lines, free_bytes=CAPACITY_BYTES, recorded=recorded, wall_ms=wall_ms
            )
            self._hand_in(request, frozenset(news))
        again_ms = self._clock.now_ms + REPORT_AGAIN_MS
        self._clock.call_at(again_ms, lambda: self._speak() if life == self._life else None)

    def _hand_in(self, request: bytes, said: frozenset[Cid]) -> None:
        number = self.core.hand_in(request)
        if number is not None:
            self._awaited[number] = said
            self._step()
