"""Stable checkpoints (OSDI'99, section 4.3): what lets a replica forget."""

from collections.abc import Sequence

from bftcluster.errors import SigningError
from bftcluster.ids import Digest, ReplicaId, Seq, View
from bftcluster.membership import Membership
from bftcluster.pbft.certificates import CheckpointCertificate, check_certificate
from bftcluster.pbft.core import Core
from bftcluster.pbft.epochs import EpochStart
from bftcluster.pbft.evidence import accuse
from bftcluster.pbft.hints import Hints
from bftcluster.pbft.records import Stable
from bftcluster.pbft.steps import HaltReason
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.votes import Vote, VoteKind, VoteSet


class Checkpoints:
    """Votes on state roots, and moves the window when a quorum agrees."""

    __slots__ = ("_core", "_proven", "_roots", "_votes", "hints")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._votes: dict[Seq, VoteSet] = {}
        self._roots: dict[Seq, Digest] = {}
        """Our own, above the low watermark."""
        self._proven: CheckpointCertificate | None = None
        """The highest certified checkpoint, when we have not executed that far yet."""
        self.hints = Hints(core)
        """What we were shown beyond the horizon."""

    @property
    def proven(self) -> Seq:
        """The highest checkpoint that we were shown a quorum's certificate for."""
        return max(self._proven_seq, self.hints.seq)

    @property
    def _proven_seq(self) -> Seq:
        return self._core.log.low if self._proven is None else self._proven.seq

    def on_executed(
        self, seq: Seq, state_root: Digest | None, next_membership: Membership | None
    ) -> None:
        """Note what our executor did; at a checkpoint, a vote is due."""
        core = self._core
        assert core.executed < seq <= core.decided, "executed what was decided, in order"
        interval = core.settings.checkpoint_interval_seqs
        crossed = seq // interval > core.executed // interval
        core.executed = seq
        if not crossed:
            assert next_membership is None, "memberships change at checkpoints"
            return
        assert seq % interval == 0, "the executor stops at every checkpoint"
        assert state_root is not None, "a checkpoint has a state root"
        if seq > core.log.low:
            self._roots[seq] = state_root
        if next_membership is not None:
            core.epochs.add(EpochStart(Seq(seq + interval + 1), next_membership))
        self.set_horizon()

    def set_horizon(self) -> None:
        """Work out how far it is known who votes: up to where the next change can take over."""
        core = self._core
        interval = core.settings.checkpoint_interval_seqs
        known = Seq(core.executed // interval * interval + 2 * interval)
        core.epochs.horizon = max(core.epochs.horizon, known)
        core.log.limit = min(core.epochs.horizon, core.epochs.last_of(core.epoch))

    def learn(self, starts: Sequence[EpochStart]) -> None:
        """Know of epochs to come before we have executed what names them.

        The checkpoint that names an epoch comes one interval before its first number, and the next
        one can name another only from an interval after it.
        """
        epochs, interval = self._core.epochs, self._core.settings.checkpoint_interval_seqs
        for start in starts:
            if epochs.follows(start):
                epochs.add(start)
                epochs.horizon = max(epochs.horizon, Seq(start.first + interval - 1))
                self.hints.on_learned()
        self.set_horizon()

    def restore_root(self, seq: Seq, state_root: Digest) -> None:
        """Know again the state after the last checkpoint we executed in an earlier life."""
        if seq > self._core.log.low:
            self._roots[seq] = state_root

    def go_on(self) -> None:
        """Do what is due: vote on states we know, and start from what is certified by now.

        Nothing else votes on states, so that it does not matter why a vote had to wait.
        """
        self._vote_on_roots()
        certain = self.hints.take_certain()
        if certain is not None:
            self._adopt(certain)
        if self._proven is not None and self._proven.seq <= self._core.executed:
            self._adopt(self._proven)

    def _vote_on_roots(self) -> None:
        """Vote on every state we know and have not voted on, unless we must be silent."""
        core = self._core
        if core.is_silent or not core.is_member:
            return
        for seq, state_root in list(self._roots.items()):
            if core.epochs.of(seq).epoch != core.epoch:
                continue
            votes = self._votes.setdefault(seq, VoteSet())
            if core.me in votes.votes:
                continue
            vote = core.guard.vote(VoteKind.CHECKPOINT, core.epoch, View(0), seq, state_root)
            votes.add_known(vote)
            core.out.broadcast(vote.frame())
            self._try_stabilise(seq)
            if seq not in self._votes:
                return

    @property
    def target(self) -> CheckpointCertificate | None:
        """The highest certified checkpoint that we have not executed, and have no doubts about.

        None while a higher one may yet turn out to be that. It may be our stable one: with the
        power a ledger loses its last flushes, a log does not.
        """
        if self.hints.is_young:
            return None
        stable = self._core.stable
        is_lost = stable is not None and stable.seq > self._core.executed
        proven = stable if self._proven is None and is_lost else self._proven
        return self.hints.believed or proven

    def on_vote(self, vote: Vote) -> Verdict:
        """Count a CHECKPOINT."""
        core = self._core
        if vote.view != 0 or vote.seq % core.settings.checkpoint_interval_seqs:
            return Verdict.NOT_A_CHECKPOINT
        if vote.seq <= core.log.low:
            return Verdict.LATE
        is_ours = core.epochs.of(vote.seq).epoch == vote.epoch
        if not is_ours or vote.seq > core.log.high + core.log.window_size_seqs:
            return Verdict.OUTSIDE_WATERMARKS
        verdict = self._votes.setdefault(vote.seq, VoteSet()).add(vote)
        if verdict is Verdict.COUNTED:
            self._try_stabilise(vote.seq)
        elif verdict is Verdict.CONFLICTING:
            accuse(core, self._votes[vote.seq].votes[vote.replica], vote)
        return verdict

    def on_certificate(self, certificate: CheckpointCertificate) -> Verdict:
        """Take a stable checkpoint of another replica."""
        core = self._core
        if certificate.seq <= self._proven_seq:
            return Verdict.LATE
        if certificate.seq % core.settings.checkpoint_interval_seqs:
            return Verdict.NOT_A_CHECKPOINT
        if certificate.epoch > core.epochs.latest().epoch:
            return Verdict.OUTSIDE_WATERMARKS
        try:
            owner = core.epochs.of(certificate.seq)
            check_certificate(certificate, owner, core.signatures)
        except SigningError:
            return Verdict.BAD_CERTIFICATE
        for vote in certificate.votes():
            if vote.replica == core.me:
                core.recognise(vote)
        self._adopt(certificate)
        return Verdict.ACCEPTED

    def restore(self, certificate: CheckpointCertificate) -> None:
        """Start from a stable checkpoint of an earlier life."""
        self._stabilise(certificate)

    def votes_of(self, voter: ReplicaId) -> list[Vote]:
        """Return the votes of ``voter`` that no certificate has replaced yet, and the last's."""
        stable = () if self._core.stable is None else self._core.stable.votes()
        pending = (votes.votes[voter] for votes in self._votes.values() if voter in votes.votes)
        return [*pending, *(vote for vote in stable if vote.replica == voter)]

    def pending_votes(self, above: Seq) -> list[Vote]:
        """Return our votes above ``above`` that are not certified yet, to send them again."""
        core = self._core
        found = (
            core.guard.past_vote(VoteKind.CHECKPOINT, core.epoch, View(0), seq)
            for seq in sorted(self._roots)
            if seq > max(above, core.log.low)
        )
        return [vote for vote in found if vote is not None]

    def _try_stabilise(self, seq: Seq) -> None:
        core = self._core
        votes = self._votes[seq]
        digest = votes.popular(core.membership.quorum)
        if digest is None:
            return
        certified = votes.find_certified(
            digest, core.membership.quorum, core.signatures.is_genuine, self._on_forged
        )
        if certified is not None:
            self._adopt(CheckpointCertificate.of(certified))

    def _adopt(self, certificate: CheckpointCertificate) -> None:
        """Make a certified checkpoint our stable one, as soon as we have executed that far."""
        core = self._core
        if certificate.seq <= core.log.low:
            return
        if certificate.seq > core.epochs.horizon:
            self.hints.note(certificate)
            return
        core.certified = max(core.certified, certificate.seq)
        if certificate.seq > core.executed:
            if self._proven is None or certificate.seq > self._proven.seq:
                self._proven = certificate
            return
        own = self._roots.get(certificate.seq)
        if own is not None and own != certificate.state_root:
            core.stop(HaltReason.DIVERGED_STATE, certificate.to_bytes(), own)
            return
        self._proven = None
        core.out.persist(Stable(certificate).to_bytes())
        core.out.may_compact = True
        self._stabilise(certificate)

    def _stabilise(self, certificate: CheckpointCertificate) -> None:
        core, seq = self._core, certificate.seq
        core.stable = certificate
        core.certified = max(core.certified, seq)
        core.log.advance(seq)
        core.guard.forget(seq)
        core.wanted = {digest: at for digest, at in core.wanted.items() if at > seq}
        self._votes = {at: votes for at, votes in self._votes.items() if at > seq}
        self._roots = {at: root for at, root in self._roots.items() if at > seq}
        while core.epochs.of(Seq(seq + 1)).epoch > core.epoch:
            following = core.epochs.after(core.epoch)
            assert following is not None, "what owns the next slot is known"
            core.begin_epoch(following.membership)
        self.set_horizon()

    def _on_forged(self, vote: Vote) -> None:
        self._core.out.report(Verdict.BAD_SIGNATURE, vote.replica, f"checkpoint {vote.seq}")
