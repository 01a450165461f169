"""Learns who votes now from peers that show certificates of epochs unknown to us."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from bftcluster.errors import ClusterError
from bftcluster.ids import ClusterId, PeerId, ReplicaId
from bftcluster.ledger.epoch_links import EpochLink, fetch_frame, follow, read_links
from bftcluster.ledger.members import epoch_key
from bftcluster.ledger.spaces import Delta, Space
from bftcluster.membership import Membership
from bftcluster.node.logs import log_for
from bftcluster.pbft import EpochsLearned, EpochStart
from bftcluster.signing.keys import Ed25519Verifier

_log = log_for("transfer")


class EpochLearner:
    """Asks, checks the links it gets, keeps them for others, and tells the replica."""

    def __init__(
        self,
        *,
        cluster_id: ClusterId,
        latest: Callable[[], Membership],
        send: Callable[[PeerId, bytes], object],
        keep: Callable[[Delta], Awaitable[None]],
        tell: Callable[[EpochsLearned], None],
    ) -> None:
        self._cluster_id = cluster_id
        self._latest = latest
        self._send = send
        self._keep = keep
        self._tell = tell
        self._asked: PeerId | None = None
        self._answer: tuple[PeerId, bytes] | None = None
        self._arrived = trio.Event()

    def ask(self, source: ReplicaId) -> None:
        """Ask a peer who votes behind the last epoch that we know of."""
        self._asked = PeerId(source)
        self._send(self._asked, fetch_frame(self._latest().epoch))

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take the answer of the peer that was asked last."""
        if peer == self._asked:
            self._asked = None
            self._answer = (peer, frame)
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Look at answers until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            assert self._answer is not None, "an answer arrived"
            peer, frame = self._answer
            try:
                links, starts = await trio.to_thread.run_sync(self._follow, frame)
            except ClusterError as exc:
                _log.info("suspicion", verdict="wrong-epochs", peer=peer.hex()[:8], detail=str(exc))
                continue
            if starts:
                _log.info("learned who votes", epoch=starts[-1].membership.epoch)
                await self._keep(
                    {
                        (Space.EPOCH_LINK, epoch_key(start.membership.epoch)): link.to_bytes()
                        for link, start in zip(links, starts, strict=True)
                    }
                )
                self._tell(EpochsLearned(tuple(starts)))

    def _follow(self, frame: bytes) -> tuple[list[EpochLink], list[EpochStart]]:
        links = read_links(frame)
        return links, follow(links, self._latest(), self._cluster_id, Ed25519Verifier())
