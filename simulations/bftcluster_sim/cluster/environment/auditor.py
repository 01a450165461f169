"""Reads every signed message that anybody sent, and names who contradicted themselves.

Two statements of one key that no correct replica makes both are proof by themselves:

- two votes of one kind for one (epoch, view, seq) with different digests;
- two different VIEW-CHANGEs, or two different NEW-VIEWs, for one (epoch, view);
- a COMMIT in a view, and a VIEW-CHANGE for a later view that does not claim what it must (OSDI'99,
  section 4.4): the replica forgot on purpose, or ran twice.

Any two conflicting decisions have more than f keys behind one of these (BFT Protocol Forensics,
CCS'21), because two quorums share f + 1 members.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from bftcluster.errors import ClusterError
from bftcluster.ids import ClusterId, Epoch, ReplicaId, Seq, View
from bftcluster.pbft.frames import SIGNED, kind_of, parse_frame
from bftcluster.pbft.new_view import proposals_of
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind
from bftcluster.signing.envelope import Domain, is_valid
from bftcluster_sim.cluster.environment.signatures import SimVerifier

_Slot = tuple[str, Epoch, View, Seq]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two statements of one key."""

    culprit: ReplicaId
    about: str


class Auditor:
    """Remembers what each key signed and let out."""

    def __init__(self, cluster_id: ClusterId) -> None:
        self.contradictions: dict[ReplicaId, Contradiction] = {}
        """The first of each culprit."""
        self.equivocators: set[ReplicaId] = set()
        """Those among them who cast two votes for one slot."""
        self._cluster_id = cluster_id
        self._verifier = SimVerifier()
        self._said: dict[tuple[ReplicaId, _Slot], bytes] = {}
        self._commits: dict[ReplicaId, list[Vote]] = defaultdict(list)
        self._changes: dict[ReplicaId, list[ViewChange]] = defaultdict(list)
        self._seen: set[bytes] = set()
        self._last: dict[ReplicaId, bytes] = {}
        """What each let out last: most frames go to everybody, one after the other."""

    @property
    def culprits(self) -> set[ReplicaId]:
        """Everybody who is proven guilty."""
        self._compare_commits()
        return set(self.contradictions)

    def note(self, sender: ReplicaId, frame: bytes) -> None:
        """Read a frame that ``sender`` let out."""
        if kind_of(frame) not in SIGNED or self._last.get(sender) == frame:
            return
        self._last[sender] = frame
        try:
            message = parse_frame(sender, frame)
        except ClusterError:
            return
        match message:
            case Vote():
                self._note_vote(message)
            case ViewChange():
                self._note_view_change(message)
            case NewView():
                self._note_new_view(message, frame)
            case _:
                raise AssertionError("no other kind is signed")

    def _note_vote(self, vote: Vote) -> None:
        slot = (vote.kind.name, vote.epoch, vote.view, vote.seq)
        if self._said.get((vote.replica, slot)) == vote.digest:
            return
        payload = vote.payload(self._cluster_id)
        if not is_valid(self._verifier, DOMAINS[vote.kind], vote.replica, payload, vote.signature):
            return
        if not self._note(vote.replica, slot, vote.digest):
            self.equivocators.add(vote.replica)
        if vote.kind is VoteKind.COMMIT:
            self._commits[vote.replica].append(vote)

    def _note_view_change(self, change: ViewChange) -> None:
        payload = change.payload(self._cluster_id)
        digest = hashlib.sha256(payload).digest()
        if digest in self._seen or not is_valid(
            self._verifier, Domain.VIEW_CHANGE, change.replica, payload, change.signature
        ):
            return
        self._seen.add(digest)
        self._note(change.replica, ("VIEW-CHANGE", change.epoch, change.view, Seq(0)), digest)
        self._changes[change.replica].append(change)

    def _note_new_view(self, new_view: NewView, frame: bytes) -> None:
        seen = hashlib.sha256(frame).digest()
        if seen in self._seen:
            return
        self._seen.add(seen)
        payload = new_view.payload(self._cluster_id)
        if not is_valid(
            self._verifier, Domain.NEW_VIEW, new_view.replica, payload, new_view.signature
        ):
            return
        digest = hashlib.sha256(payload).digest()
        self._note(new_view.replica, ("NEW-VIEW", new_view.epoch, new_view.view, Seq(0)), digest)
        for change in new_view.view_changes:
            self._note_view_change(change)
        if len(new_view.proposals) == sum(not c.is_committed for c in new_view.choices):
            for vote in proposals_of(new_view):
                self._note_vote(vote)

    def _note(self, who: ReplicaId, slot: _Slot, digest: bytes) -> bool:
        """Return whether it contradicts nothing."""
        is_first = self._said.setdefault((who, slot), digest) == digest
        if not is_first:
            self._accuse(who, f"two of {slot}")
        return is_first

    def _accuse(self, who: ReplicaId, about: str) -> None:
        self.contradictions.setdefault(who, Contradiction(who, about))

    def _compare_commits(self) -> None:
        for who, changes in self._changes.items():
            for vote in self._commits[who]:
                if any(_denies(change, vote) for change in changes):
                    self._accuse(who, f"a commit at {vote.seq} and a later claim without it")


def _denies(change: ViewChange, commit: Vote) -> bool:
    """Whether no correct replica casts ``commit`` and sends ``change``, in whatever order."""
    if change.epoch != commit.epoch or change.view <= commit.view or commit.seq <= change.stable:
        return False
    return not any(
        claim.seq == commit.seq and (claim.is_committed or claim.view >= commit.view)
        for claim in change.claims
    )
