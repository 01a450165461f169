"""A peer that keeps no ledger: learns its own duties from relays it need not trust.

It knows the genesis. Links between epochs lead from there to who votes now; they sign checkpoints;
a checkpoint's root proves the rows about this peer, and its head row how many duties there are, so
that none can be left out. Relays carry all that. What they can do is be late, and against that
there are several: the newest checkpoint that any of them shows is the one that counts.

Sans-IO: ``step`` says what to send, what became a duty, and when to come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, PeerId, ReplicaId, Seq
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.state.duties import DUTIES_PER_ROW, duties_between, duty_key, read_head
from bftcluster.ledger.state.peer_records import PeerRecord, peer_record
from bftcluster.ledger.state.state import POLICY_KEY
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.light.audit_questions import AuditQuestion, AuditQuestions
from bftcluster.light.checkpoints import CertifiedCheckpoints
from bftcluster.light.duty_book import DutyBook, DutyChanges, approved_cid
from bftcluster.light.light_memory import LightMemory
from bftcluster.light.relay_requests import HandedRequests
from bftcluster.light.row_fetcher import RowFetcher, RowQuestion
from bftcluster.limits import DUTIES_LIGHT_MAX
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.frames import kind_of, parse_frame
from bftcluster.pbft.messages import STABLE, StableCheckpoint
from bftcluster.pbft.verdicts import Verdict
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.policies import Policy
from bftcluster.sync.frames import (
    AuditHint,
    DutyHint,
    EpochLinks,
    FetchEpochLinks,
    FetchHints,
    FetchState,
    HandedIn,
    HandIn,
    StateParts,
    parse_sync_frame,
)
from bftcluster.sync.sources import ANSWER_TIMEOUT_MS, Sources

LOOK_INTERVAL_MS: Final = 60_000
"""How often relays are asked for a newer checkpoint, and for what they gave us since."""
LOOK_AGAIN_MS: Final = 2_000
"""How soon, while nothing is proven yet."""
_SLOTS_BACK: Final = 64
"""How many of the proven duties, the last, are asked about again: new ones may take their slots."""
_NO_ROOT: Final = Digest(bytes(32))
"""Of no state: whoever is asked for it shows its last checkpoint instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LightActions:
    """What to do now; then call ``step`` again at a frame, or at the deadline."""

    sends: tuple[tuple[PeerId, bytes], ...]
    changes: DutyChanges
    outcomes: tuple[HandedIn, ...]
    """What became of requests that were handed in, as a relay says."""
    audits: tuple[AuditQuestion, ...]
    """What to answer to the relays that say we are asked; then ``end_audit``."""
    is_memory_changed: bool
    """Whether ``memory`` is worth writing."""
    deadline_ms: int


@dataclass(slots=True)
class _Asked:
    number: int
    question: RowQuestion | None
    """None: for its last checkpoint."""
    at_ms: int
    has_shown: bool = False
    """Whether a checkpoint came; one is looked at for each question."""


class LightPeer:
    """What one light peer knows, and whom it asks for more."""

    def __init__(
        self, *, genesis: Genesis, me: PeerId, verifier: Verifier, memory: LightMemory | None = None
    ) -> None:
        """Begin with what an earlier life remembers, if it is about this peer of this cluster."""
        self.me = me
        self._cluster_id = genesis.cluster_id
        self._checkpoints = CertifiedCheckpoints(genesis, verifier)
        self._verifier = verifier
        self.policy: Policy = genesis.policy
        """Who may approve, as proven last."""
        self.record: PeerRecord | None = None
        """What the cluster knew of this peer at the checkpoint that was proven last."""
        self.book = DutyBook()
        self._memory = LightMemory(cluster_id=genesis.cluster_id, peer=me)
        self._fetcher = RowFetcher()
        self._sources = Sources()
        self._relays: tuple[PeerId, ...] = ()
        self._asked: dict[PeerId, _Asked] = {}
        self._number = 0
        self._aim: CheckpointCertificate | None = None
        """The one that is being proven; None: nothing is."""
        self._has_heads = False
        self._look_at_ms: dict[PeerId, int] = {}
        """When each relay is asked again what is new."""
        self._handed = HandedRequests()
        self._audits = AuditQuestions()
        self._sends: list[tuple[PeerId, bytes]] = []
        self._changes: list[DutyChanges] = []
        self._is_memory_changed = False
        if memory is not None and (memory.cluster_id, memory.peer) == (genesis.cluster_id, me):
            self._recall(memory)

    @property
    def proven(self) -> Seq:
        """The checkpoint that proved what is known; 0: none did."""
        return self.book.seq

    @property
    def certified(self) -> Seq:
        """The newest checkpoint that a relay has shown."""
        return self._checkpoints.seq

    @property
    def memory(self) -> LightMemory:
        """What to keep for the next life."""
        hints = tuple(each.hint.frame() for each in self.book.hinted.values())
        return replace(self._memory, links=self._checkpoints.links, hints=hints)

    def use(self, relays: Sequence[PeerId], now_ms: int) -> None:
        """Ask these from now on: those that we are connected to."""
        for gone in [relay for relay in self._asked if relay not in relays]:
            del self._asked[gone]
        for relay in relays:
            if relay not in self._relays:
                self._look_at_ms[relay] = now_ms
        self._relays = tuple(relays)
        self._sources.use(self._relays, is_new_aim=False)

    def hand_in(self, request: bytes, *, to: PeerId | None = None) -> int | None:
        """Give a request of ours to a relay, by default the next; see ``HandedRequests``."""
        return self._handed.hand_in(request, self._relays, to=to)

    def give_up(self, number: int) -> None:
        """Wait for an outcome no longer."""
        self._handed.give_up(number)

    def end_audit(self, question: AuditQuestion) -> None:
        """Take the same question again, if it is asked again."""
        self._audits.end(question)

    def on_frame(self, relay: PeerId, frame: bytes, now_ms: int) -> Verdict:
        """Take in what a relay sent; nothing of it is believed that it does not prove."""
        if relay not in self._relays:
            return Verdict.UNSOLICITED
        try:
            if kind_of(frame) == STABLE:
                return self._on_stable(relay, frame, now_ms)
            message = parse_sync_frame(frame)
        except MalformedMessageError:
            self._sources.on_lie(relay, now_ms)
            return Verdict.MALFORMED
        match message:
            case StateParts():
                return self._on_parts(relay, message, now_ms)
            case EpochLinks():
                return self._on_links(relay, frame, now_ms)
            case DutyHint():
                return self._on_hint(message)
            case AuditHint():
                is_ours = message.cid in self.book
                question = AuditQuestion(relay, message)
                return self._audits.add(question) if is_ours else Verdict.LATE
            case HandedIn():
                return self._handed.on_outcome(relay, message)
            case FetchState() | FetchEpochLinks() | FetchHints() | HandIn():
                return Verdict.UNSOLICITED
            case _ as unreachable:
                assert_never(unreachable)

    def step(self, now_ms: int) -> LightActions:
        """Return what to do now."""
        self._give_back_late(now_ms)
        self._begin_proof()
        self._ask_for_rows(now_ms)
        self._look(now_ms)
        sends, self._sends = (*self._sends, *self._handed.take_sends()), []
        desired = tuple(cid for each in self._changes for cid in each.desired)
        dropped = tuple(cid for each in self._changes for cid in each.dropped)
        self._changes = []
        is_changed, self._is_memory_changed = self._is_memory_changed, False
        return LightActions(
            sends=sends,
            changes=DutyChanges(desired=desired, dropped=dropped),
            outcomes=self._handed.take_outcomes(),
            audits=self._audits.take(),
            is_memory_changed=is_changed,
            deadline_ms=self._deadline_ms(now_ms),
        )

    # Checkpoints, and who signs them

    def _on_stable(self, relay: PeerId, frame: bytes, now_ms: int) -> Verdict:
        asked = self._asked.get(relay)
        if asked is None or asked.has_shown:
            return Verdict.UNSOLICITED
        asked.has_shown = True
        message = parse_frame(ReplicaId(relay), frame)
        assert isinstance(message, StableCheckpoint), "that is what this kind is"
        verdict = self._checkpoints.look_at(message.certificate)
        if verdict is Verdict.WAITING:
            question = self._checkpoints.ask(relay, now_ms)
            if question is not None:
                self._sends.append((relay, question))
        elif verdict.is_fault:
            self._sources.on_lie(relay, now_ms)
        return verdict

    def _on_links(self, relay: PeerId, frame: bytes, now_ms: int) -> Verdict:
        verdict = self._checkpoints.on_links(relay, frame, now_ms)
        if verdict is Verdict.ACCEPTED:
            self._is_memory_changed = True
            self._look_at_ms[relay] = now_ms
        return verdict

    # Rows, and what they prove

    def _begin_proof(self) -> None:
        """Aim at the newest checkpoint that was shown, between two answers."""
        newest = self._checkpoints.newest
        reached = self.book.seq if self._aim is None else self._aim.seq
        if newest is None or newest.seq <= max(reached, self.book.seq):
            return
        if any(each.question for each in self._asked.values()):
            return
        self._aim = newest
        self._has_heads = False
        self._sources.use(self._relays, is_new_aim=True)
        self._fetcher.aim(newest.state_root)
        self._fetcher.want(self._head_keys())
        self._advance()

    def _advance(self) -> None:
        """Go on to the duties when the heads are proven, and take all in when those are."""
        if not self._fetcher.is_complete:
            return
        if not self._has_heads:
            self._has_heads = True
            version = self._fetcher.rows[Space.META, POLICY_KEY]
            wanted: list[Key] = [] if version is None else [(Space.POLICY, version)]
            self._fetcher.want([*wanted, *self._duty_keys()])
        if self._fetcher.is_complete:
            self._take_in()

    def _head_keys(self) -> list[Key]:
        return [(Space.META, POLICY_KEY), (Space.PEER, self.me), (Space.DUTY, self.me)]

    def _duty_keys(self) -> list[Key]:
        keys = _row_keys(self.me, _count(self._fetcher.rows[Space.DUTY, self.me]))
        return [(Space.DUTY, key) for key in keys]

    def _take_in(self) -> None:
        aim, rows = self._aim, self._fetcher.rows
        assert aim is not None, "rows are of a checkpoint"
        self._aim = None
        policy = b""
        for (space, _), value in rows.items():
            if space is Space.POLICY and value is not None:
                policy = value
        duty_rows = tuple(rows[key] or b"" for key in self._duty_keys())
        self._memory = replace(
            self._memory,
            certificate=aim.to_bytes(),
            policy_row=policy,
            peer_row=rows[Space.PEER, self.me] or b"",
            head_row=rows[Space.DUTY, self.me] or b"",
            duty_rows=duty_rows,
        )
        self._fetcher.forget_the_rest()
        self._read(aim.seq)
        self._is_memory_changed = True

    def _read(self, seq: Seq) -> None:
        """Read the rows that were proven."""
        memory = self._memory
        if memory.policy_row:
            self.policy = Policy.from_bytes(memory.policy_row)
        self.record = peer_record(memory.peer_row) if memory.peer_row else None
        count = _count(memory.head_row)
        rows = dict(zip(_row_keys(self.me, count), memory.duty_rows, strict=True))
        self._changes.append(self.book.prove(seq, duties_between(self.me, 0, count, rows.get)))

    def _recall(self, memory: LightMemory) -> None:
        self._checkpoints.recall(memory.links, memory.certificate)
        self._memory = memory
        if memory.certificate:
            self._fetcher.remember([memory.peer_row, memory.head_row, *memory.duty_rows])
            self._read(self.certified)
        for frame in memory.hints:
            self._on_hint(DutyHint.from_frame(frame))
        self._is_memory_changed = False

    def _on_parts(self, relay: PeerId, parts: StateParts, now_ms: int) -> Verdict:
        asked = self._asked.get(relay)
        if asked is None or asked.number != parts.number:
            return Verdict.UNSOLICITED
        del self._asked[relay]
        if asked.question is None or self._aim is None:
            return Verdict.ACCEPTED
        if parts.root != self._aim.state_root:
            self._sources.on_moved(relay, now_ms)
            return Verdict.LATE
        if not self._fetcher.take(asked.question, parts):
            self._sources.on_lie(relay, now_ms)
            return Verdict.WRONG_STATE
        self._sources.on_right(relay, taken_ms=now_ms - asked.at_ms)
        self._advance()
        return Verdict.ACCEPTED

    # What relays say

    def _on_hint(self, hint: DutyHint) -> Verdict:
        """Look into a hint; its approvals are verified before anything is done about it."""
        cid = approved_cid(hint, self._cluster_id, self.policy, self._verifier)
        if cid is None:
            return Verdict.INADMISSIBLE
        if not self.book.add_hint(cid, hint, certified=self.certified):
            return Verdict.DUPLICATE
        self._changes.append(DutyChanges(desired=(cid,)))
        self._is_memory_changed = True
        return Verdict.ACCEPTED

    # Whom to ask, and when

    def _give_back_late(self, now_ms: int) -> None:
        for relay, asked in list(self._asked.items()):
            if now_ms >= asked.at_ms + ANSWER_TIMEOUT_MS:
                del self._asked[relay]
                self._sources.on_silence(relay, now_ms)

    def _ask_for_rows(self, now_ms: int) -> None:
        """Ask one relay at a time: what one does not give in time, the next is asked for."""
        if self._aim is None or any(each.question for each in self._asked.values()):
            return
        free = [relay for relay in self._sources.in_order(now_ms) if relay not in self._asked]
        question = self._fetcher.question()
        if free and (question.nodes or question.rows):
            self._ask(free[0], question, now_ms)

    def _look(self, now_ms: int) -> None:
        """Ask relays whether there is a newer checkpoint, and for what they gave us since."""
        for relay in self._relays:
            if relay in self._asked or now_ms < self._look_at_ms[relay]:
                continue
            pause_ms = LOOK_INTERVAL_MS if self.book.seq else LOOK_AGAIN_MS
            self._look_at_ms[relay] = now_ms + pause_ms
            self._ask(relay, None, now_ms)
            slot = max(0, len(self.book.proven) - _SLOTS_BACK)
            self._sends.append((relay, FetchHints(slot).frame()))

    def _ask(self, relay: PeerId, question: RowQuestion | None, now_ms: int) -> None:
        self._number += 1
        self._asked[relay] = _Asked(self._number, question, now_ms)
        root = _NO_ROOT
        nodes: tuple[str, ...] = ("",)
        rows: tuple[Key, ...] = ()
        if question is not None:
            assert self._aim is not None, "rows are asked for of a checkpoint"
            root = self._aim.state_root
            nodes = tuple(prefix for prefix, _ in question.nodes)
            rows = tuple(key for key, _ in question.rows)
        frame = FetchState(number=self._number, root=root, nodes=nodes, rows=rows).frame()
        self._sends.append((relay, frame))

    def _deadline_ms(self, now_ms: int) -> int:
        due_ms = [asked.at_ms + ANSWER_TIMEOUT_MS for asked in self._asked.values()]
        due_ms += [self._look_at_ms[relay] for relay in self._relays if relay not in self._asked]
        if self._aim is not None:
            due_ms += self._sources.resume_ms(now_ms)
        return max(now_ms, min(due_ms, default=now_ms + LOOK_INTERVAL_MS))


def _count(head_row: bytes | None) -> int:
    """Return how many duties a head has, as far as we take them."""
    return min(read_head(head_row or None).count, DUTIES_LIGHT_MAX)


def _row_keys(me: PeerId, count: int) -> list[bytes]:
    return [duty_key(me, slot) for slot in range(0, count, DUTIES_PER_ROW)]
