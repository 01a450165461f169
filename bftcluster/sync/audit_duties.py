"""What a peer owes to audits: a pledge, an answer, what it saw of suspects; or nothing.

It follows from the state, the blocks that the peer has, and the seed of its identity, so that
nothing is remembered: after a restart a peer answers what it had pledged.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from bftcluster.ids import ClusterId, Digest, PeerId, ReplicaId
from bftcluster.ledger.rules.audits.windows import answer_window_ms
from bftcluster.ledger.state.audit_rows import Asked, AuditPhase, Challenge
from bftcluster.ledger.wire.audit_requests import (
    SALT_SIZE_BYTES,
    AnswerLine,
    PledgeLine,
    SightLine,
    commitment_of,
    make_answer,
    make_attest,
    make_pledge,
)
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import AUDIT_LINES_MAX, HANDED_IN_EVERY_MS
from bftcluster.membership import Membership
from bftcluster.signing.envelope import Signer
from bftcluster.sync.frames import AuditHint

_L = TypeVar("_L", PledgeLine, AnswerLine, SightLine)
_SALT_TAG: Final = b"bftcluster/audit-salt/v1\x00"


class Sight(NamedTuple):
    """What a voter is to look at: the blocks of an audit, at one suspect."""

    challenge: Challenge
    place: int

    @property
    def suspect(self) -> Asked:
        """Whom to ask."""
        return self.challenge.asked[self.place]


class AuditDuties:
    """One peer's part in audits. Keeps nothing but its keys; may be asked in any thread."""

    def __init__(self, *, signer: Signer, seed: bytes, cluster_id: ClusterId) -> None:
        """Prepare.

        Args:
            signer: The peer's own key.
            seed: Of that key, or as secret: salts follow from it.
            cluster_id: Bound into every signature.
        """
        self._signer = signer
        self._me = PeerId(signer.public_key)
        self._seed = seed
        self._cluster_id = cluster_id

    def is_asked(self, challenge: Challenge) -> bool:
        """Return whether this peer is to read its blocks for an audit now."""
        return is_asked_now(challenge, self._me)

    def sights(self, challenge: Challenge, voters: Membership) -> list[Sight]:
        """Return the suspects of an audit that this peer, if it votes, has seen nothing of yet."""
        is_due = challenge.phase is AuditPhase.SIGHTING
        if not is_due or ReplicaId(self._me) not in voters.replicas:
            return []
        return [
            Sight(challenge, place)
            for place, each in enumerate(challenge.asked)
            if each.is_suspect
            and not each.is_settled
            and each.peer != self._me
            and not each.seen_by(self._me)
        ]

    def answers(self, found: Iterable[tuple[Challenge, bytes]]) -> list[bytes]:
        """Return the requests that say what this peer found, encoded.

        Args:
            found: Audits in which it is asked, each once, with the digest over its blocks; empty:
                it does not have them all.
        """
        pledges: list[PledgeLine] = []
        answers: list[AnswerLine] = []
        for challenge, digest in found:
            number, mark, salt = challenge.number, challenge.mark, self._salt(challenge)
            if not digest:
                answers.append(AnswerLine(number, mark, b"", b""))
            elif challenge.phase is AuditPhase.PLEDGING:
                commitment = commitment_of(challenge.seed, self._me, digest, salt)
                pledges.append(PledgeLine(number, mark, commitment))
            else:
                answers.append(AnswerLine(number, mark, digest, salt))
        signer, cluster_id = self._signer, self._cluster_id
        return [
            *[make_pledge(signer, cluster_id, part).to_bytes() for part in _parts(pledges)],
            *[make_answer(signer, cluster_id, part).to_bytes() for part in _parts(answers)],
        ]

    def attestations(self, seen: Iterable[tuple[Sight, bytes]]) -> list[bytes]:
        """Return the requests that say what this peer saw of suspects, encoded.

        Args:
            seen: Each suspect once, with the digest over the blocks that it sent; empty: it did not
                send them.
        """
        lines = [
            SightLine(
                sight.challenge.number,
                sight.challenge.mark,
                sight.challenge.asked_times,
                sight.place,
                digest,
            )
            for sight, digest in seen
        ]
        signer, cluster_id = self._signer, self._cluster_id
        return [make_attest(signer, cluster_id, part).to_bytes() for part in _parts(lines)]

    def _salt(self, challenge: Challenge) -> bytes:
        digest = hashlib.sha256(_SALT_TAG + self._seed + challenge.seed).digest()
        return digest[:SALT_SIZE_BYTES]


def is_asked_now(challenge: Challenge, peer: PeerId) -> bool:
    """Return whether an audit waits for a peer's pledge, or for the answer that it pledged."""
    place = challenge.place_of(peer)
    if place is None or challenge.asked[place].is_settled:
        return False
    asked = challenge.asked[place]
    if challenge.phase is AuditPhase.PLEDGING:
        return not asked.commitment
    is_answered = bool(asked.digest) or not asked.commitment
    return challenge.phase is AuditPhase.ANSWERING and not is_answered


def gathered_ms(genesis: Genesis) -> int:
    """Return how long relays gather what light peers hand in, so that it makes one batch.

    Pledges and answers are among it, and are not to be late for that: an eighth of their time.
    """
    return min(HANDED_IN_EVERY_MS, answer_window_ms(genesis) // 8)


def hint_of(challenge: Challenge) -> AuditHint:
    """Return what a light peer that is asked in an audit is told of it."""
    return AuditHint(
        number=challenge.number,
        seed=Digest(challenge.seed),
        cid=challenge.cid,
        is_pledged=challenge.phase is AuditPhase.ANSWERING,
    )


def _parts(lines: Sequence[_L]) -> list[list[_L]]:
    """Return the lines of as many requests as they need, in order."""
    ordered = sorted(lines)
    return [
        ordered[start : start + AUDIT_LINES_MAX]
        for start in range(0, len(ordered), AUDIT_LINES_MAX)
    ]
