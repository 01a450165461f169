"""A cluster's life in some hundreds of batches, in which each rule of the ledger has its turn."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random

from bftcluster import codec
from bftcluster.ids import View
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import STATE_SPACES
from bftcluster.ledger.rules.batch import Applied, OrderedBatch
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import UnpinOperation
from bftcluster.ledger.wire.pin_strategy import AgeRule, SetAgeRules
from bftcluster.ledger.wire.requests import Request
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.limits import PERIOD_MIN_MS
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.threshold.library import best_curve
from bftcluster.sync.beacon_duties import BeaconDuties
from tests.unit.ledger.audits import DAY_MS as AUDIT_DAY_MS
from tests.unit.ledger.audits import AuditWorld, wrong
from tests.unit.ledger.departures import HOUR_MS
from tests.unit.ledger.invitees import departure, invitation, redemption
from tests.unit.ledger.rules.test_evidence import evidence
from tests.unit.ledger.world import PEERS, TERMS, cid_of, genesis_of, peer_id
from tests.unit.signing.people import DAY_MS, VERIFIER

VOTERS = PEERS[:4]
LIAR, LIGHT, GUEST = PEERS[4:7]
SILENT = (VOTERS[3], LIGHT, GUEST)
INTERVAL = 8
LIVES_MAX = 60
"""Periods in which something that has to come is waited for."""


class History(AuditWorld):
    """Four voters; a storage peer that lies to audits, a light one, and one that was invited."""

    def __init__(self) -> None:
        self.batches: list[OrderedBatch] = []
        self.applied: list[Applied] = []
        self.copies: list[list[int]] = []
        """How many each pin had, by number: when all had come, were silent, and had aged."""
        self.duties: dict[SigningKey, BeaconDuties] = {}
        genesis = genesis_of(
            checkpoint_interval=INTERVAL,
            period_ms=PERIOD_MIN_MS,
            audit_day_ms=AUDIT_DAY_MS,
            replication_min=2,
            replication_max=3,
        )
        super().__init__(genesis, peers=VOTERS, pins=0)
        for voter in VOTERS:
            self.duties[voter] = BeaconDuties(
                signer=voter, seed=voter.seed, cluster_id=genesis.cluster_id, curve=best_curve()
            )

    def run(self, *requests: Request | bytes, after_ms: int = 1, view: int = 0) -> Applied:
        """Execute a batch, and write down what it was and led to."""
        applied = super().run(*requests, after_ms=after_ms, view=view)
        self.batches.append(
            OrderedBatch(
                seq=self.ledger.head.seq,
                timestamp_ms=self.now_ms,
                view=View(view),
                requests=tuple(r if isinstance(r, bytes) else r.to_bytes() for r in requests),
            )
        )
        self.applied.append(applied)
        return applied

    def said(self) -> list[bytes]:
        """What everybody says now, of audits and of beacons."""
        beacon, period = queries.beacon_of(self.store), self.ledger.head.period
        owed = [each for duties in self.duties.values() for each in duties.owed(beacon, period)]
        return [*super().said(), *owed]

    def live(self) -> "History":
        """Let all of it happen."""
        self._come()
        self._are_audited()
        self._fall_silent()
        self._part()
        return self

    def _come(self) -> None:
        for voter in VOTERS:
            registration = self.duties[voter].registration()
            assert self.do(self.join(voter, registration=registration)).is_accepted
        self._until(lambda: queries.beacon_of(self.store).groups != ())
        light = replace(TERMS, domain="attic", is_light=True)
        for peer, terms in ((LIAR, replace(TERMS, domain="barn")), (LIGHT, light)):
            admission = AdmitPeer(
                peer=peer_id(peer), name="new", addresses=(), votes=False, terms=terms
            )
            assert self.do(self.submit(admission)).is_accepted
        assert self.do(self.submit(invitation(expires_ms=self.now_ms + DAY_MS))).is_accepted
        assert self.do(redemption(self, GUEST)).is_accepted
        for peer in (LIAR, LIGHT, GUEST):
            assert self.do(self.join(peer)).is_accepted
            self.members.append(peer)
        rules = (AgeRule(0, 3, 3), AgeRule(2 * DAY_MS, 1, 2))
        assert self.do(self.submit(SetAgeRules(rules=rules))).is_accepted

    def _are_audited(self) -> None:
        self.lies[LIAR] = wrong
        for number in range(12):
            cid = cid_of(number)
            self.blocks[cid] = f"block {number}".encode()
            options: dict[str, object] = {"user_allocations": tuple(map(peer_id, (LIAR, GUEST)))}
            if number % 4 == 1:
                options = {"replication_min": 3, "replication_max": 3}
            if number % 4 == 3:
                options = {"expire_at_ms": self.now_ms + DAY_MS}
            if number % 4 == 2:
                options = {"user_allocations": (peer_id(LIGHT),), "replication_max": 2}
                options["replication_min"] = 2
            assert self.pin(cid, **options).is_accepted
            self.run(*[self.report(holder, cid) for holder in self.holders(cid)])
        self._until(lambda: queries.peer_of(self.store, peer_id(LIAR)) is None)
        self.members.remove(LIAR)

    def _fall_silent(self) -> None:
        """Three peers are not heard for a day, and come back; a voter contradicts itself."""
        self._note_copies()
        there = [peer for peer in self.members if peer not in SILENT]
        self._pass_days(1, there)
        self._repaired(silent=SILENT)
        self._note_copies()
        self._pass_days(1, there)
        self._repaired(silent=SILENT)
        assert all(self.do(self.join(peer)).is_accepted for peer in SILENT)
        self._repaired()
        assert self.do(evidence(self, culprit=VOTERS[2])).is_accepted
        self._repaired()

    def _part(self) -> None:
        self._pass_days(1, self.members)
        self._repaired()
        self._note_copies()
        assert self.do(self.submit(UnpinOperation(cid=cid_of(0)))).is_accepted
        assert self.do(departure(self, GUEST)).is_accepted
        self._repaired()
        assert self.do(departure(self, GUEST, is_final=True)).is_accepted
        self.members.remove(GUEST)
        assert not self.do(b"nonsense").is_accepted
        assert not self.pin(cid_of(99), replication_min=50, replication_max=60).is_accepted
        for _ in range(2):
            self._period()
            self._repaired()

    def _note_copies(self) -> None:
        pins = queries.pins_behind(self.store, b"", 100)
        self.copies.append([len(pin.allocations) for pin in sorted(pins, key=_number)])

    def _period(self) -> None:
        """Begin another period, have its beacon made, its lots drawn, its audits settled."""
        self.run(after_ms=PERIOD_MIN_MS - self.now_ms % PERIOD_MIN_MS)
        self.run(*[self.report(peer) for peer in self.members])
        for _ in range(7):
            self.step()

    def _until(self, condition: Callable[[], bool]) -> None:
        for _ in range(LIVES_MAX):
            if condition():
                return
            self._period()
        raise AssertionError("it did not happen")

    def _pass_days(self, days: int, heard: Sequence[SigningKey]) -> None:
        for _ in range(4 * days):
            self.run(*[self.join(peer) for peer in heard], after_ms=6 * HOUR_MS)
            self.step()

    def _repaired(self, *, silent: Sequence[SigningKey] = ()) -> None:
        """Have everything looked at that waits for batches, and held what is to be held."""
        for _ in range(LIVES_MAX):
            if not self.ledger.wants_batches:
                break
            self.run()
        for peer in self.members:
            duties = queries.duties_of(self.store, peer_id(peer))
            if duties and peer not in silent:
                assert self.do(self.report(peer, *[duty.cid for duty in duties])).is_accepted


def _number(pin: PinRecord) -> int:
    return pin.number


class Replay:
    """The same batches, executed again in one way or another."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self.store = MemoryStateStore()
        self.store.flush(genesis_delta(genesis))
        self._results: list[list[bytes]] = []
        self._roots: list[bytes] = []
        self.restart()

    def restart(self) -> None:
        """Keep nothing but the store."""
        self.verifier = ApprovalVerifier(self._genesis.cluster_id, VERIFIER)
        self._ledger = Ledger(self._genesis, self.store, self.verifier)

    def execute(self, batches: Sequence[OrderedBatch]) -> None:
        """Execute them in one turn."""
        executed = self._ledger.execute(batches)
        self.store.flush(executed.delta)
        self._roots += [executed.roots[seq] for seq in sorted(executed.roots)]
        self._results += results_of(executed.applied)

    def digest(self) -> str:
        """Return a digest of all rows, roots, outcomes and effects."""
        return digest_of(self.store, self._roots, self._results)


def results_of(applied: Iterable[Applied]) -> list[list[bytes]]:
    return [[repr(each.outcomes).encode(), repr(each.effects).encode()] for each in applied]


def digest_of(
    store: MemoryStateStore, roots: Sequence[bytes], results: Sequence[Sequence[bytes]]
) -> str:
    rows = [
        [int(space), key, value]
        for (space, key), value in sorted(store.rows().items())
        if space in STATE_SPACES
    ]
    return hashlib.sha256(codec.encode([rows, list(roots), list(results)])).hexdigest()[:16]


def replayed(history: History, *, restarts: bool = False, random: Random | None = None) -> str:
    """Return the digest of a history that is executed again.

    Args:
        history: Whose batches.
        restarts: Whether nothing but the store is kept between two batches.
        random: Draws how many batches a turn has, and which requests arrived long before, in which
            order, and were looked at; None: one batch a turn, of what nobody saw before.
    """
    replay = Replay(history.genesis)
    start = 0
    while start < len(history.batches):
        count = 1 if random is None else random.randrange(1, 9)
        if random is not None:
            heard_of(replay, history.batches[start : start + 2 * count], random)
        replay.execute(history.batches[start : start + count])
        start += count
        if restarts:
            replay.restart()
    return replay.digest()


def heard_of(replay: Replay, batches: Sequence[OrderedBatch], random: Random) -> None:
    """Have some requests looked at as a peer does that hears of them, in any order."""
    requests = [request for batch in batches for request in batch.requests]
    for request in random.sample(requests, len(requests) // 2):
        replay.verifier.admissible(request)
        replay.verifier.is_wanted(request)
        replay.verifier.name(request)
