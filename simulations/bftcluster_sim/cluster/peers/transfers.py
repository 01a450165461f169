"""State transfer in one life of a simulated process: it gives, takes, and learns who votes.

Does what the loops around ``bftcluster.sync.transfer``, ``server`` and ``epoch_sync`` do in a node.
"""

from contextlib import suppress
from typing import Literal, TypeAlias, assert_never

from bftcluster.errors import ClusterError, MalformedMessageError
from bftcluster.ids import PeerId, ReplicaId
from bftcluster.pbft import EpochsLearned, Replica, StartStateTransfer
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.epoch_sync import ASK_AGAIN_MS, EpochLearning
from bftcluster.sync.frames import Receiver
from bftcluster.sync.server import KEEP_EARLIER_MS, Questions, reply
from bftcluster.sync.transfer import StateTaking, WantedState
from bftcluster_sim.cluster.peers.processes import Process
from bftcluster_sim.cluster.peers.recoveries import follow

_ANSWER_DELAY_MS = 2

Ours: TypeAlias = Literal[Receiver.STATE_SERVER, Receiver.STATE_TRANSFER, Receiver.EPOCH_SYNC]
"""Whoever takes what is not for the replica."""


class Transfers:
    """Ends with its process; what is staged stays on the disk."""

    def __init__(self, node: Process, replica: Replica) -> None:
        self._node = node
        self._replica = replica
        self._state = node.state
        database = self._state.database
        self._taking = StateTaking(stage=database.stage, own=database, on_fault=self._blame)
        world = node.world
        self._learning = EpochLearning(
            world.founding.cluster_id,
            world.verifier,
            genesis=world.membership,
            policy=world.founding.genesis.policy,
            own=database,
        )
        self._wanted = WantedState()
        self._questions = Questions(self._state.ledger.keep_earlier)
        self._deadline_ms = 0
        node.call_later(ASK_AGAIN_MS, self._ask_for_missing)

    def on_frame(self, sender: ReplicaId, frame: bytes, receiver: Ours) -> None:
        """Take a frame that is not for the replica."""
        peer = PeerId(sender)
        match receiver:
            case Receiver.STATE_SERVER:
                self._take_question(peer, frame)
            case Receiver.STATE_TRANSFER:
                if self._wanted.on_frame(peer, frame):
                    self._node.call_later(0, self._step)
            case Receiver.EPOCH_SYNC:
                if self._learning.on_frame(peer, frame):
                    self._look_at_answers()
            case _ as unreachable:
                assert_never(unreachable)

    # Taking

    def fetch(self, wanted: StartStateTransfer) -> None:
        """Fetch this state, instead of any other under way."""
        if self._wanted.want(wanted):
            self._node.world.on_aimed(self._node, wanted.seq, wanted.certificate)
        self._node.call_later(0, self._step)

    def _step(self) -> None:
        turn = self._wanted.take()
        if turn is None:
            return
        wanted, answers = turn
        now_ms = self._node.now_ms
        requests = self._taking.step(wanted, answers, now_ms)
        if not self._wanted.end(wanted, self._taking):
            return
        for source, request in requests:
            self._node.say(ReplicaId(source), request.frame())
        if self._taking.whole is not None:
            self._node.reopen()
            return
        self._deadline_ms = deadline_ms = max(self._taking.deadline_ms(now_ms), now_ms + 1)
        self._node.call_at(deadline_ms, lambda: self._on_deadline(deadline_ms))

    def _on_deadline(self, deadline_ms: int) -> None:
        if deadline_ms == self._deadline_ms:
            self._step()

    def _blame(self, source: PeerId, verdict: Verdict) -> None:
        self._node.world.on_blamed(self._node, ReplicaId(source), verdict)

    # Learning who votes

    def learn_from(self, source: ReplicaId) -> None:
        """Ask a peer who votes behind the last epoch that we can prove, unless it was asked."""
        frame = self._learning.ask(PeerId(source), self._node.now_ms)
        if frame is not None:
            self._node.say(source, frame)

    def _ask_for_missing(self) -> None:
        """Ask for what our links lack, one peer after another."""
        self._node.call_later(ASK_AGAIN_MS, self._ask_for_missing)
        world = self._node.world
        others = [PeerId(world.nodes[other].key) for other in world.others[self._node.index]]
        source = self._learning.next_source(others, self._replica.membership.epoch)
        if source is not None:
            self.learn_from(ReplicaId(source))

    def _look_at_answers(self) -> None:
        while (answer := self._learning.next_answer()) is not None:
            try:
                learned = self._learning.look_at(answer)
            except ClusterError:
                self._learning.on_lie(answer.peer, self._node.now_ms)
                self._blame(answer.peer, Verdict.BAD_CERTIFICATE)
                continue
            if learned.recovery is not None:
                follow(self._node, learned.recovery)
                return
            if learned.starts:
                position = self._state.executed
                self._state.database.flush(learned.delta, (), position)
                self._node.world.on_learned(self._node, learned.starts)
                self._node.take(EpochsLearned(learned.starts))

    # Giving

    def _take_question(self, peer: PeerId, frame: bytes) -> None:
        with suppress(MalformedMessageError):
            if self._questions.put(peer, frame):
                self._node.call_later(_ANSWER_DELAY_MS, self._reply)

    def _reply(self) -> None:
        node, now_ms = self._node, self._node.now_ms
        asked = self._questions.take(now_ms)
        if asked is None:
            return
        peer, question = asked
        for frame in reply(self._state.database, question, self._replica.stable_certificate):
            node.say(ReplicaId(peer), frame)
        node.call_later(_ANSWER_DELAY_MS, self._reply)
        node.call_at(now_ms + KEEP_EARLIER_MS, lambda: self._questions.let_go(node.now_ms))
