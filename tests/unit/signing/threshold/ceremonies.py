"""Holders with fixed seeds, and keys that they dealt."""

import hashlib
from collections.abc import Iterable

from bftcluster.ids import ClusterId, PeerId, Seq
from bftcluster.signing.threshold.complaints import Complaint, open_share
from bftcluster.signing.threshold.dealings import Ceremony, Dealing, deal
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.library import best_curve
from bftcluster.signing.threshold.partials import Partial, make_partial
from bftcluster.signing.threshold.share_key import Registration, ShareKey
from bftcluster.signing.threshold.transcript import (
    Transcript,
    held_share,
    order_dealing,
    settled,
)
from bftcluster.signing.threshold.verdicts import DealingVerdict

CURVE = best_curve()
CLUSTER = ClusterId(b"c" * 32)
MESSAGE = b"period 7"
DEALT = Seq(10)
END = Seq(20)


def key_of(name: int) -> ShareKey:
    return ShareKey(hashlib.sha256(b"seed %d" % name).digest())


def owner_of(name: int) -> PeerId:
    return PeerId(hashlib.sha256(b"peer %d" % name).digest())


def registered(name: int) -> Registration:
    return key_of(name).registration(CURVE, owner_of(name))


def entropy_of(name: int) -> bytes:
    return hashlib.sha256(b"entropy %d" % name).digest()


def ceremony_of(
    names: Iterable[int], threshold: int, *, number: int = 1, source: GroupKey | None = None
) -> Ceremony:
    return Ceremony(
        cluster_id=CLUSTER,
        number=number,
        threshold=threshold,
        holders=tuple(map(registered, names)),
        source=source,
    )


def opened(ceremony: Ceremony) -> Transcript:
    return Transcript(ceremony=ceremony, dealings_until=DEALT, complaints_until=END)


def ordered(transcript: Transcript, *dealings: Dealing) -> Transcript:
    for dealing in dealings:
        transcript, verdict = order_dealing(CURVE, transcript, DEALT, dealing)
        assert verdict is DealingVerdict.ACCEPTED
    return transcript


def dealings_of(ceremony: Ceremony, names: Iterable[int]) -> list[Dealing]:
    """Return what the dealers of these names, in their order, deal."""
    return [deal(CURVE, ceremony, place, entropy_of(name)) for place, name in enumerate(names, 1)]


CEREMONY = ceremony_of(range(4), 2)
DEALINGS = dealings_of(CEREMONY, range(4))


def dealt(names: Iterable[int], threshold: int) -> tuple[Transcript, GroupKey, dict[int, int]]:
    """Return a ceremony in which everybody dealt, its key, and each holder's share."""
    names = tuple(names)
    ceremony = ceremony_of(names, threshold)
    return finished(ordered(opened(ceremony), *dealings_of(ceremony, names)), names)


def finished(
    transcript: Transcript, names: Iterable[int]
) -> tuple[Transcript, GroupKey, dict[int, int]]:
    group = settled(CURVE, transcript, END)
    assert group is not None
    shares: dict[int, int] = {}
    for place, name in enumerate(names, 1):
        share = held_share(CURVE, transcript, place, key_of(name))
        assert share is not None
        shares[place] = share
    return transcript, group, shares


def partials_of(
    shares: dict[int, int], holders: Iterable[int], message: bytes = MESSAGE
) -> dict[int, Partial]:
    return {place: make_partial(CURVE, shares[place], place, message) for place in holders}


def complaint_of(dealing: Dealing, holder: int, name: int) -> Complaint:
    """Return what ``name`` reveals about ``dealing``, whether it has a reason or not."""
    opened_share = open_share(CURVE, dealing, holder, key_of(name))
    if isinstance(opened_share, Complaint):
        return opened_share
    point = key_of(name).shared_point(CURVE, dealing.ephemeral)
    return Complaint(ceremony=dealing.ceremony, dealer=dealing.dealer, holder=holder, point=point)
