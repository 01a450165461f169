"""Learns who votes now from peers that speak of epochs unknown to us, and keeps the proofs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import trio

from bftcluster.errors import ClusterError
from bftcluster.ids import ClusterId, Epoch, PeerId, ReplicaId
from bftcluster.ledger.rows.store import Delta
from bftcluster.membership import Membership
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import EpochsLearned
from bftcluster.signing.keys import Ed25519Verifier
from bftcluster.signing.policies import Policy
from bftcluster.sync.epoch_proofs import EpochLink
from bftcluster.sync.epoch_sync import ASK_AGAIN_MS, EpochAnswer, EpochLearning
from bftcluster.sync.state_parts import Source

_log = log_for("transfer")


class EpochSync:
    """Asks, checks the links it gets, keeps them for others, and tells the replica."""

    def __init__(
        self,
        *,
        cluster_id: ClusterId,
        genesis: Membership,
        policy: Policy,
        own: Source,
        epoch: Callable[[], Epoch],
        connected: Callable[[], Sequence[PeerId]],
        send: Callable[[PeerId, bytes], object],
        keep: Callable[[Delta], Awaitable[None]],
        tell: Callable[[EpochsLearned], None],
        begin_again: Callable[[EpochLink], None],
        workers: Workers,
    ) -> None:
        """Begin.

        Args:
            cluster_id: Of the cluster.
            genesis: Who voted first.
            policy: Whose signatures begin a recovery.
            own: Our ledger.
            epoch: Returns the epoch that we are in.
            connected: Returns who could be asked.
            send: Sends a frame.
            keep: Stores rows.
            tell: Tells the replica.
            begin_again: Takes a recovery that is in force: the peer has to open again on it.
            workers: The threads that verify.
        """
        self._learning = EpochLearning(
            cluster_id, Ed25519Verifier(), genesis=genesis, policy=policy, own=own
        )
        self._epoch = epoch
        self._connected = connected
        self._send = send
        self._keep = keep
        self._tell = tell
        self._begin_again = begin_again
        self._workers = workers
        self._arrived = trio.Event()

    def ask(self, source: ReplicaId) -> None:
        """Ask a peer who votes behind the last epoch that we can prove, unless it was asked."""
        peer = PeerId(source)
        frame = self._learning.ask(peer, _now_ms())
        if frame is not None:
            self._send(peer, frame)

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take the answer of a peer that was asked."""
        if self._learning.on_frame(peer, frame):
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Look at answers until cancelled; ask for what our links lack, one peer after another."""
        while True:
            with trio.move_on_after(ASK_AGAIN_MS / 1000) as patience:
                await self._arrived.wait()
            self._arrived = trio.Event()
            if patience.cancelled_caught:
                self._ask_for_missing()
            while (answer := self._learning.next_answer()) is not None:
                await self._look_at(answer)

    def _ask_for_missing(self) -> None:
        source = self._learning.next_source(self._connected(), self._epoch())
        if source is not None:
            self.ask(ReplicaId(source))

    async def _look_at(self, answer: EpochAnswer) -> None:
        look_at = self._learning.look_at
        try:
            learned = await self._workers.run(look_at, answer)
        except ClusterError as exc:
            self._learning.on_lie(answer.peer, _now_ms())
            who = answer.peer.hex()[:8]
            _log.info("suspicion", verdict="wrong-epochs", peer=who, detail=str(exc))
            return
        if learned.recovery is not None:
            _log.warning("the maintainers started the cluster again without this peer")
            self._begin_again(learned.recovery)
        elif learned.starts:
            _log.info("learned who votes", epoch=learned.starts[-1].membership.epoch)
            await self._keep(learned.delta)
            self._tell(EpochsLearned(learned.starts))


def _now_ms() -> int:
    return int(trio.current_time() * 1000)
