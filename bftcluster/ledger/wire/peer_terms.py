"""What maintainers let a peer in with: how much may rest on it, and what it may fail with.

A peer says the same things of itself, and more; only what stands here counts for where pins go.
"""

from dataclasses import dataclass
from typing import Any, Final

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import WordedNumber
from bftcluster.ledger.wire.peer_fields import check_readable
from bftcluster.limits import PEER_CAPACITY_MAX_BYTES, PEER_PLACE_MAX_CHARS
from bftcluster.signing.wire import check_array

_SHAPE: Final[list[type]] = [int, int, str, str]
_LIGHT_SHAPE: Final[list[type]] = [*_SHAPE, bool]


class QuotaClass(WordedNumber):
    """Whose disk it is: what rules go by that bound how much rests on disks of one kind.

    The numbers are part of the wire format.
    """

    OWN = 0
    """Of those who run the cluster."""
    PARTNER = 1
    """Of somebody who has agreed to keep it up."""
    VOLUNTEER = 2
    """Lent by anybody, who may take it back at any time."""


_CLASSES: Final = {int(each): each for each in QuotaClass}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTerms:
    """What a peer was let in with; by default nothing is granted.

    Raises:
        MalformedMessageError: On construction, if a field is over a limit.
    """

    capacity_bytes: int = 0
    """What it announces counts up to this. With 0 it is allocated nothing, and holds only what is
    kept everywhere."""
    quota_class: QuotaClass = QuotaClass.VOLUNTEER
    domain: str = ""
    """Peers with the same one may fail together: a room, a provider. Those without any are one
    domain, since nobody vouched that they fail apart."""
    operator: str = ""
    """Who looks after it. Those without any have one operator, likewise."""
    is_light: bool = False
    """Whether it keeps no ledger of others: it dials relays, learns its own duties from them with
    their proofs, never votes, and holds nothing for being everybody's."""

    def __post_init__(self) -> None:
        if not 0 <= self.capacity_bytes <= PEER_CAPACITY_MAX_BYTES:
            raise MalformedMessageError(f"a peer has at most {PEER_CAPACITY_MAX_BYTES} bytes")
        for text, what in ((self.domain, "domain"), (self.operator, "operator")):
            if len(text) > PEER_PLACE_MAX_CHARS:
                raise MalformedMessageError(
                    f"a peer's {what} has at most {PEER_PLACE_MAX_CHARS} characters"
                )
            check_readable(text, f"a peer's {what}")
            if text != text.strip():
                raise MalformedMessageError(f"a peer's {what} begins or ends with a space")

    def usable_capacity_bytes(self, announced_bytes: int) -> int:
        """Return how much of what a peer announces to lend counts."""
        return min(announced_bytes, self.capacity_bytes)

    def usable_free_bytes(self, capacity_bytes: int, free_bytes: int) -> int:
        """Return how much of what a peer announces as free counts.

        What it says is taken is taken from what was approved: a disk of 10 TB with 9 TB free, of
        which 1 TB is approved, has nothing left.

        Args:
            capacity_bytes: What it announces to lend.
            free_bytes: What it announces as free of that; not more.
        """
        beyond = max(0, capacity_bytes - self.capacity_bytes)
        return max(0, free_bytes - beyond)

    def to_json(self) -> dict[str, Any]:
        """Return what the API and the commands say of it."""
        said = {
            "capacity_bytes": self.capacity_bytes,
            "quota_class": self.quota_class.word,
            "domain": self.domain,
            "operator": self.operator,
        }
        return {**said, "light": True} if self.is_light else said

    def to_wire(self) -> list[object]:
        """Return what is encoded: that a peer is light is said only of those that are."""
        items: list[object] = [self.capacity_bytes, int(self.quota_class)]
        items += [self.domain, self.operator]
        return [*items, True] if self.is_light else items


def terms_from_wire(item: object) -> PeerTerms:
    """Return the terms that a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for none.
    """
    is_longer = isinstance(item, list) and len(item) == len(_LIGHT_SHAPE)
    shape = _LIGHT_SHAPE if is_longer else _SHAPE
    items: list[Any] = check_array(item, shape, "a peer's terms")
    capacity, number, domain, operator, *light = items
    if light == [False]:
        raise MalformedMessageError("of a peer that is not light nothing is said of that")
    quota_class = _CLASSES.get(number)
    if quota_class is None:
        raise MalformedMessageError(f"unknown quota class {number}")
    return PeerTerms(
        capacity_bytes=capacity,
        quota_class=quota_class,
        domain=domain,
        operator=operator,
        is_light=bool(light),
    )
