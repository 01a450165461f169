"""Learns who votes now from peers that show certificates of epochs unknown to us."""

from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

from bftcluster.errors import ClusterError
from bftcluster.ids import ClusterId, Epoch, PeerId, ReplicaId
from bftcluster.ledger.epoch_links import EpochLink, fetch_frame, follow, read_links
from bftcluster.ledger.members import epoch_key
from bftcluster.ledger.spaces import Delta, Space
from bftcluster.limits import EPOCH_SOURCES_MAX
from bftcluster.membership import Membership
from bftcluster.node.logs import log_for
from bftcluster.pbft import EpochsLearned, EpochStart
from bftcluster.signing.keys import Ed25519Verifier

ASK_AGAIN_S: Final = 5.0
"""How long an answer may take, and how soon the same peer is asked again."""
LIAR_PAUSE_S: Final = 120.0

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
        self._asked: dict[PeerId, Epoch] = {}
        """Who owes an answer, and from which epoch on."""
        self._paused_s: dict[PeerId, float] = {}
        """Until when not to ask a peer."""
        self._answers: dict[PeerId, tuple[Epoch, bytes]] = {}
        """Those that were not looked at yet, and what was asked."""
        self._arrived = trio.Event()

    def ask(self, source: ReplicaId) -> None:
        """Ask a peer who votes behind the last epoch that we know of.

        Anybody can make us ask it, so each is asked in peace from the others, and not often.
        """
        peer, now_s = PeerId(source), trio.current_time()
        self._paused_s = {each: at for each, at in self._paused_s.items() if at > now_s}
        self._asked = {each: at for each, at in self._asked.items() if each in self._paused_s}
        if peer in self._paused_s or len(self._asked) + len(self._answers) >= EPOCH_SOURCES_MAX:
            return
        self._paused_s[peer] = now_s + ASK_AGAIN_S
        self._asked[peer] = self._latest().epoch
        self._send(peer, fetch_frame(self._asked[peer]))

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take the answer of a peer that was asked."""
        if peer in self._asked:
            self._answers[peer] = self._asked.pop(peer), frame
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Look at answers until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._answers:
                peer = next(iter(self._answers))
                await self._look_at(peer, *self._answers.pop(peer))

    async def _look_at(self, peer: PeerId, asked: Epoch, frame: bytes) -> None:
        try:
            links, starts = await trio.to_thread.run_sync(self._follow, asked, frame)
        except ClusterError as exc:
            self._paused_s[peer] = trio.current_time() + LIAR_PAUSE_S
            _log.info("suspicion", verdict="wrong-epochs", peer=peer.hex()[:8], detail=str(exc))
            return
        if starts:
            _log.info("learned who votes", epoch=starts[-1].membership.epoch)
            await self._keep(
                {
                    (Space.EPOCH_LINK, epoch_key(start.membership.epoch)): link.to_bytes()
                    for link, start in zip(links, starts, strict=True)
                }
            )
            self._tell(EpochsLearned(tuple(starts)))

    def _follow(self, asked: Epoch, frame: bytes) -> tuple[list[EpochLink], list[EpochStart]]:
        """Return what is new in an answer: others may have told us some of it meanwhile."""
        known = self._latest()
        links = read_links(frame)[known.epoch - asked :]
        return links, follow(links, known, self._cluster_id, Ed25519Verifier())
