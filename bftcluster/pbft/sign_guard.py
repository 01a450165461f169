"""The only place that signs votes: never two digests for one (epoch, kind, view, seq).

Whatever the rest of the core asks for, and however often the process restarts. A vote asked for
again is the same vote with the same signature; a conflicting one is a bug of ours and stops the
process before the signature exists, with assertions on or off.
"""

from collections.abc import Callable

from bftcluster.errors import BrokenPromiseError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft.records import Voted
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import Domain, Signer, sign

_Key = tuple[Epoch, VoteKind, View, Seq]


class SignGuard:
    """Signs votes, after writing down what it is about to sign."""

    __slots__ = (
        "_floor",
        "_me",
        "_persist",
        "_promised",
        "_signatures",
        "_signer",
        "_view_messages",
        "_voted",
    )

    def __init__(
        self,
        *,
        me: ReplicaId,
        signer: Signer,
        signatures: Signatures,
        persist: Callable[[bytes], None],
    ) -> None:
        self._me = me
        self._signer = signer
        self._signatures = signatures
        self._persist = persist
        self._voted: dict[_Key, Vote] = {}
        self._floor = Seq(0)
        self._promised: tuple[Epoch, View] = (Epoch(0), View(0))
        """We vote on proposals in this view and later ones only."""
        self._view_messages: dict[tuple[Epoch, View, Domain], bytes] = {}
        """What we signed to change or open views; of the promised view only."""

    @property
    def promised(self) -> tuple[Epoch, View]:
        """We vote on proposals in this epoch and view and later ones only."""
        return self._promised

    def restore(self, record: Voted) -> None:
        """Remember a vote of an earlier life.

        Signing is deterministic, so that the vote is made again rather than stored.
        """
        key = (record.epoch, record.kind, record.view, record.seq)
        before = self._voted.get(key)
        _insist(before is None or before.digest == record.digest, "we never voted twice")
        self._voted[key] = self._sign(*key, record.digest)

    def may_vote(self, kind: VoteKind, epoch: Epoch, view: View, seq: Seq, digest: Digest) -> bool:
        """Return whether this vote contradicts none of ours."""
        if seq <= self._floor:
            return False
        if kind is not VoteKind.CHECKPOINT and (epoch, view) < self._promised:
            return False
        before = self._voted.get((epoch, kind, view, seq))
        return before is None or before.digest == digest

    def vote(self, kind: VoteKind, epoch: Epoch, view: View, seq: Seq, digest: Digest) -> Vote:
        """Return our signed vote; its record is persisted first, unless it is an old vote."""
        _insist(seq > self._floor, "slots under a stable checkpoint are closed")
        key = (epoch, kind, view, seq)
        before = self._voted.get(key)
        if before is not None:
            _insist(before.digest == digest, "a second digest must never be signed")
            return before
        is_checkpoint = kind is VoteKind.CHECKPOINT
        _insist(is_checkpoint or (epoch, view) >= self._promised, "that view was given up")
        self._persist(Voted(kind, epoch, view, seq, digest).to_bytes())
        vote = self._sign(epoch, kind, view, seq, digest)
        self._voted[key] = vote
        self._signatures.remember(vote)
        return vote

    def past_vote(self, kind: VoteKind, epoch: Epoch, view: View, seq: Seq) -> Vote | None:
        """Return the vote we cast there, to send it again."""
        return self._voted.get((epoch, kind, view, seq))

    def forget(self, stable: Seq) -> None:
        """Forget votes up to ``stable``, where a checkpoint is: none will be cast there again."""
        _insist(stable >= self._floor, "stable checkpoints advance")
        self._floor = stable
        gone = [key for key in self._voted if key[3] <= stable]
        for key in gone:
            del self._voted[key]

    def promise(self, epoch: Epoch, view: View) -> None:
        """Never again vote on a proposal of an earlier view. The caller's record persists it."""
        if (epoch, view) > self._promised:
            self._promised = (epoch, view)
            self._view_messages = {}

    def sign_view_message(self, domain: Domain, epoch: Epoch, view: View, payload: bytes) -> bytes:
        """Return our signature over a VIEW-CHANGE or NEW-VIEW: at most one of each per view.

        The caller persists what it signed, in the same step.
        """
        _insist(domain in (Domain.VIEW_CHANGE, Domain.NEW_VIEW), "votes are signed elsewhere")
        _insist((epoch, view) >= self._promised, "that view was given up")
        self.promise(epoch, view)
        before = self._view_messages.setdefault((epoch, view, domain), payload)
        _insist(before == payload, "a second view message must never be signed")
        return sign(self._signer, domain, payload)

    def live_records(self) -> list[bytes]:
        """Return the records of all votes remembered."""
        return [
            Voted(vote.kind, vote.epoch, vote.view, vote.seq, vote.digest).to_bytes()
            for vote in self._voted.values()
        ]

    def _sign(self, epoch: Epoch, kind: VoteKind, view: View, seq: Seq, digest: Digest) -> Vote:
        payload = vote_payload(self._signatures.cluster_id, epoch, view, seq, digest, self._me)
        signature = sign(self._signer, DOMAINS[kind], payload)
        return Vote(kind, epoch, view, seq, digest, self._me, signature)


def _insist(holds: bool, promise: str) -> None:
    """Assert ``promise``, even where assertions are off.

    Raises:
        BrokenPromiseError: It does not hold.
    """
    if not holds:
        raise BrokenPromiseError(promise)
