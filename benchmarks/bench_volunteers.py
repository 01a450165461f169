"""What a thousand storage peers cost each peer that follows the log: reports, standings, audits.

CPU time of one process that executes real batches over a store in memory: no disk, no network.
Signatures are left out of reports and periods, and are part of what audits cost. A day of audits is
drawn and answered by the rules, with lots from made-up beacons; everybody answers rightly.
"""

import hashlib
from collections.abc import Sequence
from itertools import cycle

from benchmarks.bench_ledger import NOW_MS, Executor, is_open, joins, words
from benchmarks.result import Result
from benchmarks.timing import calls_per_second
from benchmarks.workload import CAPACITY_BYTES, approved, blocks, genesis, key, pin_requests
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import AuditPhase, Challenge
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry, report
from bftcluster.reputation import AuditOutcome, OrderedEvidence, Terms, arithmetic, newcomer
from bftcluster.reputation.peer_reputation import founder
from bftcluster.reputation.tracks import FAILURE_FACTOR, INTEGRITY_SHIFT, UNKNOWN_SHIFT
from bftcluster.signing.keys import Ed25519Verifier

VOTERS = 4
PEERS = 1000
PINS = 10_000
COPIES = 3
DOMAINS = 25
PERIODS = 24
"""Of an hour: a day."""
GOAL_LINE_US = 25.0
"""A line changes a row at most: what the state root may take for one."""
GOAL_LINE_BYTES = 62
"""What it takes in the rows of its holder."""
GOAL_PERIOD_MS = 250.0
"""Of the first batch of a period: what a pin may wait in the worst case."""
GOAL_DAY_MS = 86.4
"""A thousand peers' audits take each replica a thousandth of a core."""
GOAL_DAY_BYTES = 1600
"""Four answers a day."""
EVIDENCE = OrderedEvidence(digest=Digest(bytes(32)), seq=Seq(1))


def run() -> list[Result]:
    founding = genesis(peers=VOTERS, created_ms=NOW_MS)
    executor = crowd(founding)
    cids = [cid for cid, _ in blocks(PINS, label="volunteers")]
    pins = pin_requests(founding, cids, now_ms=executor.now_ms, replication=COPIES)
    executor.seconds(pins)
    return [updates(), *lines(founding, executor), *audited_day(founding, executor)]


def peer(number: int) -> PeerId:
    """Return the id of the key that signs as that peer."""
    return PeerId(key(f"peer {number}").public_key)


NUMBERS = {peer(number): number for number in range(PEERS)}


def crowd(founding: Genesis) -> Executor:
    """Return a ledger with a thousand peers that have joined, all of them vetted long ago."""
    executor = Executor(founding)
    executor.seconds([admission(founding, number) for number in range(VOTERS, PEERS)])
    terms, period = Terms(), executor.ledger.head.period
    vetted = founder(period, terms, EVIDENCE).to_value()
    executor.store.flush({(Space.REPUTATION, peer(number)): vetted for number in range(PEERS)})
    executor.reopen(founding)
    executor.seconds(joins(founding, PEERS))
    return executor


def admission(founding: Genesis, number: int) -> bytes:
    """Return what lets a peer in that does not vote."""
    terms = PeerTerms(capacity_bytes=CAPACITY_BYTES, domain=f"domain {number % DOMAINS}")
    operation = AdmitPeer(
        peer=peer(number), name=f"peer{number}", addresses=(), votes=False, terms=terms
    )
    return approved(founding, operation, nonce=peer(number), now_ms=NOW_MS + 60_000)


def updates() -> Result:
    """Return how often a reputation takes an audit in; at best the arithmetic takes all time."""
    known = newcomer(0, Terms(), EVIDENCE)
    outcomes = cycle(AuditOutcome).__next__
    good, bad = known.integrity.good, known.unknown.good

    def arithmetic_alone() -> None:
        for shift, factor in ((INTEGRITY_SHIFT, FAILURE_FACTOR), (UNKNOWN_SHIFT, 1)):
            arithmetic.good_after(good, 1, shift)
            arithmetic.bad_after(bad, 0, shift, factor)

    return Result(
        name="reputation_updates",
        value=calls_per_second(lambda: known.audited(outcomes(), EVIDENCE)),
        unit="1/s",
        limit=calls_per_second(arithmetic_alone),
    )


def lines(founding: Genesis, executor: Executor) -> list[Result]:
    """Return what a line of a report costs where each peer reports its own pins at once."""
    requests, count = [], 0
    for number in range(PEERS):
        duties = queries.duties_of(executor.store, peer(number))
        count += len(duties)
        entries = tuple(ReportEntry(duty.cid, HolderStatus.PINNED) for duty in duties)
        requests.append(
            report(
                key(f"peer {number}"),
                cluster_id=founding.cluster_id,
                counter=2,
                entries=entries,
                free_bytes=CAPACITY_BYTES,
            ).to_bytes()
        )
    assert count == PINS * COPIES, "each copy is somebody's"
    line_us = executor.seconds(requests) / count * 1e6
    line_bytes = sum(map(len, requests)) / count
    return [
        Result(name="report_line_us_1000", value=line_us, unit="us", limit=GOAL_LINE_US),
        Result(name="report_line_bytes_1000", value=line_bytes, unit="B", limit=GOAL_LINE_BYTES),
    ]


def audited_day(founding: Genesis, executor: Executor) -> list[Result]:
    """Return what a day of audits costs, and the first batch of each of its periods."""
    executor.signatures = Ed25519Verifier()
    first_s, audits_s, size_bytes, answers = 0.0, 0.0, 0, 0
    for turn in range(PERIODS):
        executor.now_ms += founding.period_ms
        executor.reopen(founding)
        first_s += executor.empty_batch_seconds()
        executor.seconds(joins(founding, PEERS, counter=10 + turn))
        period = executor.ledger.head.period.to_bytes(8, "big")
        drawn = {(Space.BEACON, b"drawn/" + period): hashlib.sha256(period).digest()}
        executor.store.flush(drawn)
        executor.reopen(founding)
        audits_s += executor.empty_batch_seconds()
        while executor.ledger.wants_batches:
            audits_s += executor.empty_batch_seconds()
        answers += sum(
            len(each.asked) for each in due(executor) if each.phase is AuditPhase.PLEDGING
        )
        while open_now := due(executor):
            for number in sorted(concerned(open_now)):
                said = words(founding, open_now, number)
                wanted = [each for each in said if executor.verifier.is_wanted(each)]
                size_bytes += sum(map(len, wanted))
                audits_s += executor.seconds(wanted)
    return [
        Result(
            name="period_first_batch_ms",
            value=first_s / PERIODS * 1e3,
            unit="ms",
            limit=GOAL_PERIOD_MS,
        ),
        Result(name="audit_answers_peer_day", value=answers / PEERS, unit=""),
        Result(
            name="audit_peer_day_ms", value=audits_s / PEERS * 1e3, unit="ms", limit=GOAL_DAY_MS
        ),
        Result(
            name="audit_peer_day_bytes", value=size_bytes / PEERS, unit="B", limit=GOAL_DAY_BYTES
        ),
    ]


def due(executor: Executor) -> list[Challenge]:
    """Return the audits in which somebody has something to say now."""
    return [each for each in queries.open_audits(executor.store) if is_open(each)]


def concerned(challenges: Sequence[Challenge]) -> set[int]:
    """Return the numbers of those who may have something to say."""
    found = {NUMBERS[each.peer] for challenge in challenges for each in challenge.asked}
    is_looked_at = any(challenge.phase is AuditPhase.SIGHTING for challenge in challenges)
    return found | set(range(VOTERS)) if is_looked_at else found
