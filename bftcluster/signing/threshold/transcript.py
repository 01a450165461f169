"""A ceremony as the order shows it: who has dealt, about whom complaints were upheld, what follows.

Everybody who has executed the same batches has the same transcript, and so the same group key.
There is nothing to agree on outside the order. Time is counted in sequence numbers.
"""

from dataclasses import dataclass, replace
from operator import attrgetter

from bftcluster.ids import Seq
from bftcluster.signing.threshold.complaints import Complaint, judge_complaint, open_share
from bftcluster.signing.threshold.curve import ORDER, Curve, G1Point, sum_of_products
from bftcluster.signing.threshold.dealings import Ceremony, Dealing, judge_form, judge_points
from bftcluster.signing.threshold.group_key import GroupKey, committed_group
from bftcluster.signing.threshold.polynomial import lagrange_at_zero
from bftcluster.signing.threshold.share_key import ShareKey
from bftcluster.signing.threshold.verdicts import ComplaintVerdict, DealingVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What has been ordered of a ceremony."""

    ceremony: Ceremony
    dealings_until: Seq
    """The last seq that may order a dealing; beyond every seq, while the end is not known."""
    complaints_until: Seq
    """The last seq that may order a complaint: later, so that all dealings can be answered."""
    dealings: tuple[Dealing, ...] = ()
    """Accepted, by dealer."""
    complained: tuple[tuple[int, int], ...] = ()
    """Dealer and holder of each complaint that was heard, sorted."""
    left_out: tuple[int, ...] = ()
    """Dealers about whom a complaint was upheld, sorted."""

    def __post_init__(self) -> None:
        assert self.dealings_until < self.complaints_until, "the last dealing can be answered"

    def dealing_of(self, dealer: int) -> Dealing | None:
        """Return what ``dealer`` has dealt, if it was accepted."""
        return next((each for each in self.dealings if each.dealer == dealer), None)


def order_dealing(
    curve: Curve, transcript: Transcript, seq: Seq, dealing: Dealing
) -> tuple[Transcript, DealingVerdict]:
    """Return the transcript after ``seq`` ordered ``dealing``. Its dealer has signed for it.

    The first that is right counts: whoever sends another has no second try.
    """
    verdict = foreseen_dealing(transcript, seq, dealing)
    if verdict is DealingVerdict.ACCEPTED:
        verdict = judge_points(curve, dealing)
    if verdict is not DealingVerdict.ACCEPTED:
        return transcript, verdict
    return with_dealing(transcript, dealing), verdict


def foreseen_dealing(transcript: Transcript, seq: Seq, dealing: Dealing) -> DealingVerdict:
    """Return what becomes of ``dealing`` in ``seq`` if its points are right."""
    if seq > transcript.dealings_until:
        return DealingVerdict.OUT_OF_TIME
    if transcript.dealing_of(dealing.dealer):
        return DealingVerdict.ALREADY
    return judge_form(transcript.ceremony, dealing)


def with_dealing(transcript: Transcript, dealing: Dealing) -> Transcript:
    """Return the transcript with a dealing that was accepted."""
    dealings = sorted((*transcript.dealings, dealing), key=attrgetter("dealer"))
    return replace(transcript, dealings=tuple(dealings))


def order_complaint(
    curve: Curve, transcript: Transcript, seq: Seq, complaint: Complaint
) -> tuple[Transcript, ComplaintVerdict]:
    """Return the transcript after ``seq`` ordered ``complaint``. Its holder has signed for it.

    A holder is heard once about each dealing, whatever it says: to hear it costs two pairings.
    """
    refusal = foreseen_complaint(transcript, seq, complaint)
    if refusal is not None:
        return transcript, refusal
    dealing = transcript.dealing_of(complaint.dealer)
    assert dealing is not None, "a complaint that is heard is about a dealing"
    verdict = judge_complaint(curve, transcript.ceremony, dealing, complaint)
    return with_complaint(transcript, complaint, verdict), verdict


def foreseen_complaint(
    transcript: Transcript, seq: Seq, complaint: Complaint
) -> ComplaintVerdict | None:
    """Return why ``complaint`` is not heard in ``seq``; ``None`` if it takes pairings to judge."""
    if seq > transcript.complaints_until:
        return ComplaintVerdict.OUT_OF_TIME
    dealing = transcript.dealing_of(complaint.dealer)
    if dealing is None:
        return ComplaintVerdict.NO_DEALING
    pair = complaint.dealer, complaint.holder
    if complaint.dealer in transcript.left_out or pair in transcript.complained:
        return ComplaintVerdict.ALREADY
    if complaint.ceremony != transcript.ceremony.digest:
        return ComplaintVerdict.WRONG_CEREMONY
    if complaint.holder > len(transcript.ceremony.holders):
        return ComplaintVerdict.NOT_A_HOLDER
    return None


def with_complaint(
    transcript: Transcript, complaint: Complaint, verdict: ComplaintVerdict
) -> Transcript:
    """Return the transcript with a complaint that was heard."""
    left_out = transcript.left_out
    if verdict is ComplaintVerdict.UPHELD:
        left_out = tuple(sorted((*left_out, complaint.dealer)))
    complained = tuple(sorted((*transcript.complained, (complaint.dealer, complaint.holder))))
    return replace(transcript, complained=complained, left_out=left_out)


def qualified(transcript: Transcript) -> tuple[Dealing, ...]:
    """Return the dealings that make the key, by dealer; none if they are too few.

    All of those that are right make a new key. To pass one on takes exactly as many as the old
    threshold, and those of the first dealers are taken.
    """
    ceremony = transcript.ceremony
    right = [each for each in transcript.dealings if each.dealer not in transcript.left_out]
    if len(right) < ceremony.dealings_min:
        return ()
    return tuple(right[: ceremony.dealings_min] if ceremony.source else right)


def settled(curve: Curve, transcript: Transcript, seq: Seq) -> GroupKey | None:
    """Return the key that the ceremony has made after ``seq``, or None if too few have dealt."""
    assert seq >= transcript.complaints_until, "nothing is settled while complaints may come"
    dealings = qualified(transcript)
    if not dealings:
        return None
    ceremony = transcript.ceremony
    factors = _factors(transcript, dealings)
    commitments: list[G1Point] = []
    for degree in range(ceremony.threshold):
        points = [curve.decode_g1(each.commitments[degree]) for each in dealings]
        commitments.append(_combined(curve, points, factors))
    group = committed_group(curve, commitments, len(ceremony.holders))
    source = ceremony.source
    assert source is None or group.key == source.key, "who passes a key on does not change it"
    return group


def held_share(curve: Curve, transcript: Transcript, holder: int, key: ShareKey) -> int | None:
    """Return the share of ``holder``, who has ``key``, of what ``settled`` returns.

    It follows from what was ordered, so that nobody needs to keep it. None if no key was made, or
    we did not complain in time about a share of ours that is wrong.
    """
    dealings = qualified(transcript)
    if not dealings:
        return None
    total = 0
    for dealing, factor in zip(dealings, _factors(transcript, dealings), strict=True):
        share = open_share(curve, dealing, holder, key)
        if isinstance(share, Complaint):
            return None
        total = (total + share * factor) % ORDER
    return total


def _factors(transcript: Transcript, dealings: tuple[Dealing, ...]) -> list[int]:
    """Return what each dealing counts: alike for a new key, to the old secret for an old one."""
    if transcript.ceremony.source is None:
        return [1] * len(dealings)
    return lagrange_at_zero([dealing.dealer for dealing in dealings])


def _combined(curve: Curve, points: list[G1Point], factors: list[int]) -> G1Point:
    if any(factor != 1 for factor in factors):
        return sum_of_products(curve, points, factors)
    total = points[0]
    for point in points[1:]:
        total = curve.add(total, point)
    return total
