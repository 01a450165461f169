"""Learns who votes now from peers that show certificates of epochs unknown to us."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from bftcluster.errors import ClusterError
from bftcluster.ids import ClusterId, PeerId, ReplicaId
from bftcluster.ledger.epoch_links import EpochLink
from bftcluster.ledger.learning import Answer, EpochLearning
from bftcluster.ledger.spaces import Delta
from bftcluster.membership import Membership
from bftcluster.node.logs import log_for
from bftcluster.pbft import EpochsLearned
from bftcluster.signing.keys import Ed25519Verifier
from bftcluster.signing.policies import Policy

_log = log_for("transfer")


class EpochLearner:
    """Asks, checks the links it gets, keeps them for others, and tells the replica."""

    def __init__(
        self,
        *,
        cluster_id: ClusterId,
        policy: Policy,
        latest: Callable[[], Membership],
        send: Callable[[PeerId, bytes], object],
        keep: Callable[[Delta], Awaitable[None]],
        tell: Callable[[EpochsLearned], None],
        begin_again: Callable[[EpochLink], None],
    ) -> None:
        self._learning = EpochLearning(cluster_id, Ed25519Verifier(), policy)
        self._latest = latest
        self._send = send
        self._keep = keep
        self._tell = tell
        self._begin_again = begin_again
        self._arrived = trio.Event()

    def ask(self, source: ReplicaId) -> None:
        """Ask a peer who votes behind the last epoch that we know of, unless it was asked."""
        peer = PeerId(source)
        frame = self._learning.ask(peer, self._latest(), _now_ms())
        if frame is not None:
            self._send(peer, frame)

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take the answer of a peer that was asked."""
        if self._learning.on_frame(peer, frame):
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Look at answers until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while (answer := self._learning.next_answer()) is not None:
                await self._look_at(answer)

    async def _look_at(self, answer: Answer) -> None:
        look_at = self._learning.look_at
        try:
            learned = await trio.to_thread.run_sync(look_at, answer, self._latest())
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
