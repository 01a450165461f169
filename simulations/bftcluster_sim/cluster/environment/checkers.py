"""What must hold of every run, checked on everything that correct peers did. Ids as in PBFT texts.

Each checker is told what happened, in order, and collects breaches: sentences for people. None of
them looks into a replica: they judge outputs only.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field

from bftcluster.cid import Cid, text
from bftcluster.errors import ClusterError
from bftcluster.ids import Digest, PeerId, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.pbft import EpochStart
from bftcluster.pbft.certificates import (
    CheckpointCertificate,
    CommitCertificate,
    check_certificate,
)
from bftcluster.pbft.epochs import with_start
from bftcluster.pbft.signatures import Signatures


@dataclass(slots=True)
class Agreement:
    """S1, S2, S4: one digest per sequence number, whoever decided it, in whichever life."""

    breaches: list[str] = field(default_factory=list)
    digests: dict[Seq, Digest] = field(default_factory=dict)
    split_at: Seq | None = None
    """The first sequence number found to be decided twice."""
    _who: dict[Seq, int] = field(default_factory=dict)

    def on_decided(self, peer: int, seq: Seq, digest: Digest) -> None:
        """Compare with the first decision for ``seq``."""
        first = self.digests.setdefault(seq, digest)
        who = self._who.setdefault(seq, peer)
        if first != digest:
            self.split_at = self.split_at or seq
            self.breaches.append(
                f"S1 agreement: {who} and {peer} decided {seq} as {first.hex()[:8]} and "
                f"{digest.hex()[:8]}"
            )


@dataclass(slots=True)
class Order:
    """S2: each life hands out consecutive sequence numbers, from what its ledger holds on."""

    breaches: list[str] = field(default_factory=list)
    _next: dict[int, Seq] = field(default_factory=dict)

    def on_start(self, peer: int, executed: Seq) -> None:
        """A process starts on a ledger that has executed up to there."""
        self._next[peer] = Seq(executed + 1)

    def on_decided(self, peer: int, seq: Seq) -> None:
        """A batch was handed out."""
        expected = self._next.get(peer, Seq(1))
        if seq != expected:
            self.breaches.append(f"S2 order: {peer} handed out {seq}, not {expected}")
        self._next[peer] = Seq(seq + 1)


@dataclass(slots=True)
class Integrity:
    """S3: only what a client asked for takes effect, and once, in the state of whomever."""

    asked: set[bytes] = field(default_factory=set)
    breaches: list[str] = field(default_factory=list)
    _took_effect: dict[bytes, Seq] = field(default_factory=dict)

    def on_effect(self, peer: int, seq: Seq, request: bytes) -> None:
        """``request`` changed the state of ``peer``, in the batch ``seq``."""
        if request not in self.asked:
            self.breaches.append(f"S3 integrity: {peer} executed what nobody asked for, at {seq}")
        first = self._took_effect.setdefault(request, seq)
        if first != seq:
            self.breaches.append(f"S3 integrity: {peer} executed at {seq} a request of {first}")

    def has_effect(self, executed: Seq, request: bytes) -> bool:
        """Return whether ``request`` has changed a state in which so much is executed."""
        return request in self._took_effect and self._took_effect[request] <= executed


@dataclass(slots=True)
class Honesty:
    """S5: no correct key contradicts itself, across all its lives."""

    breaches: list[str] = field(default_factory=list)

    def on_audit(self, culprits: Iterable[ReplicaId], correct: Iterable[ReplicaId]) -> None:
        """Compare whom the auditor named with who is correct."""
        for who in sorted(set(culprits) & set(correct)):
            self.breaches.append(f"S5 honesty: correct {who.hex()[:8]} contradicted itself")


@dataclass(slots=True)
class Determinism:
    """S6: equal sequence number, equal state."""

    breaches: list[str] = field(default_factory=list)
    _chains: dict[Seq, Digest] = field(default_factory=dict)

    def on_state(self, peer: int, seq: Seq, root: Digest) -> None:
        """``peer`` has this state after ``seq``."""
        if self._chains.setdefault(seq, root) != root:
            self.breaches.append(f"S6 determinism: {peer} has another state after {seq}")


@dataclass(slots=True)
class Durability:
    """S7: what f + 1 correct peers answered to a client stays."""

    weak_quorum: Callable[[Seq], int]
    """Of whoever votes on a sequence number."""
    breaches: list[str] = field(default_factory=list)
    acknowledged: dict[Seq, Digest] = field(default_factory=dict)
    _answers: dict[tuple[Seq, Digest], set[int]] = field(default_factory=dict)

    def on_answer(self, peer: int, seq: Seq, digest: Digest) -> None:
        """``peer`` told clients that it has executed ``digest`` at ``seq``."""
        answers = self._answers.setdefault((seq, digest), set())
        answers.add(peer)
        if len(answers) >= self.weak_quorum(seq):
            self.acknowledged.setdefault(seq, digest)

    def on_end(self, peer: int, log: Mapping[Seq, Digest], forgotten: Seq) -> None:
        """``peer`` was healed, and this is its log, with gaps up to ``forgotten`` at most."""
        for seq, digest in self.acknowledged.items():
            is_forgotten = seq not in log and seq <= forgotten
            if not is_forgotten and log.get(seq) != digest:
                self.breaches.append(f"S7 durability: {peer} lacks the acknowledged {seq}")


@dataclass(slots=True)
class Silence:
    """F5: after a write or an fsync has failed, nothing leaves until the process starts again."""

    breaches: list[str] = field(default_factory=list)
    _failed: set[int] = field(default_factory=set)

    def on_start(self, peer: int) -> None:
        """A process starts on what its disk holds."""
        self._failed.discard(peer)

    def on_failure(self, peer: int) -> None:
        """The disk of ``peer`` has refused a call."""
        self._failed.add(peer)

    def on_sent(self, peer: int) -> None:
        """A frame left ``peer``."""
        if peer in self._failed:
            self.breaches.append(f"F5 silence: {peer} went on after its disk had failed")
            self._failed.discard(peer)


class Discipline:
    """S8: whoever owns a sequence number certifies it, and all ledgers name the same owners."""

    def __init__(self, first: Membership, signatures: Signatures) -> None:
        self.breaches: list[str] = []
        self._starts = [EpochStart(Seq(1), first)]
        self._signatures = signatures

    @property
    def latest(self) -> Membership:
        """The last membership that some ledger named."""
        return self._starts[-1].membership

    def of(self, seq: Seq) -> Membership:
        """Return who votes on ``seq``, as far as any ledger knows."""
        return next(s.membership for s in reversed(self._starts) if s.first <= max(seq, 1))

    def on_named(self, peer: int, start: EpochStart) -> None:
        """The ledger of ``peer`` names the next epoch."""
        epoch = start.membership.epoch
        if epoch == self.latest.epoch + 1:
            self._starts.append(start)
        elif start not in self._starts:
            self.breaches.append(f"S8 epochs: {peer} has another membership in epoch {epoch}")

    def on_recovered(self, start: EpochStart) -> None:
        """Maintainers begin an epoch."""
        self._starts = with_start(self._starts, start)

    def on_decided(self, peer: int, seq: Seq, certificate: bytes) -> None:
        """``peer`` decided, and this is why anybody may believe it."""
        try:
            parsed = CommitCertificate.from_bytes(certificate)
            check_certificate(parsed, self.of(seq), self._signatures)
        except ClusterError as exc:
            self.breaches.append(f"S8 epochs: {peer} decided {seq} without its owners: {exc}")


class Transfer:
    """S9: what is installed is a state that its owners certified, and only liars are blamed."""

    def __init__(self, of: Callable[[Seq], Membership], signatures: Signatures) -> None:
        self.breaches: list[str] = []
        self.installed = 0
        """How often a state was."""
        self._of = of
        self._signatures = signatures

    def on_aimed(self, peer: int, seq: Seq, certificate: bytes) -> None:
        """``peer`` is about to fetch the state after ``seq``."""
        try:
            check_certificate(
                CheckpointCertificate.from_bytes(certificate), self._of(seq), self._signatures
            )
        except ClusterError as exc:
            self.breaches.append(f"S9 transfer: {peer} aims at {seq} without its owners: {exc}")

    def on_installed(self, peer: int, seq: Seq, root: Digest, certificate: bytes) -> None:
        """``peer`` goes on from a state after ``seq`` whose rows have this root."""
        self.installed += 1
        try:
            parsed = CheckpointCertificate.from_bytes(certificate)
            check_certificate(parsed, self._of(seq), self._signatures)
        except ClusterError as exc:
            self.breaches.append(f"S9 transfer: {peer} installed {seq} without its owners: {exc}")
            return
        if (parsed.seq, parsed.state_root) != (seq, root):
            self.breaches.append(f"S9 transfer: {peer} installed another state than that of {seq}")

    def on_blamed(self, peer: int, source: int, why: str, *, is_correct: bool) -> None:
        """``peer`` says that ``source`` gave it what is wrong."""
        if is_correct:
            self.breaches.append(f"S9 transfer: {peer} blames the correct {source}: {why}")


@dataclass(slots=True)
class ReplicationChecker:
    """S10: who says that it holds a content does, and in the end each holds what it owes."""

    breaches: list[str] = field(default_factory=list)

    def on_said(self, peer: int, cid: Cid, *, is_kept: bool) -> None:
        """``peer`` signed that it holds ``cid``."""
        if not is_kept:
            self.breaches.append(f"S10 replication: {peer} says that it holds {text(cid)}")

    def on_end(self, peer: int, *, owed: Set[Cid], kept: Set[Cid], reported: Set[Cid]) -> None:
        """Compare what ``peer`` is to hold with its store, and with what the ledger heard of it."""
        wrong = {
            "does not hold": owed - kept,
            "still holds": kept - owed,
            "has not reported": owed - reported,
        }
        self.breaches += [
            f"S10 replication: {peer} {what} {text(cid)}"
            for what, cids in wrong.items()
            for cid in sorted(cids)
        ]


@dataclass(slots=True)
class StandingChecker:
    """S11: who contradicted itself on the log is evicted, and nobody honest is."""

    breaches: list[str] = field(default_factory=list)

    def on_end(
        self, peer: int, *, accused: Set[PeerId], evicted: Set[PeerId], honest: Set[PeerId]
    ) -> None:
        """Judge by what the ledger of ``peer`` has in the end."""
        for who in sorted(accused - evicted):
            self.breaches.append(
                f"S11 standing: {peer} has proof against {who.hex()[:8]}, which stays"
            )
        for who in sorted(evicted & honest):
            self.breaches.append(f"S11 standing: {peer} has evicted the honest {who.hex()[:8]}")


@dataclass(slots=True)
class AuditChecker:
    """S13: nobody fails an audit who holds what it should, whatever f voters say."""

    breaches: list[str] = field(default_factory=list)

    def on_end(self, peer: int, *, failed: Set[PeerId], honest: Set[PeerId]) -> None:
        """Judge by what the ledger of ``peer`` has in the end."""
        for who in sorted(failed & honest):
            self.breaches.append(f"S13 audits: {peer} has failed the honest {who.hex()[:8]}")
