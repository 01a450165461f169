"""A cluster whose peers hold blocks and answer audits, batch by batch; some of them do not."""

import hashlib
from collections.abc import Callable, Collection, Sequence

from bftcluster.cid import Cid
from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.batch import Applied
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import AuditVerdict, Challenge
from bftcluster.ledger.wire.audit_requests import answer_digest
from bftcluster.ledger.wire.block_tree import PinContents
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.limits import AUDIT_DAY_MIN_MS, PERIOD_MIN_MS
from bftcluster.signing.keys import SigningKey
from bftcluster.sync.audit_duties import AuditDuties, Sight
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id

STEP_MS = 100
DAY_MS = AUDIT_DAY_MIN_MS

Lie = Callable[["AuditWorld", SigningKey, Challenge], bytes | None]
"""What a peer answers: a digest, empty for blocks that it says it lacks, or nothing at all."""
FalseSight = Callable[["AuditWorld", SigningKey, Sight], bytes | None]
"""What a voter says it saw, likewise."""


def right(world: "AuditWorld", _peer: SigningKey, challenge: Challenge) -> bytes:
    return answer_digest(challenge.seed, [world.blocks[challenge.cid]])


def wrong(_world: "AuditWorld", peer: SigningKey, challenge: Challenge) -> bytes:
    return hashlib.sha256(challenge.seed + peer.public_key).digest()


def agreed_lie(_world: "AuditWorld", _peer: SigningKey, challenge: Challenge) -> bytes:
    return hashlib.sha256(challenge.seed).digest()


def silent(*_: object) -> None:
    return None


def denies(*_: object) -> bytes:
    return b""


class AuditWorld(World):
    """Everybody holds what it should and says so, but for those that are told otherwise."""

    def __init__(
        self,
        genesis: Genesis | None = None,
        *,
        peers: Sequence[SigningKey] = PEERS[:4],
        pins: int = 3,
        copies: int = 3,
    ) -> None:
        options = {"period_ms": PERIOD_MIN_MS, "audit_day_ms": DAY_MS}
        super().__init__(genesis or genesis_of(peers=peers, **options))
        self.members = list(peers)
        self.blocks: dict[Cid, bytes] = {}
        self.lost: dict[SigningKey, set[Cid]] = {}
        """What a peer does not have, and does not show."""
        self.lies: dict[SigningKey, Lie] = {}
        self.false_sights: dict[SigningKey, FalseSight] = {}
        self.shown_to: dict[SigningKey, Collection[SigningKey]] = {}
        """To whom a peer sends its blocks, if not to everybody."""
        self.outcomes: list[Outcome] = []
        self.said_bytes = 0
        """Of all that was said of audits."""
        self.join_all()
        for number in range(pins):
            self.keep(number, copies)

    def keep(self, number: int, copies: int, *, size_bytes: int = 0) -> None:
        """Have a pin kept and reported."""
        cid = cid_of(number)
        self.blocks[cid] = f"block {number}".encode()
        contents = None
        if size_bytes:
            root = Digest(bytes(32))
            contents = PinContents(size_bytes=size_bytes, blocks=size_bytes >> 18, root=root)
        options = {"replication_min": copies, "replication_max": copies, "contents": contents}
        assert self.pin(cid, **options).is_accepted
        for peer in self.holders(cid):
            assert self.do(self.report(peer, cid)).is_accepted

    def holders(self, cid: Cid) -> list[SigningKey]:
        record = self.record(cid)
        assert record is not None
        return [peer for peer in self.members if record.is_owed_by(peer_id(peer))]

    @property
    def audits(self) -> list[Challenge]:
        return queries.open_audits(self.store)

    def verdicts(self, peer: SigningKey) -> list[AuditVerdict]:
        return queries.audit_verdicts_of(self.store, peer_id(peer))

    def draw(self, value: bytes = b"beacon") -> Applied:
        """Have this period's beacon made, as if by those who hold shares; draw all lots."""
        self.begin_period()
        self.put_beacon(value)
        applied = self.run()
        while self.ledger.wants_batches:
            self.run()
        return applied

    def put_beacon(self, value: bytes = b"beacon") -> None:
        period = self.ledger.head.period.to_bytes(8, "big")
        digest = hashlib.sha256(value + period).digest()
        self.store.flush({(Space.BEACON, b"drawn/" + period): digest})
        self.reopen()

    def begin_period(self) -> None:
        period_ms = self.genesis.period_ms
        self.run(after_ms=period_ms - self.now_ms % period_ms)
        self.run(*[self.report(peer) for peer in self.members], after_ms=1)

    def has(self, peer: SigningKey, cid: Cid) -> bool:
        return cid not in self.lost.get(peer, ())

    def said(self) -> list[bytes]:
        """What everybody says now."""
        voters = self.ledger.epochs[-1].membership
        requests: list[bytes] = []
        for peer in self.members:
            duties = AuditDuties(signer=peer, seed=peer.seed, cluster_id=self.genesis.cluster_id)
            asked = [each for each in self.audits if duties.is_asked(each)]
            answers = [(each, self._answer(peer, each)) for each in asked]
            requests += duties.answers(
                [(each, digest) for each, digest in answers if digest is not None]
            )
            sights = [s for each in self.audits for s in duties.sights(each, voters)]
            seen = [(sight, self._sight(peer, sight)) for sight in sights]
            requests += duties.attestations(
                [(sight, digest) for sight, digest in seen if digest is not None]
            )
        return requests

    def _answer(self, peer: SigningKey, challenge: Challenge) -> bytes | None:
        lie = self.lies.get(peer)
        if lie is not None:
            return lie(self, peer, challenge)
        return right(self, peer, challenge) if self.has(peer, challenge.cid) else b""

    def _sight(self, voter: SigningKey, sight: Sight) -> bytes | None:
        lie = self.false_sights.get(voter)
        if lie is not None:
            return lie(self, voter, sight)
        suspect = next(each for each in self.members if peer_id(each) == sight.suspect.peer)
        has = self.has(suspect, sight.challenge.cid)
        has = has and voter in self.shown_to.get(suspect, (voter,))
        return right(self, voter, sight.challenge) if has else b""

    def step(self, after_ms: int = STEP_MS) -> Applied:
        """One batch, with whatever was owed before it and is wanted."""
        said = [each for each in self.said() if self.verifier.is_wanted(each)]
        assert all(self.verifier.admissible(each) for each in said)
        self.said_bytes += sum(map(len, said))
        applied = self.run(*said, after_ms=after_ms)
        self.outcomes += applied.outcomes
        return applied

    def settle(self, steps: int = 12) -> None:
        """Let everybody say what it owes now."""
        for _ in range(steps):
            self.step()

    def pass_time(self, ms: int, *, heard: Sequence[SigningKey], each_ms: int = 1_000) -> None:
        """Let time pass in which everybody says what it owes, and some announce themselves."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.run(*[self.report(peer) for peer in heard], after_ms=1)
            self.step(min(each_ms, end_ms - self.now_ms) or 1)

    def ids(self, *peers: SigningKey) -> set[PeerId]:
        return {peer_id(peer) for peer in peers}
