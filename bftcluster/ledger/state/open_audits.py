"""The audits that are open, decoded. Any thread may look at one; execution alone changes them."""

from collections.abc import Iterable

from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import (
    CHALLENGE_PREFIX,
    TURN_KEY,
    AuditPhase,
    AuditTurn,
    Challenge,
    read_challenge,
    read_turn,
)


class OpenAudits:
    """As of now."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Decode.

        Args:
            rows: All of ``Space.AUDIT``, in the order of their keys.
        """
        self.turn = AuditTurn()
        self._by_number: dict[int, Challenge] = {}
        self._counts: dict[PeerId, int] = {}
        for key, value in rows:
            if key.startswith(CHALLENGE_PREFIX):
                self.set(read_challenge(value))
            elif key == TURN_KEY:
                self.turn = read_turn(value)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_number)

    def get(self, number: int) -> Challenge | None:
        """Return one of them."""
        return self._by_number.get(number)

    def count_of(self, peer: PeerId) -> int:
        """Return in how many of them something is still expected of a peer."""
        return self._counts.get(peer, 0)

    def agreed_from(self, first: int, before: int, limit: int) -> list[Challenge]:
        """Return up to ``limit`` in which all agreed, from a number up to before another, in order.

        They are in order, since numbers rise and a change leaves each where it is.
        """
        found: list[Challenge] = []
        for number, challenge in self._by_number.items():
            if number >= before or len(found) == limit:
                break
            if number >= first and challenge.phase is AuditPhase.AGREED:
                found.append(challenge)
        return found

    def set(self, challenge: Challenge) -> None:
        """Take in an audit as it is now."""
        self._count(self._by_number.get(challenge.number), -1)
        self._count(challenge, 1)
        self._by_number[challenge.number] = challenge

    def remove(self, number: int) -> None:
        """Forget one that is over."""
        self._count(self._by_number.pop(number), -1)

    def _count(self, challenge: Challenge | None, change: int) -> None:
        if challenge is None:
            return
        for each in challenge.asked:
            if not each.is_settled:
                count = self._counts.get(each.peer, 0) + change
                if count:
                    self._counts[each.peer] = count
                else:
                    self._counts.pop(each.peer, None)
