"""Everything there is in one run: peers, network, time, one seed, and those who watch."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from random import Random

from bftcluster.cid import Cid, text
from bftcluster.ids import Digest, PeerId, ReplicaId, Seq
from bftcluster.ledger.rules.recovery import VerifiedRecovery
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.limits import PERIOD_DEFAULT_MS, PERIOD_MIN_MS
from bftcluster.membership import Membership
from bftcluster.pbft import (
    Decided,
    EpochStart,
    Halt,
    LogEntry,
    Notice,
    ReplicaSettings,
    RequestSubmitted,
)
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.verdicts import Verdict
from bftcluster_sim.cluster.cluster import SMALL_WINDOW
from bftcluster_sim.cluster.environment.auditor import Auditor
from bftcluster_sim.cluster.environment.checkers import (
    Agreement,
    AuditChecker,
    Determinism,
    Discipline,
    Durability,
    Honesty,
    Integrity,
    Order,
    ReplicationChecker,
    Silence,
    StandingChecker,
    Transfer,
)
from bftcluster_sim.cluster.environment.clocks import PeerClock, VirtualClock
from bftcluster_sim.cluster.environment.duty_index import DutyIndex
from bftcluster_sim.cluster.environment.links import LinkFaults, Links
from bftcluster_sim.cluster.environment.signatures import SimVerifier, sim_key
from bftcluster_sim.cluster.environment.traces import Trace
from bftcluster_sim.cluster.peers.audit_speech import AuditLie
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLie
from bftcluster_sim.cluster.peers.contents import ContentFaults
from bftcluster_sim.cluster.peers.databases import Checkpoint
from bftcluster_sim.cluster.peers.dealings import dealt
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.peers.processes import Process
from bftcluster_sim.cluster.peers.states import Founding, approvals_of, founding

SETTINGS = replace(
    SMALL_WINDOW,
    slots_in_flight_max=4,
    status_interval_ms=400,
    fetch_timeout_ms=150,
    request_timeout_ms=500,
    view_change_timeout_ms=500,
    view_change_timeout_max_ms=8_000,
    view_change_resend_ms=400,
)
"""Small windows and short times, so that a short run crosses many boundaries."""


class World:
    """``n`` keys, and one peer or more for each."""

    def __init__(
        self,
        *,
        seed: int,
        keys: Iterable[int],
        n: int,
        settings: ReplicaSettings = SETTINGS,
        log_kept_seqs: int | None = None,
        tracks: bool = False,
        deals: bool = False,
        audit_day_ms: int = 0,
        membership: Membership | None = None,
        is_traced: bool = False,
    ) -> None:
        """Make a world in which nothing runs yet.

        Args:
            seed: Decides everything that is not scripted.
            keys: The key number of each peer; a number that comes twice makes twins.
            n: How many keys vote.
            settings: Of every replica.
            log_kept_seqs: Log entries that a peer keeps before a stable checkpoint; None: all.
            tracks: Have every peer hold what the ledger wants it to.
            deals: Have members make beacons of short periods; they join, and so ``tracks``.
            audit_day_ms: Audit peers once in so long; they need ``deals``, and have dealt a key.
            membership: Who votes, if not the first ``n`` keys.
            is_traced: Keep a readable line for each thing that happens.
        """
        self.random, self.clock = Random(seed), VirtualClock()  # noqa: S311 - a simulation
        self.trace = Trace(self.clock, is_kept=is_traced)
        self.links = Links(clock=self.clock, random=self.random, faults=LinkFaults())
        self.settings, self.log_kept_seqs, self.tracks = settings, log_kept_seqs, tracks
        self.deals, self.audits = deals, audit_day_ms > 0
        self.beacon_lies, self.audit_lies = dict[int, BeaconLie](), dict[int, AuditLie]()
        self.contents, self.duty_index = ContentFaults(), DutyIndex()
        self.standings, self.verifier = StandingChecker(), SimVerifier()
        self.founding = _founding(n, settings, deals=deals, audit_day_ms=audit_day_ms)
        self.approvals = approvals_of(self.founding)
        self.membership = membership or self.founding.genesis.membership()
        self.faulty: set[int] = set()
        """Indices of peers of which nothing is expected."""
        self.forgetful: set[int] = set()
        """Indices of correct peers whose disks are replaced. They cast no vote against one that is
        gone; a VIEW-CHANGE that nobody ever got, they may contradict."""
        self.auditor = Auditor(self.founding.cluster_id)
        self.agreement, self.order, self.integrity = Agreement(), Order(), Integrity()
        self.determinism, self.silence = Determinism(), Silence()
        signatures = Signatures(cluster_id=self.founding.cluster_id, verifier=self.verifier)
        self.discipline = Discipline(self.membership, signatures)
        self.transfer = Transfer(self.discipline.of, signatures)
        self.durability = Durability(lambda seq: self.discipline.of(seq).weak_quorum)
        self.replication, self.audit_checker = ReplicationChecker(), AuditChecker()
        self.bugs: list[str] = []
        """Assertions that failed in correct peers, and correct peers that stopped for good."""
        self._digests: dict[bytes, tuple[Seq, Digest]] = {}
        names = [ReplicaId(sim_key(key)) for key in keys]
        self.nodes = [Node(i, name, self, PeerClock()) for i, name in enumerate(names)]
        self.instances = {key: [i for i, name in enumerate(names) if name == key] for key in names}
        self._instances_of: dict[tuple[ReplicaId, ...], list[int]] = {}
        self.others = [[i for i, name in enumerate(names) if name != key] for key in names]

    def instances_of(self, keys: tuple[ReplicaId, ...]) -> list[int]:
        """Return the indices of the peers with these keys, in order."""
        found = self._instances_of.get(keys)
        if found is None:
            found = sorted(i for key in keys for i in self.instances.get(key, ()))
            self._instances_of[keys] = found
        return found

    def start(self, *, but: Collection[int] = ()) -> None:
        """Start every process but those of some peers, by their index."""
        for node in self.nodes:
            if node.index not in but:
                node.start()

    def submit(self, number: int, *, to: int) -> None:
        """Have a client hand pin ``number`` to one peer."""
        self.hand_in(self.founding.request(number), f"pin {number}", to=to)

    def hand_in(self, request: bytes, what: str, *, to: int) -> None:
        """Have a client hand ``request`` to one peer."""
        self.integrity.asked.add(request)
        self.trace.line(f"client -> {to}: {what}")
        self.nodes[to].take(RequestSubmitted(request))

    def run_until(self, end_ms: int, condition: Callable[[], bool] | None = None) -> bool:
        """Let time pass, at most to ``end_ms``; return whether ``condition`` came true."""
        clock = self.clock
        while clock.next_ms is not None and clock.next_ms <= end_ms:
            clock.step()
            if condition is not None and condition():
                return True
        clock.now_ms = max(clock.now_ms, end_ms)
        return False

    def send(self, node: Process, target: int, frame: bytes) -> None:
        """Carry a frame that left ``node``."""
        self.nodes[node.index].meter.sent_bytes += len(frame)
        self.auditor.note(node.key, frame)
        if node.is_correct:
            self.silence.on_sent(node.index)
        to = self.nodes[target]
        sender = node.key

        def deliver() -> None:
            self.trace.delivered(node.index, target, frame)
            to.receive(sender, frame)

        self.links.send(node.index, target, frame, deliver)

    @property
    def honest(self) -> set[ReplicaId]:
        """The keys that never contradict themselves."""
        return {n.key for n in self.nodes if n.is_correct and n.index not in self.forgetful}

    @property
    def breaches(self) -> list[str]:
        """Everything that must not be, found so far."""
        honesty = Honesty()
        honesty.on_audit(self.auditor.culprits, self.honest)
        emptied = {n.key for n in self.nodes if n.index in self.forgetful and not n.is_rolled_back}
        honesty.on_audit(self.auditor.equivocators, emptied)
        return [
            *self.agreement.breaches,
            *self.order.breaches,
            *self.integrity.breaches,
            *honesty.breaches,
            *self.determinism.breaches,
            *self.durability.breaches,
            *self.silence.breaches,
            *self.discipline.breaches,
            *self.transfer.breaches,
            *self.replication.breaches,
            *self.standings.breaches,
            *self.duty_index.breaches,
            *self.audit_checker.breaches,
            *self.bugs,
        ]

    def digests_of(self, entries: Iterable[bytes]) -> dict[Seq, Digest]:
        """Return the digests of the batches in log entries."""
        found: dict[Seq, Digest] = {}
        for data in entries:
            if data not in self._digests:
                entry = LogEntry.from_bytes(data)
                self._digests[data] = (entry.seq, batch_digest(entry.batch))
            seq, digest = self._digests[data]
            found[seq] = digest
        return found

    def has_effect(self, node: Node, request: bytes) -> bool:
        """Return whether ``request`` has changed the state of ``node``."""
        return self.integrity.has_effect(node.state.executed, request)

    def check_end(self, node: Node) -> None:
        """Compare what ``node`` has in the end with what it must not have lost."""
        state = node.state
        log = self.digests_of(state.log.values())
        self.durability.on_end(node.index, log, state.forgotten)
        self.determinism.on_state(node.index, state.executed, state.chain)
        accused, evicted = state.standings()
        honest = set(map(PeerId, self.honest))
        self.standings.on_end(node.index, accused=accused, evicted=evicted, honest=honest)
        self.audit_checker.on_end(node.index, failed=state.failed(), honest=honest)
        self.duty_index.on_end(node.index, state.database)
        if self.tracks:
            owed, reported = state.duties(PeerId(node.key))
            kept = node.blocks.kept
            self.replication.on_end(node.index, owed=owed, kept=kept, reported=reported)

    def owes_nothing(self, node: Node) -> bool:
        """Return whether ``node`` holds what it is to hold, no more, and the ledger knows."""
        if not self.tracks:
            return True
        if node.tracking is None or not node.tracking.is_settled:
            return False
        owed, reported = node.state.duties(PeerId(node.key))
        return owed == node.blocks.kept and owed <= reported

    def fetch_delay_ms(self) -> int:
        """Return how long the next content is on its way."""
        return self.random.randint(1, self.contents.delay_ms_max)

    def fetch_problem(self) -> str:
        """Return why the next content does not arrive; nothing if it does."""
        is_lost = self.random.random() * 100 < self.contents.failure_percent
        return "no provider" if is_lost else ""

    def shows(self, reader: Process, suspect: ReplicaId, challenge: Challenge) -> bool:
        """Return whether a suspect sends the blocks of an audit to one who reads them."""
        if suspect in self.contents.lights:
            return self.contents.lights[suspect](challenge) and not self.fetch_problem()
        index = self.instances[suspect][0]
        node, lie = self.nodes[index], self.audit_lies.get(index)
        is_cut = {(reader.index, index), (index, reader.index)} & self.links.cut
        if not node.is_up or is_cut or self.fetch_problem():
            return False
        return node.blocks.has(challenge.cid) if lie is None else lie.shows(challenge)

    def give_up(self, recovery: VerifiedRecovery) -> None:
        """Have the cluster go on from a recovery's checkpoint.

        The checkers forget what it gave up: decisions beyond the checkpoint are made again, by
        other voters and in another order.
        """
        seq = recovery.operation.seq
        self.trace.line(f"maintainers recover from {seq}")
        self.discipline.on_recovered(recovery.start)
        self.agreement, self.determinism = Agreement(), Determinism()
        self.integrity = Integrity(asked=self.integrity.asked)
        kept = {at: digest for at, digest in self.durability.acknowledged.items() if at <= seq}
        self.durability.acknowledged = kept

    # What nodes tell

    def on_start(self, node: Process) -> None:
        """A process has started."""
        self.trace.line(f"{node.index} starts at {node.state.executed}")
        if node.is_correct:
            self.order.on_start(node.index, node.state.executed)
            self.silence.on_start(node.index)

    def on_killed(self, node: Process) -> None:
        """A process was killed."""
        self.trace.line(f"{node.index} is killed, {node.state.executed} executed are left")

    def on_stopped(self, node: Process, why: str) -> None:
        """A process could not go on."""
        self.trace.line(f"{node.index} stops: {why}")

    def on_disk_failure(self, node: Process) -> None:
        """A call to a disk is about to fail."""
        self.trace.line(f"{node.index} has a disk that fails")
        self.silence.on_failure(node.index)

    def on_broken(self, node: Process, why: str) -> None:
        """A process died of itself."""
        self.trace.line(f"{node.index} {why}")
        if node.is_correct:
            self.bugs.append(f"bug: correct {node.index} {why}")

    def on_decided(self, node: Process, one: Decided) -> None:
        """A batch was handed out."""
        digest = batch_digest(one.batch)
        self.trace.line(f"{node.index} decides {one.seq} {digest.hex()[:8]} in view {one.view}")
        if node.is_correct:
            self.agreement.on_decided(node.index, one.seq, digest)
            self.order.on_decided(node.index, one.seq)
            self.discipline.on_decided(node.index, one.seq, one.certificate)

    def on_effect(self, node: Process, seq: Seq, request: bytes) -> None:
        """A request changed the state."""
        if node.is_correct:
            self.integrity.on_effect(node.index, seq, request)

    def on_executed(self, node: Process, seq: Seq, digest: Digest, chain: Digest) -> None:
        """A batch was executed."""
        self.trace.line(f"{node.index} executed {seq} {digest.hex()[:8]}")
        if node.is_correct:
            self.determinism.on_state(node.index, seq, chain)

    def on_named(self, node: Process, start: EpochStart) -> None:
        """A checkpoint named the next epoch."""
        membership = start.membership
        voters = sorted(self.instances[replica][0] for replica in membership.replicas)
        self.trace.line(f"{node.index} names epoch {membership.epoch} from {start.first}: {voters}")
        if node.is_correct:
            self.discipline.on_named(node.index, start)

    def on_learned(self, node: Process, starts: Iterable[EpochStart]) -> None:
        """Others have proved who votes in the next epochs."""
        for start in starts:
            self.trace.line(f"{node.index} learns of epoch {start.membership.epoch}")
            if node.is_correct:
                self.discipline.on_named(node.index, start)

    def on_installed(self, node: Process, checkpoint: Checkpoint) -> None:
        """A process starts on a state that it fetched."""
        seq, certificate = checkpoint
        self.trace.line(f"{node.index} installs the state after {seq}")
        if node.is_correct:
            self.transfer.on_installed(node.index, seq, node.state.root(), certificate)
            self.determinism.on_state(node.index, seq, node.state.chain)
            for start in node.state.epochs[1:]:
                self.discipline.on_named(node.index, start)

    def on_aimed(self, node: Process, seq: Seq, certificate: bytes) -> None:
        """A process is about to fetch a state."""
        self.trace.line(f"{node.index} fetches the state after {seq}")
        if node.is_correct:
            self.transfer.on_aimed(node.index, seq, certificate)

    def on_said(self, node: Process, cids: Iterable[Cid]) -> None:
        """A tracker reports that its peer holds some contents."""
        for cid in cids:
            self.trace.line(f"{node.index} says that it holds {text(cid)[-8:]}")
            if node.is_correct:
                self.replication.on_said(node.index, cid, is_kept=node.blocks.has(cid))

    def on_blamed(self, node: Process, source: ReplicaId, verdict: Verdict) -> None:
        """A process got something wrong from a source of states."""
        index = self.instances[source][0]
        self.trace.line(f"{node.index} blames {index}: {verdict.value}")
        if node.is_correct:
            is_correct = self.nodes[index].is_correct
            self.transfer.on_blamed(node.index, index, verdict.value, is_correct=is_correct)

    def on_answer(self, node: Process, seq: Seq, digest: Digest) -> None:
        """The clients of a batch were answered."""
        if node.is_correct:
            self.durability.on_answer(node.index, seq, digest)

    def on_report(self, node: Process, report: Notice) -> None:
        """A replica told its operator something."""
        peer = "" if report.peer is None else f" by {report.peer.hex()[:8]}"
        self.trace.line(f"{node.index} reports {report.verdict.value}{peer}: {report.detail}")

    def on_halt(self, node: Process, halt: Halt) -> None:
        """A replica has stopped for good."""
        self.trace.line(f"{node.index} halts: {halt.reason.value}")
        if node.is_correct:
            self.bugs.append(f"halt: correct {node.index}: {halt.reason.value}")


def _founding(n: int, settings: ReplicaSettings, *, deals: bool, audit_day_ms: int) -> Founding:
    if audit_day_ms:
        return dealt(n, settings.checkpoint_interval_seqs, audit_day_ms)
    period_ms = PERIOD_MIN_MS if deals else PERIOD_DEFAULT_MS
    return founding(n, settings.checkpoint_interval_seqs, period_ms)
