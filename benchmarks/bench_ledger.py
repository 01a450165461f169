"""What an operation costs the ledger beside its signatures, and a changed row the state root.

CPU time of one process: parsing, execution, hashing into the tree; no disk. The goals are those
that leave the machine to the signatures: 40 us for a submitted pin and 25 us for a changed row.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.result import Result
from benchmarks.workload import blocks, genesis, key, pin_requests
from bftcluster.cid import Cid
from bftcluster.ids import PeerId, Seq, View
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree import StateTree
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.state.audit_rows import Asked, AuditPhase, Challenge, challenge_key
from bftcluster.ledger.state.queries import open_audits
from bftcluster.ledger.wire.audit_requests import answer_digest
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry, join, report
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.signing.envelope import Verifier
from bftcluster.sync.audit_duties import AuditDuties

PINS = 4000
AUDITS = 500
AUDITED = 3
VOTERS_NEEDED = 3
"""Of four: with the third, each suspect was seen by two others. The fourth says it too."""
REPORT_ENTRIES = 1000
BATCH_REQUESTS = 100
ROWS = 100_000
CHANGED_ROWS = 5000
NOW_MS = 1_700_000_000_000
GOAL_SUBMIT_US = 40.0
GOAL_ROW_US = 25.0


class Credulous:
    """Takes every signature for good: signatures are measured elsewhere."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Return that it is valid."""
        return True


class Executor:
    """One ledger over a store in memory."""

    def __init__(self, founding: Genesis) -> None:
        self.now_ms = NOW_MS + 60_000
        """The time of all batches to come."""
        self.signatures: Verifier = Credulous()
        """Takes effect with the next ``reopen``."""
        self.store = MemoryStateStore()
        self.store.flush(genesis_delta(founding))
        self.reopen(founding)

    def reopen(self, founding: Genesis) -> None:
        """Go on from the store, which somebody else wrote to."""
        self.verifier = ApprovalVerifier(founding.cluster_id, self.signatures)
        self.ledger = Ledger(founding, self.store, self.verifier)

    def seconds(self, requests: Sequence[bytes]) -> float:
        """Execute ``requests``, all of which count, in full batches; return the CPU seconds."""
        if not requests:
            return 0.0
        first = self.ledger.head.seq + 1
        batches = [
            OrderedBatch(
                seq=Seq(first + number),
                timestamp_ms=self.now_ms,
                view=View(0),
                requests=tuple(requests[start : start + BATCH_REQUESTS]),
            )
            for number, start in enumerate(range(0, len(requests), BATCH_REQUESTS))
        ]
        return self._execute(batches)

    def empty_batch_seconds(self) -> float:
        """Execute a batch without requests, as a tick is; return the CPU seconds it took."""
        seq, at_ms = Seq(self.ledger.head.seq + 1), self.now_ms
        return self._execute([OrderedBatch(seq=seq, timestamp_ms=at_ms, view=View(0), requests=())])

    def _execute(self, batches: Sequence[OrderedBatch]) -> float:
        start = time.process_time()
        executed = self.ledger.execute(batches)
        taken = time.process_time() - start
        outcomes = [outcome for applied in executed.applied for outcome in applied.outcomes]
        assert all(outcome.is_accepted for outcome in outcomes), Counter(outcomes)
        self.store.flush(executed.delta)
        return taken


def run() -> list[Result]:
    founding = genesis(peers=4, created_ms=NOW_MS)
    cids = [cid for cid, _ in blocks(PINS, label="ledger")]
    executor = Executor(founding)
    submitted = executor.seconds(pin_requests(founding, cids, now_ms=NOW_MS + 60_000)) / PINS
    executor.seconds(joins(founding, len(founding.peers)))
    lines = reports(founding, cids)
    reported = executor.seconds(lines) / (len(lines) * REPORT_ENTRIES)
    return [
        Result(name="ledger_submit_us", value=submitted * 1e6, unit="us", limit=GOAL_SUBMIT_US),
        Result(name="ledger_report_entry_us", value=reported * 1e6, unit="us"),
        Result(
            name="state_root_row_us", value=seconds_per_row() * 1e6, unit="us", limit=GOAL_ROW_US
        ),
        *audits(founding, executor, cids),
    ]


def audits(founding: Genesis, executor: Executor, cids: Sequence[Cid]) -> list[Result]:
    """Return what an audit of three holders costs: where they agree, and where voters look."""
    results = []
    for name, phase in (("agreed", AuditPhase.PLEDGING), ("sighted", AuditPhase.SIGHTING)):
        challenges = [challenge(number, cids[number], phase) for number in range(AUDITS)]
        rows = {(Space.AUDIT, challenge_key(each.number)): each.to_value() for each in challenges}
        executor.store.flush(dict(rows))
        executor.reopen(founding)
        seconds, size_bytes = 0.0, 0
        while open_now := [each for each in open_audits(executor.store) if is_open(each)]:
            said = [words(founding, open_now, number) for number in range(len(founding.peers))]
            for requests in said[: VOTERS_NEEDED if phase is AuditPhase.SIGHTING else AUDITED]:
                seconds += executor.seconds(requests)
            size_bytes += sum(len(each) for requests in said for each in requests)
        results += [
            Result(name=f"audit_{name}_us", value=seconds / AUDITS * 1e6, unit="us"),
            Result(name=f"audit_{name}_bytes", value=size_bytes / AUDITS, unit="bytes"),
        ]
    return results


def challenge(number: int, cid: Cid, phase: AuditPhase) -> Challenge:
    """Return an audit of the first three peers."""
    peers = [PeerId(key(f"peer {place}").public_key) for place in range(AUDITED)]
    is_doubtful = phase is AuditPhase.SIGHTING
    asked = tuple(Asked(peer=peer, is_suspect=is_doubtful) for peer in sorted(peers))
    return Challenge(
        number=number,
        period=0,
        seed=hashlib.sha256(b"%d" % number).digest(),
        cid=cid,
        pin_number=number,
        phase=phase,
        until_ms=NOW_MS + 3_600_000,
        asked=asked,
        asked_times=int(is_doubtful),
    )


def is_open(each: Challenge) -> bool:
    return each.phase is not AuditPhase.AGREED


def words(founding: Genesis, challenges: Sequence[Challenge], number: int) -> list[bytes]:
    """Return what one peer says of audits, each in a request of its own."""
    signer, voters = key(f"peer {number}"), founding.membership()
    duties = AuditDuties(signer=signer, seed=signer.seed, cluster_id=founding.cluster_id)
    said: list[bytes] = []
    for each in challenges:
        digest = answer_digest(each.seed, [b"block"])
        if duties.is_asked(each):
            said += duties.answers([(each, digest)])
        said += duties.attestations([(sight, digest) for sight in duties.sights(each, voters)])
    return said


def joins(founding: Genesis, peers: int, *, counter: int = 1) -> list[bytes]:
    """Return one join of each of so many peers, with this counter."""
    return [
        join(
            key(f"peer {number}"),
            cluster_id=founding.cluster_id,
            counter=counter,
            name=f"peer{number}",
            addresses=(),
            capacity_bytes=1 << 40,
            free_bytes=1 << 40,
            tags={},
        ).to_bytes()
        for number in range(peers)
    ]


def reports(founding: Genesis, cids: Sequence[Cid]) -> list[bytes]:
    """Return what it takes for every peer to report every pin."""
    return [
        report(
            key(f"peer {number}"),
            cluster_id=founding.cluster_id,
            counter=2 + start,
            entries=tuple(
                ReportEntry(each, HolderStatus.PINNED)
                for each in cids[start : start + REPORT_ENTRIES]
            ),
            free_bytes=1 << 39,
        ).to_bytes()
        for start in range(0, len(cids), REPORT_ENTRIES)
        for number in range(len(founding.peers))
    ]


def seconds_per_row() -> float:
    """Return the CPU seconds per changed row, in batches, of a state of many rows."""
    store = MemoryStateStore()
    tree = StateTree(store)
    tree.absorb([(Space.PIN, {b"row %d" % number: b"v" * 300 for number in range(ROWS)})])
    tree.root()
    store.flush(tree.take_delta(Seq(1)))
    best = float("inf")
    for turn in range(2, 7):
        rows = range(turn, ROWS, ROWS // CHANGED_ROWS)
        changed: dict[bytes, bytes | None] = {b"row %d" % n: b"w%d" % turn * 100 for n in rows}
        start = time.process_time()
        tree.absorb([(Space.PIN, changed)])
        tree.root()
        delta = tree.take_delta(Seq(turn))
        best = min(best, (time.process_time() - start) / len(changed))
        store.flush(delta)
    return best
