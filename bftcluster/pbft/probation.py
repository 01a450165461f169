"""After a start a replica is silent until peers confirm that it forgot no vote.

A disk can be wiped, or rolled back with a virtual machine, and look consistent. So what we have
forgotten is not judged by what we still have: each process asks the others what they hold of ours.
A signed vote or VIEW-CHANGE that we do not know proves the loss, whatever its epoch; so does an
empty log of votes. Then we follow silently until the cluster has passed every slot that we may have
voted in, and keep every promise that anybody can show us. It costs one round trip if nothing is
lost, and nothing is lost by waiting: those who must answer are needed for a decision anyway.
"""

from dataclasses import dataclass, field

from bftcluster.errors import ClusterError
from bftcluster.ids import Epoch, ReplicaId, Seq, View
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import LOSSES, Claimed, Core
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.messages import Probe, Vouch
from bftcluster.pbft.records import Silenced, VoteLoss
from bftcluster.pbft.stash import Stash
from bftcluster.pbft.steps import Lane
from bftcluster.pbft.throttle import AnswerKind
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger
from bftcluster.pbft.votes import Vote


@dataclass(frozen=True, slots=True)
class _Voucher:
    """What one peer answered last."""

    epoch: Epoch
    horizon: Seq
    stable: Seq
    is_sure: bool


@dataclass(slots=True, eq=False, repr=False)
class Probation:
    """Asks for, gives and weighs vouchers."""

    _core: Core
    _checkpoints: Checkpoints
    _view_changer: ViewChanger
    _stash: Stash
    _vouchers: dict[ReplicaId, _Voucher] = field(default_factory=dict)
    """Who answered, and what: members of some epoch only."""
    _heard: dict[ReplicaId, Claimed] = field(default_factory=dict)
    """The furthest that members heard of us, perhaps in an earlier life."""
    _highest: Seq = field(default=Seq(0))
    """The highest slot with a vote of ours that somebody showed."""
    _nonce: int = 0

    def begin(self) -> None:
        """Ask everybody from the first status on; nobody need be asked if there is nobody."""
        self._nonce = self._core.wall_ms
        self._weigh()

    def ask(self) -> None:
        """Ask, or ask again, unless it is over."""
        if self._core.is_silent:
            self._core.out.send_early(None, Probe(self._nonce).frame(), Lane.SYNC)

    def on_time(self) -> None:
        """Speak again, once everything we may have voted in is under a stable checkpoint."""
        core = self._core
        if core.loss is not None and not core.is_silent and core.log.low >= core.silent_until:
            core.loss = None
            core.out.report(Verdict.SILENT, None, f"votes again, from {core.log.low + 1} on")
        if core.loss is None:
            self._view_changer.keep_promise()

    def on_probe(self, sender: ReplicaId, probe: Probe) -> Verdict:
        """Tell ``sender`` what of its own we hold."""
        core = self._core
        if not core.may_answer(sender, AnswerKind.VOUCH, count_max=4):
            return Verdict.DUPLICATE
        nothing = (Epoch(0), View(0), Seq(0))
        vouch = Vouch(
            nonce=probe.nonce,
            epoch=core.epoch,
            horizon=Seq(core.executed + core.log.window_size_seqs),
            is_sure=core.loss is None,
            votes=tuple(vote.frame() for vote in self._latest_votes(sender)),
            view_change=self._view_changer.view_change_of(sender),
            heard=core.furthest.get(sender, nothing),
            stable=core.stable,
        )
        core.out.send(sender, vouch.frame(), Lane.SYNC)
        return Verdict.ACCEPTED

    def on_vouch(self, sender: ReplicaId, vouch: Vouch) -> Verdict:
        """Look for what we do not know, however late the answer is; count it while we wait."""
        core = self._core
        if vouch.nonce != self._nonce:
            return Verdict.UNSOLICITED
        try:
            messages = [parse_frame(core.me, frame) for frame in vouch.votes]
        except ClusterError:
            return Verdict.MALFORMED
        for vote in messages:
            if isinstance(vote, Vote) and core.recognise(vote):
                self._highest = max(self._highest, vote.seq)
        if vouch.view_change is not None:
            core.recognise_view_change(vouch.view_change)
        if sender not in core.membership.replicas:
            return Verdict.ACCEPTED
        self._take_hint(sender, vouch)
        stable = vouch.stable.seq if vouch.stable is not None else Seq(0)
        self._vouchers[sender] = _Voucher(vouch.epoch, vouch.horizon, stable, vouch.is_sure)
        self._weigh()
        return Verdict.ACCEPTED

    def _take_hint(self, sender: ReplicaId, vouch: Vouch) -> None:
        """Believe an unsigned hint when so many give one that a correct member is among them.

        We wanted the view that it heard of, then, and gave up those before.
        """
        core = self._core
        self._heard[sender] = vouch.heard
        heard = (self._heard.get(replica) for replica in core.membership.replicas)
        hints = sorted(hint for hint in heard if hint is not None and self._is_news(hint))
        if len(hints) < core.membership.weak_quorum:
            return
        if core.loss is None:
            core.lose_memory(VoteLoss.OLD_COPY)
        epoch, view, _ = hints[-core.membership.weak_quorum]
        core.promise(epoch, view)

    def _is_news(self, heard: Claimed) -> bool:
        """Whether somebody heard more of us than we know now.

        Who does not vote writes no view down. What was stable in an earlier epoch is no news, or a
        recovery has made it void.
        """
        core = self._core
        epoch, view, stable = heard
        is_above = stable > core.log.low and epoch >= core.epoch
        is_later = (epoch, view) > core.guard.promised and (core.is_member or epoch > core.epoch)
        return is_above or is_later

    def _counted(self) -> list[_Voucher]:
        """Return the answers that count: of members who are where we are, and sure themselves.

        One in another epoch knows nothing of what we may have said in ours, or we are the one who
        has to catch up; we do so silently, and ask again. A checkpoint that we could not verify is
        a lie, or unknown to us for the same reason.
        """
        core, proven = self._core, self._checkpoints.proven
        answers = ((replica, self._vouchers.get(replica)) for replica in core.membership.replicas)
        return [
            answer
            for replica, answer in answers
            if answer is not None
            and replica != core.me
            and answer.is_sure
            and answer.epoch == core.epoch
            and answer.stable <= proven
        ]

    def _weigh(self) -> None:
        """End the silence, or find out where it ends, once enough have answered."""
        core = self._core
        if not core.is_silent:
            return
        counted = self._counted()
        if core.loss is None or core.silent_until:
            if len(counted) < core.membership.quorum - 1:
                return
        elif not self._find_end(counted):
            return
        core.is_silent = False

    def _find_end(self, counted: list[_Voucher]) -> bool:
        """Return whether it is known now what we may have voted in.

        The last checkpoint that we ever had stable was executed by a quorum. A quorum of others
        therefore holds one that executed it and does not lie, if at most f do; and nobody votes
        more than a window above its stable checkpoint.
        """
        core = self._core
        others = [replica for replica in core.membership.replicas if replica != core.me]
        if len(counted) < min(core.membership.quorum, len(others)) or core.loss is None:
            return False
        plausible = self._checkpoints.proven + 2 * core.log.window_size_seqs
        furthest = max((answer.horizon for answer in counted), default=core.log.high)
        core.silent_until = Seq(max(min(furthest, plausible), self._highest, 1))
        core.out.persist(Silenced(core.silent_until, core.loss).to_bytes())
        core.out.report(
            Verdict.SILENT, None, f"silent until {core.silent_until}: {LOSSES[core.loss]}"
        )
        return True

    def _latest_votes(self, voter: ReplicaId) -> list[Vote]:
        """Return the votes of ``voter`` that are highest in the log, and in epoch and view."""
        votes = [*self._votes_in_window(voter), *self._checkpoints.votes_of(voter)]
        for frame in self._stash.of(voter):
            message = parse_frame(voter, frame)
            if isinstance(message, Vote):
                votes.append(message)
        if not votes:
            return []
        by_seq = max(votes, key=lambda vote: (vote.seq, vote.epoch, vote.view, vote.kind))
        by_view = max(votes, key=lambda vote: (vote.epoch, vote.view, vote.seq, vote.kind))
        return [by_seq] if by_seq == by_view else [by_seq, by_view]

    def _votes_in_window(self, voter: ReplicaId) -> list[Vote]:
        """Return the votes of ``voter``, of this view and of those whose certificates we keep."""
        core, votes = self._core, []
        for slot in core.log.slots.values():
            votes += [*slot.prepares.votes.values(), *slot.commits.votes.values()]
            if slot.prepared is not None:
                votes += slot.prepared.votes(core.membership.primary(slot.prepared.view))
            if slot.decided is not None:
                votes += slot.decided.votes()
        return [vote for vote in votes if vote.replica == voter]
