"""Silence after a start, until peers confirm that we forgot no vote.

A disk can be wiped, or rolled back with a virtual machine, and look consistent. So each process
first asks the others which votes of ours they hold. One we do not remember proves the loss; then
we follow silently until the cluster has passed every slot we may have voted in. It costs one round
trip, and nothing is lost by waiting: those who must answer are needed for a decision anyway.
"""

from bftcluster.errors import ClusterError
from bftcluster.ids import ReplicaId, Seq, View
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import Core
from bftcluster.pbft.events import Lane
from bftcluster.pbft.messages import Probe, Vouch, parse_frame
from bftcluster.pbft.throttle import Answer
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.votes import Vote, VoteKind


class Probation:
    """Asks for, gives and weighs vouchers."""

    __slots__ = ("_checkpoints", "_core", "_forgot", "_horizons", "_nonce")

    def __init__(self, core: Core, checkpoints: Checkpoints, *, forgot: bool) -> None:
        self._core = core
        self._checkpoints = checkpoints
        self._forgot = forgot
        """Whether some vote of ours is missing for sure."""
        self._horizons: dict[ReplicaId, Seq] = {}
        """Who answered, and the highest slot we may have voted in as far as they know."""
        self._nonce = 0

    @property
    def forgot(self) -> bool:
        """Whether votes of ours are known to be lost."""
        return self._forgot

    def begin(self) -> None:
        """Ask everybody from the first status on; nobody need be asked if there is nobody."""
        self._nonce = self._core.wall_ms
        self._weigh()

    def ask(self) -> None:
        """Ask, or ask again, unless it is over."""
        if self._core.is_silent:
            self._core.out.send_early(None, Probe(self._nonce).frame(), Lane.SYNC)

    def on_probe(self, sender: ReplicaId, probe: Probe) -> Verdict:
        """Tell ``sender`` which of its votes we hold."""
        core = self._core
        if not core.may_answer(sender, Answer.VOUCH, count_max=4):
            return Verdict.DUPLICATE
        horizon = Seq(core.executed + core.log.window_size_seqs)
        votes = tuple(vote.frame() for vote in self._latest_votes(sender))
        frame = Vouch(probe.nonce, horizon, votes, core.stable).frame()
        core.out.send(sender, frame, Lane.SYNC)
        return Verdict.ACCEPTED

    def on_vouch(self, sender: ReplicaId, vouch: Vouch) -> Verdict:
        """Count an answer; a vote of ours that we do not know proves that we forgot."""
        core = self._core
        if not core.is_silent or vouch.nonce != self._nonce:
            return Verdict.UNSOLICITED
        if vouch.stable is not None:
            self._checkpoints.on_certificate(vouch.stable)
        try:
            votes = [parse_frame(core.me, frame) for frame in vouch.votes]
        except ClusterError:
            return Verdict.MALFORMED
        for vote in votes:
            if isinstance(vote, Vote) and self._is_forgotten(vote):
                self._forgot = True
        self._horizons[sender] = vouch.horizon
        self._weigh()
        return Verdict.ACCEPTED

    def _is_forgotten(self, vote: Vote) -> bool:
        core = self._core
        if vote.epoch != core.epoch or vote.seq <= core.log.low:
            return False
        known = core.guard.past_vote(vote.kind, vote.epoch, vote.view, vote.seq)
        return known is None and core.signatures.is_genuine(vote)

    def _weigh(self) -> None:
        """Speak again once all of a quorum but us have answered."""
        core = self._core
        if not core.is_silent or len(self._horizons) < core.membership.quorum - 1:
            return
        core.is_silent = False
        if self._forgot:
            plausible = self._checkpoints.proven + 2 * core.log.window_size_seqs
            furthest = max(self._horizons.values(), default=core.log.high)
            core.silent_until = Seq(min(furthest, plausible))
            core.out.report(
                Verdict.SILENT, None, f"votes of ours are lost: silent until {core.silent_until}"
            )

    def _latest_votes(self, voter: ReplicaId) -> list[Vote]:
        """Return the votes of ``voter`` with the highest sequence number and the highest view."""
        core = self._core
        votes = [
            votes.votes[voter]
            for slot in core.log.slots.values()
            for votes in (slot.prepares, slot.commits)
            if voter in votes.votes
        ]
        if not votes:
            return []
        by_seq = max(votes, key=lambda vote: (vote.seq, vote.view, vote.kind))
        by_view = max(votes, key=lambda vote: (vote.view, vote.seq, vote.kind))
        return [by_seq] if by_seq == by_view else [by_seq, by_view]


def is_older_than_ledger(core: Core) -> bool:
    """Whether the write-ahead log misses votes that the ledger shows we cast.

    We vote on every checkpoint we execute. A crash may come before the last of these votes is
    durable, but not before the one before it.
    """
    interval = core.settings.checkpoint_interval_seqs
    last = core.executed // interval * interval
    for number in (last, last - interval):
        seq = Seq(number)
        owner = core.epochs.of(seq)
        if seq <= core.log.low or core.me not in owner.replicas:
            return False
        if core.guard.past_vote(VoteKind.CHECKPOINT, owner.epoch, View(0), seq) is not None:
            return False
    return True
