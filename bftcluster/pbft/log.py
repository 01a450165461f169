"""The window of slots that a replica works on, and the batches that they refer to."""

import hashlib
from dataclasses import dataclass, field

from bftcluster.ids import Digest, ReplicaId, Seq, View
from bftcluster.limits import COUNTER_MAX, EARLY_BODIES_MAX, EARLY_BODIES_SIZE_MAX_BYTES
from bftcluster.pbft.batches import NULL_BATCH, Batch
from bftcluster.pbft.certificates import CommitCertificate, PreparedCertificate
from bftcluster.pbft.votes import Vote, VoteSet


def batch_digest(batch: bytes) -> Digest:
    """Return the name of a batch: SHA-256 of its canonical bytes."""
    return Digest(hashlib.sha256(batch).digest())


NULL_DIGEST = batch_digest(NULL_BATCH)


@dataclass(slots=True)
class Slot:
    """All we know of one sequence number."""

    seq: Seq
    opened_ms: int
    """When the proposal came, or the view began with it."""
    view: View
    """Of the votes below."""
    proposal: Vote | None = None
    """The primary's PRE-PREPARE."""
    reproposed: bool = False
    """Whether a NEW-VIEW justified the proposal, so that its content is not ours to judge."""
    accepted: bool = False
    """We hold the batch, found it good, and voted for it."""
    refused: bool = False
    """We will not vote for the proposal."""
    prepares: VoteSet = field(default_factory=VoteSet)
    """PREPAREs, and the primary's PRE-PREPARE in its place among them."""
    commits: VoteSet = field(default_factory=VoteSet)
    accepted_proposal: Vote | None = None
    """The last PRE-PREPARE we voted for, in whatever view: our element of Q."""
    prepared: PreparedCertificate | None = None
    """The one of the highest view: our element of P. Outlives views, until a stable checkpoint."""
    decided: CommitCertificate | None = None
    batch: Batch | None = None
    """The proposal's content once parsed; dropped when decided."""
    timestamp_ms: int | None = None
    """Of the last batch that is not null, up to here. None until accepted or decided."""

    @property
    def is_prepared(self) -> bool:
        """Whether we are prepared in the view of the votes."""
        return self.prepared is not None and self.prepared.view == self.view

    @property
    def is_decided_otherwise(self) -> bool:
        """Whether something else was decided than what is proposed."""
        if self.proposal is None or self.decided is None:
            return False
        return self.decided.digest != self.proposal.digest

    def enter(self, view: View, *, now_ms: int) -> None:
        """Forget the votes of the view before; keep what was proven."""
        self.view = view
        self.opened_ms = now_ms
        self.proposal = None
        self.reproposed = False
        self.accepted = False
        self.refused = False
        self.prepares = VoteSet()
        self.commits = VoteSet()
        if self.decided is None:
            self.batch = None
            self.timestamp_ms = None


class _Early:
    """Batches of one sender that no slot names yet."""

    __slots__ = ("_size_bytes", "bodies")

    def __init__(self) -> None:
        self.bodies: dict[Digest, bytes] = {}
        self._size_bytes = 0

    def put(self, digest: Digest, body: bytes) -> None:
        """Hold ``body``; the oldest make room."""
        self.bodies[digest] = body
        self._size_bytes += len(body)
        while len(self.bodies) > EARLY_BODIES_MAX or self._size_bytes > EARLY_BODIES_SIZE_MAX_BYTES:
            self.remove(next(iter(self.bodies)))

    def remove(self, digest: Digest) -> None:
        """Hold it no longer."""
        body = self.bodies.pop(digest, None)
        if body is not None:
            self._size_bytes -= len(body)


class Bodies:
    """Batches by digest: those that slots name, and a bounded number that came early of each."""

    __slots__ = ("_early", "_kept")

    def __init__(self) -> None:
        self._kept: dict[Digest, tuple[Seq, bytes]] = {}
        self._early: dict[ReplicaId, _Early] = {}
        """By sender: the primary we have, and the one we want."""

    def get(self, digest: Digest) -> bytes | None:
        """Return the batch of that name, if we hold it."""
        if digest == NULL_DIGEST:
            return NULL_BATCH
        kept = self._kept.get(digest)
        if kept is not None:
            return kept[1]
        held = (early.bodies.get(digest) for early in self._early.values())
        return next((body for body in held if body is not None), None)

    def is_kept(self, digest: Digest) -> bool:
        """Whether the batch is held until its slot is under a stable checkpoint."""
        return digest in self._kept or digest == NULL_DIGEST

    def offer(self, digest: Digest, body: bytes, sender: ReplicaId) -> None:
        """Hold ``body`` for now; the oldest of its sender make room."""
        if self.get(digest) is None:
            self._early.setdefault(sender, _Early()).put(digest, body)

    def forget_others(self, primary: ReplicaId) -> None:
        """Drop what came early of anybody but ``primary``: its view begins."""
        self._early = {sender: e for sender, e in self._early.items() if sender == primary}

    def keep(self, seq: Seq, digest: Digest, body: bytes) -> None:
        """Hold ``body`` until ``seq`` is under a stable checkpoint."""
        before = self._kept.get(digest)
        self._kept[digest] = (seq if before is None else max(seq, before[0]), body)
        for early in self._early.values():
            early.remove(digest)

    def drop_until(self, stable: Seq) -> None:
        """Forget the batches of slots up to ``stable``."""
        for digest in [d for d, (seq, _) in self._kept.items() if seq <= stable]:
            del self._kept[digest]

    def kept(self) -> list[tuple[Seq, bytes]]:
        """Return every batch held for a slot."""
        return list(self._kept.values())


class Log:
    """Slots between the watermarks."""

    __slots__ = ("bodies", "limit", "low", "slots", "window_size_seqs")

    def __init__(self, *, window_size_seqs: int) -> None:
        self.window_size_seqs = window_size_seqs
        self.low = Seq(0)
        """The low watermark: the last stable checkpoint."""
        self.limit = Seq(COUNTER_MAX)
        """No slot above it may be worked on, for want of knowing who votes there."""
        self.slots: dict[Seq, Slot] = {}
        self.bodies = Bodies()

    @property
    def high(self) -> Seq:
        """The high watermark: the last sequence number that may have a slot."""
        return min(Seq(self.low + self.window_size_seqs), self.limit)

    @property
    def top(self) -> Seq:
        """The highest slot in use, or the low watermark."""
        return max(self.slots, default=self.low)

    def open(self, seq: Seq, view: View, *, now_ms: int) -> Slot:
        """Return the slot of ``seq``, ready for votes of ``view``."""
        assert self.low < seq <= self.high, "slots are between the watermarks"
        slot = self.slots.get(seq)
        if slot is None:
            slot = self.slots[seq] = Slot(seq, now_ms, view)
        elif slot.view != view:
            slot.enter(view, now_ms=now_ms)
        return slot

    def size_bytes(self, after: Seq, before: Seq) -> int:
        """Return how many bytes the batches of the slots between have, as far as we hold them."""
        size_bytes = 0
        for seq in range(after + 1, before):
            slot = self.slots.get(Seq(seq))
            vote = None if slot is None else slot.decided or slot.proposal
            body = None if vote is None else self.bodies.get(vote.digest)
            size_bytes += 0 if body is None else len(body)
        return size_bytes

    def advance(self, stable: Seq) -> None:
        """Move the window above ``stable`` and forget what is below."""
        assert stable > self.low, "the window moves up"
        self.low = stable
        for seq in [seq for seq in self.slots if seq <= stable]:
            del self.slots[seq]
        self.bodies.drop_until(stable)
