"""What the state says about the beacon: who holds which key, what is being dealt, what was drawn.

One value, which is replaced as a whole, so that any thread may look at it.
"""

from dataclasses import dataclass, replace
from typing import Final

from bftcluster.ids import Digest, Epoch, PeerId, Seq
from bftcluster.ledger.wire.beacon_requests import group_digest
from bftcluster.signing.threshold.dealings import Ceremony, Dealing
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.transcript import Transcript

BEACONS_KEPT: Final = 48
"""The last ones."""
UNKNOWN_END: Final = Seq((1 << 63) - 2)
"""Of a window whose minute is not over: beyond every seq."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderGroup:
    """Those who hold shares of a key, and what their shares follow from."""

    key: GroupKey
    ceremony: Ceremony
    """That gave them their shares."""
    dealings: tuple[Dealing, ...]
    """Out of which the key was made."""
    since_period: int
    """The first whose beacon they make."""
    dealt_ms: int
    """When the key was dealt, by them or by those whom they have it from."""
    silent: int = 0
    """Periods with batches, from their first on, since they last made a beacon."""

    @property
    def number(self) -> int:
        """Of their ceremony; no two groups have one."""
        return self.ceremony.number

    @property
    def digest(self) -> Digest:
        """What their partials name them by."""
        return group_digest(self.key)

    @property
    def transcript(self) -> Transcript:
        """What is left of their ceremony: all that a share follows from."""
        return Transcript(
            ceremony=self.ceremony,
            dealings_until=Seq(0),
            complaints_until=Seq(1),
            dealings=self.dealings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCeremony:
    """Dealings and complaints that have not made a key yet."""

    transcript: Transcript
    epoch: Epoch
    """Whose voters are to hold the key."""
    begun_seq: Seq
    """When the window began that is open: first that for dealings, then that for complaints."""
    begun_ms: int
    is_dealt: bool = False
    """Whether the window for dealings is over."""
    source: int = 0
    """Number of the group that passes its key on; 0: a new key is dealt."""

    @property
    def number(self) -> int:
        """Of the ceremony."""
        return self.transcript.ceremony.number

    @property
    def window_until(self) -> Seq:
        """The last batch of the window that is open."""
        transcript = self.transcript
        return transcript.complaints_until if self.is_dealt else transcript.dealings_until

    def until(self, seq: Seq) -> "OpenCeremony":
        """Return this with ``seq`` as the end of the window that is open."""
        if self.is_dealt:
            return replace(self, transcript=replace(self.transcript, complaints_until=seq))
        return replace(self, transcript=replace(self.transcript, dealings_until=seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardPartial:
    """What a holder contributed in this period, not looked at until there are enough."""

    group: int
    """Number of the group."""
    holder: int
    signature: bytes
    """96 bytes; empty: it was wrong, and there is no second try."""
    seq: Seq
    """The batch that ordered it."""
    digest: Digest
    """Of the request in that batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconState:
    """All of it."""

    ceremonies: int = 0
    """How many there ever were; the last one's number."""
    open: OpenCeremony | None = None
    groups: tuple[HolderGroup, ...] = ()
    """Who makes beacons, and behind them whoever is to do so next."""
    partials: tuple[HeardPartial, ...] = ()
    """Of this period, by group and holder."""
    drawn: tuple[tuple[int, bytes], ...] = ()
    """Periods and their beacons, the last ones, in order."""

    @property
    def last(self) -> bytes | None:
        """The last beacon there is, 32 bytes."""
        return self.drawn[-1][1] if self.drawn else None

    def has(self, period: int) -> bool:
        """Return whether a period, one of the last, has its beacon."""
        return any(each == period for each, _ in self.drawn)

    def with_beacon(self, period: int, value: bytes) -> "BeaconState":
        """Return this with one beacon more, and one less if there are enough."""
        return replace(self, drawn=(*self.drawn, (period, value))[-BEACONS_KEPT:])

    def has_heard(self, group: HolderGroup, holder: int) -> bool:
        """Return whether a holder has contributed to this period's beacon."""
        return any((each.group, each.holder) == (group.number, holder) for each in self.partials)

    def group(self, number: int) -> HolderGroup | None:
        """Return the group of a ceremony, if it is still one."""
        return next((each for each in self.groups if each.number == number), None)

    def group_named(self, digest: Digest) -> HolderGroup | None:
        """Return the group that partials name so."""
        return next((each for each in self.groups if each.digest == digest), None)

    def dealers(self, ceremony: OpenCeremony) -> tuple[PeerId, ...]:
        """Return who may deal, dealer 1 first."""
        source = self.group(ceremony.source)
        holders = (source or ceremony.transcript).ceremony.holders
        return tuple(holder.owner for holder in holders)


def place_of(peer: PeerId, ceremony: Ceremony) -> int | None:
    """Return which holder of a ceremony a peer is, from 1."""
    owners = [holder.owner for holder in ceremony.holders]
    return owners.index(peer) + 1 if peer in owners else None
