"""Holders that do not have what they say, and voters that say what they did not see."""

import hashlib

from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.sync.audit_duties import Sight
from bftcluster_sim.cluster.peers.audit_speech import AuditLie


class HonestInAudits:
    """Does what it should; the base of those that lie in one thing."""

    def answer(self, _me: PeerId, _challenge: Challenge, right: bytes) -> bytes | None:
        """Return the right digest."""
        return right

    def shows(self, _challenge: Challenge) -> bool:
        """Send what it has."""
        return True

    def sight(self, _sight: Sight, right: bytes) -> bytes | None:
        """Say what it saw, if it saw something."""
        return right or None


class Guesser(HonestInAudits):
    """Has deleted everything, and says a digest that is nothing."""

    def answer(self, me: PeerId, challenge: Challenge, _right: bytes) -> bytes | None:
        """Return what it had pledged, which nobody else says."""
        return hashlib.sha256(me + challenge.seed).digest()

    def shows(self, _challenge: Challenge) -> bool:
        """Have nothing to send."""
        return False


class Copier(HonestInAudits):
    """Has deleted everything, and says what others answered, if one has by then."""

    def answer(self, me: PeerId, challenge: Challenge, _right: bytes) -> bytes | None:
        """Return the first answer of another, or a commitment of another in its place."""
        others = [each for each in challenge.asked if each.peer != me]
        said = [each.digest or each.commitment for each in others]
        return next((each for each in said if each), None)

    def shows(self, _challenge: Challenge) -> bool:
        """Have nothing to send."""
        return False


class Colluder(HonestInAudits):
    """Has deleted everything, and says what it has agreed upon with others like it."""

    def answer(self, _me: PeerId, challenge: Challenge, _right: bytes) -> bytes | None:
        """Return what all of them work out alike without the blocks."""
        return hashlib.sha256(b"agreed " + challenge.seed).digest()

    def shows(self, _challenge: Challenge) -> bool:
        """Have nothing to send."""
        return False


class Mum(HonestInAudits):
    """Has deleted everything, and says nothing of audits, as holder and as voter."""

    def answer(self, _me: PeerId, _challenge: Challenge, _right: bytes) -> bytes | None:
        """Say nothing."""
        return None

    def shows(self, _challenge: Challenge) -> bool:
        """Have nothing to send."""
        return False

    def sight(self, _sight: Sight, _right: bytes) -> bytes | None:
        """Say nothing."""
        return None


class Denier(HonestInAudits):
    """Has its blocks, and says as a voter that nobody else does."""

    def answer(self, _me: PeerId, _challenge: Challenge, right: bytes) -> bytes | None:
        """Be late, so that voters have to look."""
        return right

    def sight(self, _sight: Sight, _right: bytes) -> bytes | None:
        """Say that nothing came."""
        return b""


class Slanderer(HonestInAudits):
    """Has its blocks, answers what differs from everybody's, and says it saw the same of them."""

    def answer(self, _me: PeerId, challenge: Challenge, _right: bytes) -> bytes | None:
        """Return another digest, so that all are suspects."""
        return hashlib.sha256(b"slander " + challenge.seed).digest()

    def sight(self, sight: Sight, _right: bytes) -> bytes | None:
        """Say that others sent blocks with that digest."""
        return hashlib.sha256(b"slander " + sight.challenge.seed).digest()


AUDIT_LIES: tuple[AuditLie, ...] = (
    Guesser(),
    Copier(),
    Colluder(),
    Mum(),
    Denier(),
    Slanderer(),
)
