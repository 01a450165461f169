"""Learns who votes now from peers that speak of unknown epochs: whom to ask, what to believe.

Sans-IO: whom to ask and when, and what an answer proves. What is asked for is what our own links
lack, so that we can prove to others whatever we know: also an epoch that we went past by log
entries or with a fetched state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.ids import ClusterId, Epoch, PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.ledger.state.membership_rows import epoch_key
from bftcluster.limits import EPOCH_SOURCES_MAX
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.policies import Policy
from bftcluster.sync.epoch_proofs import EpochLink, follow, read_links, starts_after
from bftcluster.sync.frames import FetchEpochLinks
from bftcluster.sync.state_parts import Source

ASK_AGAIN_MS: Final = 5_000
"""How long an answer may take, and how soon the same peer is asked again."""
LIAR_PAUSE_MS: Final = 120_000


@dataclass(frozen=True, slots=True)
class EpochAnswer:
    """What a peer said about who votes; nothing is verified."""

    peer: PeerId
    asked: Membership
    """Behind which epoch it was asked."""
    frame: bytes


@dataclass(frozen=True, slots=True)
class Learned:
    """Epochs that an answer proves, and that were not known."""

    starts: tuple[EpochStart, ...]
    links: tuple[EpochLink, ...]
    """Why to believe it, one for each start."""

    @property
    def recovery(self) -> EpochLink | None:
        """The last link that maintainers signed: whoever learns of it begins again from there."""
        return next((link for link in reversed(self.links) if link.is_recovery), None)

    @property
    def delta(self) -> Delta:
        """The rows that let us prove it to others."""
        return {
            (Space.EPOCH_LINK, epoch_key(start.membership.epoch)): link.to_bytes()
            for link, start in zip(self.links, self.starts, strict=True)
        }


class EpochLearning:
    """Knows which peers were asked, which owe an answer, and which are left alone."""

    def __init__(
        self,
        cluster_id: ClusterId,
        verifier: Verifier,
        *,
        genesis: Membership,
        policy: Policy,
        own: Source,
    ) -> None:
        """Begin.

        Args:
            cluster_id: Of the cluster.
            verifier: Checks certificates.
            genesis: Who voted first.
            policy: Whose signatures begin a recovery.
            own: Our ledger, where the links are.
        """
        self._cluster_id = cluster_id
        self._verifier = verifier
        self._linked = genesis
        self._policy = policy
        self._own = own
        self._turn = 0
        self._asked: dict[PeerId, Membership] = {}
        """Who owes an answer, and from which epoch on."""
        self._paused_ms: dict[PeerId, int] = {}
        """Until when not to ask a peer."""
        self._answers: dict[PeerId, EpochAnswer] = {}
        """Those that were not looked at yet."""

    @property
    def linked(self) -> Membership:
        """The last epoch that our links lead to from the genesis."""
        for start in starts_after(self._own, self._linked.epoch):
            self._linked = start.membership
        return self._linked

    def lacks_links(self, epoch: Epoch) -> bool:
        """Return whether our links do not lead to ``epoch``, in which we are."""
        return self._linked.epoch < epoch and self.linked.epoch < epoch

    def next_source(self, peers: Sequence[PeerId], epoch: Epoch) -> PeerId | None:
        """Return whom to ask for the links that we lack, one peer after another; None: we have all.

        Args:
            peers: Who could be asked.
            epoch: The one that we are in.
        """
        if not peers or not self.lacks_links(epoch):
            return None
        self._turn += 1
        return peers[self._turn % len(peers)]

    def ask(self, peer: PeerId, now_ms: int) -> bytes | None:
        """Return the frame that asks ``peer`` for the links behind those that we have.

        Anybody can make us ask it, so each is asked in peace from the others, and not often.
        """
        self._paused_ms = {each: at for each, at in self._paused_ms.items() if at > now_ms}
        self._asked = {each: at for each, at in self._asked.items() if each in self._paused_ms}
        if peer in self._paused_ms or len(self._asked) + len(self._answers) >= EPOCH_SOURCES_MAX:
            return None
        self._paused_ms[peer] = now_ms + ASK_AGAIN_MS
        self._asked[peer] = self.linked
        return FetchEpochLinks(self.linked.epoch).frame()

    def on_frame(self, peer: PeerId, frame: bytes) -> bool:
        """Take the answer of a peer; return whether it was asked."""
        if peer not in self._asked:
            return False
        self._answers[peer] = EpochAnswer(peer, self._asked.pop(peer), frame)
        return True

    def next_answer(self) -> EpochAnswer | None:
        """Return an answer to look at, the first that came."""
        return self._answers.pop(next(iter(self._answers))) if self._answers else None

    def look_at(self, answer: EpochAnswer) -> Learned:
        """Return what is new in an answer: others may have told us some of it meanwhile.

        May run beside everything else.

        Raises:
            ClusterError: It proves nothing.
        """
        links = read_links(answer.frame)
        starts = follow(links, answer.asked, self._cluster_id, self._verifier, self._policy)
        known = self.linked.epoch
        new = [pair for pair in zip(starts, links, strict=True) if pair[0].membership.epoch > known]
        return Learned(tuple(start for start, _ in new), tuple(link for _, link in new))

    def on_lie(self, peer: PeerId, now_ms: int) -> None:
        """Leave a peer alone whose answer proved nothing."""
        self._paused_ms[peer] = now_ms + LIAR_PAUSE_MS
