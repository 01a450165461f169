"""Checks the signatures of votes, each at most once."""

import hashlib

from bftcluster.ids import ClusterId, ReplicaId
from bftcluster.limits import SIGNATURE_CACHE_MAX
from bftcluster.pbft.votes import DOMAINS, Vote
from bftcluster.signing.envelope import Domain, Verifier, is_valid


class Signatures:
    """A verifier of votes with a bounded memory of those it found genuine.

    The same vote is met again in a commit certificate, a VIEW-CHANGE and a NEW-VIEW.
    """

    __slots__ = ("_genuine", "_verifier", "cluster_id", "verified")

    def __init__(self, *, cluster_id: ClusterId, verifier: Verifier) -> None:
        self.cluster_id = cluster_id
        self._verifier = verifier
        self._genuine: dict[Vote | tuple[Domain, ReplicaId, bytes, bytes], None] = {}
        self.verified = 0
        """Signatures checked so far, cache hits not counted."""

    def is_genuine(self, vote: Vote) -> bool:
        """Return whether the replica that ``vote`` names signed it."""
        if vote in self._genuine:
            return True
        self.verified += 1
        payload = vote.payload(self.cluster_id)
        domain = DOMAINS[vote.kind]
        if not is_valid(self._verifier, domain, vote.replica, payload, vote.signature):
            return False
        self._remember(vote)
        return True

    def is_signed(
        self, domain: Domain, replica: ReplicaId, payload: bytes, signature: bytes
    ) -> bool:
        """Return whether ``replica`` signed ``payload``, which is no vote."""
        key = (domain, replica, hashlib.sha256(payload).digest(), signature)
        if key in self._genuine:
            return True
        self.verified += 1
        if not is_valid(self._verifier, domain, replica, payload, signature):
            return False
        self._remember(key)
        return True

    def remember(self, vote: Vote) -> None:
        """Know ``vote`` to be genuine, because we made it."""
        self._remember(vote)

    def _remember(self, key: Vote | tuple[Domain, ReplicaId, bytes, bytes]) -> None:
        self._genuine[key] = None
        if len(self._genuine) > SIGNATURE_CACHE_MAX:
            del self._genuine[next(iter(self._genuine))]
