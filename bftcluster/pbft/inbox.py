"""Parses each frame, checks who sent it, and hands it to the part of the replica that judges it."""

from dataclasses import dataclass
from typing import assert_never

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Epoch, ReplicaId
from bftcluster.pbft import messages
from bftcluster.pbft.catch_up import CatchUp
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import Core
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.log_server import LogServer
from bftcluster.pbft.messages import Message
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.probation import Probation
from bftcluster.pbft.proposer import Proposer
from bftcluster.pbft.stash import Stash
from bftcluster.pbft.steps import Lane
from bftcluster.pbft.suspicion import Suspicion
from bftcluster.pbft.throttle import AnswerKind
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameInbox:
    """Parses, checks who speaks, and hands on; keeps what comes too early."""

    core: Core
    normal_case: NormalCase
    checkpoints: Checkpoints
    proposer: Proposer
    view_changer: ViewChanger
    suspicion: Suspicion
    catch_up: CatchUp
    followers: LogServer
    probation: Probation
    stash: Stash

    @property
    def stashed(self) -> int:
        """How many frames wait for a view or window to come."""
        return len(self.stash)

    def receive(self, sender: ReplicaId, frame: bytes) -> None:
        """Take a frame from ``sender``, whom the transport has authenticated."""
        core = self.core
        if sender == core.me:
            return
        try:
            message = parse_frame(sender, frame)
        except MalformedMessageError as exc:
            core.out.report(Verdict.MALFORMED, sender, str(exc))
            return
        if isinstance(message, Vote | ViewChange | NewView):
            verdict = self._on_consensus(sender, message, frame)
        else:
            verdict = self._on_sync(sender, message)
        if verdict is Verdict.STASHED:
            verdict = self.stash.put(sender, frame)
        if verdict.is_fault:
            core.out.report(verdict, sender, type(message).__name__)

    def look_again(self) -> None:
        """Take the stashed frames again, after the window, view or epoch has moved."""
        for sender, frame in self.stash.take_all():
            self.receive(sender, frame)

    def _on_consensus(
        self, sender: ReplicaId, message: Vote | ViewChange | NewView, frame: bytes
    ) -> Verdict:
        """Judge what only members of its epoch may say."""
        core = self.core
        if message.epoch != core.epoch:
            return self._of_another_epoch(sender, message.epoch)
        if sender not in core.membership.replicas:
            return Verdict.NOT_A_MEMBER
        if isinstance(message, ViewChange):
            self.suspicion.look_again()
            return self.view_changer.on_view_change(sender, message)
        if isinstance(message, NewView):
            return self.view_changer.on_new_view(sender, message, frame)
        if message.kind is VoteKind.CHECKPOINT:
            return self.checkpoints.on_vote(message)
        return self.normal_case.on_vote(message)

    def _of_another_epoch(self, sender: ReplicaId, epoch: Epoch) -> Verdict:
        """Keep the votes of an epoch to come, if we know that their sender is in it."""
        core = self.core
        if epoch < core.epoch:
            return Verdict.LATE
        return Verdict.STASHED if core.epochs.knows(sender) else Verdict.OUTSIDE_WATERMARKS

    def _on_stable(self, sender: ReplicaId, certificate: CheckpointCertificate) -> Verdict:
        """Take a certificate; if we do not know who should have signed it, have that found out."""
        core = self.core
        if certificate.epoch > core.epochs.latest().epoch:
            core.out.ask_epochs(sender)
        return self.checkpoints.on_certificate(certificate)

    def _on_sync(self, sender: ReplicaId, message: Message) -> Verdict:
        """Judge what proves itself or is a mere hint: anybody whom the transport lets in."""
        match message:
            case messages.Body(batch=batch):
                return self._on_body(sender, batch)
            case messages.Requests(requests=requests, relayed=relayed):
                return self.proposer.take_in(sender, requests, relayed=relayed)
            case messages.Probe():
                return self.probation.on_probe(sender, message)
            case messages.Vouch():
                return self._on_vouch(sender, message)
            case messages.Doubt():
                return self.suspicion.on_doubt(sender, message)
            case messages.Status():
                return self.catch_up.on_status(sender, message)
            case messages.FetchBody() | messages.FetchEntries() | messages.Follow():
                return self._on_question(sender, message)
            case messages.Entries():
                return self.catch_up.on_entries(sender, message)
            case messages.StableCheckpoint(certificate=certificate):
                return self._on_stable(sender, certificate)
            case Vote() | ViewChange() | NewView():
                raise AssertionError("judged elsewhere")
            case _:
                assert_never(message)

    def _on_question(
        self,
        sender: ReplicaId,
        message: messages.FetchBody | messages.FetchEntries | messages.Follow,
    ) -> Verdict:
        """Answer one who misses something, within bounds."""
        core = self.core
        if isinstance(message, messages.Follow):
            return self.followers.on_follow(sender, message)
        if isinstance(message, messages.FetchEntries):
            return self.followers.on_fetch_entries(sender, message)
        body = core.log.bodies.get(message.digest)
        count_max = 2 * core.settings.slots_in_flight_max
        if body is not None and core.may_answer(sender, AnswerKind.BODY, count_max=count_max):
            core.out.send_early(sender, messages.Body(body).frame(), Lane.SYNC)
        return Verdict.ACCEPTED

    def _on_vouch(self, sender: ReplicaId, message: messages.Vouch) -> Verdict:
        if message.stable is not None:
            self._on_stable(sender, message.stable)
        return self.probation.on_vouch(sender, message)

    def _on_body(self, sender: ReplicaId, batch: bytes) -> Verdict:
        """Take a batch that is wanted, or that comes ahead of the primary's proposal."""
        core = self.core
        digest = batch_digest(batch)
        if digest in core.wanted:
            self.normal_case.on_body(sender, digest, batch)
            return Verdict.ACCEPTED
        if sender in (core.primary, core.membership.primary(core.target_view)):
            core.log.bodies.offer(digest, batch, sender)
            return Verdict.WAITING
        return Verdict.UNSOLICITED
