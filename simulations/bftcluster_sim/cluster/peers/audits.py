"""A simulated peer's part in audits: as ``loops.audits`` of ``bftcluster.node`` does it."""

import hashlib
from collections.abc import Sequence

from bftcluster.cid import Cid
from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.rules.audits.windows import patience_ms
from bftcluster.ledger.rules.effects import AuditMoved, Effect
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.ledger.wire.audit_requests import answer_digest
from bftcluster.pbft import RequestSubmitted
from bftcluster.sync.audit_duties import AuditDuties, Sight
from bftcluster_sim.cluster.peers.processes import NextLook, Process

_LOOK_AGAIN_MS = 1_000


def data_of(cid: Cid) -> bytes:
    """Return what the one block of a content holds: in the simulator, something of its name."""
    return b"content of " + cid


class AuditedPeer:
    """Ends with its process; it follows from the state, the blocks and a seed."""

    def __init__(self, node: Process) -> None:
        self._node = node
        world = node.world
        self._lie = world.audit_lies.get(node.index)
        self._genesis = world.founding.genesis
        self._duties = AuditDuties(
            signer=node.signer,
            seed=hashlib.sha256(b"salts of " + node.key).digest(),
            cluster_id=world.founding.cluster_id,
        )
        self._moved: set[int] = set()
        self._asked: dict[tuple[int, int, int], int] = {}
        """Since when we try to read from a suspect, by audit, how often it was asked, and place."""
        self._next = NextLook(node, self._look)
        node.call_later(0, self._begin)

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """Take in what the ledger changed."""
        moved = {each.number for each in effects if isinstance(each, AuditMoved)}
        if moved:
            self._moved |= moved
            self._next.plan(0)

    def _begin(self) -> None:
        audits = queries.open_audits(self._node.state.database)
        self._moved |= {each.number for each in audits}
        self._next.plan(0)

    def _look(self) -> None:
        database = self._node.state.database
        voters = self._node.state.epochs[-1].membership
        found: list[tuple[Challenge, bytes]] = []
        for number in sorted(self._moved):
            challenge = queries.challenge_of(database, number)
            sights = [] if challenge is None else self._duties.sights(challenge, voters)
            is_asked = challenge is not None and self._duties.is_asked(challenge)
            if challenge is not None and is_asked:
                answer = self._answer(challenge)
                if answer is not None:
                    found.append((challenge, answer))
            for sight in sights:
                delay_ms = self._node.world.fetch_delay_ms()
                self._node.call_later(delay_ms, lambda sight=sight: self._read(sight))  # type: ignore[misc]
            if not is_asked and not sights:
                self._moved.discard(number)
        self._submit(self._duties.answers(found))
        if self._moved:
            self._next.plan(_LOOK_AGAIN_MS)

    def _answer(self, challenge: Challenge) -> bytes | None:
        right = answer_digest(challenge.seed, [data_of(challenge.cid)])
        if self._lie is not None:
            return self._lie.answer(PeerId(self._node.key), challenge, right)
        return right if self._node.blocks.has(challenge.cid) else b""

    def _read(self, sight: Sight) -> None:
        """Read from a suspect, as anybody reads from it; say what came of it."""
        challenge, now_ms = sight.challenge, self._node.now_ms
        asked = (challenge.number, challenge.asked_times, sight.place)
        since_ms = self._asked.setdefault(asked, now_ms)
        digest: bytes | None = b""
        if self._node.world.shows(self._node, ReplicaId(sight.suspect.peer), challenge):
            digest = answer_digest(challenge.seed, [data_of(challenge.cid)])
        if self._lie is not None:
            digest = self._lie.sight(sight, digest or b"")
        elif not digest and now_ms < since_ms + patience_ms(self._genesis):
            return
        if digest is not None:
            self._submit(self._duties.attestations([(sight, digest)]))

    def _submit(self, requests: Sequence[bytes]) -> None:
        for request in requests:
            self._node.world.integrity.asked.add(request)
            self._node.take(RequestSubmitted(request))
