"""A complaint: a holder shows everybody that what a dealer sealed for it is wrong.

It reveals the point that holder and dealer share. A pairing shows that it is that point, and with
it anybody opens the sealed share and compares it with the commitments. Nothing of another dealing
is revealed, nor of another holder's share.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.limits import (
    COMPLAINT_SIZE_MAX_BYTES,
    DIGEST_SIZE_BYTES,
    G1_SIZE_BYTES,
    HOLDERS_MAX,
)
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.dealings import Ceremony, Dealing, unsealed
from bftcluster.signing.threshold.polynomial import is_committed_value
from bftcluster.signing.threshold.share_key import ShareKey
from bftcluster.signing.threshold.verdicts import ComplaintVerdict
from bftcluster.signing.wire import WireFormat, check_size

_FORMAT: Final = WireFormat("complaint", 1, [bytes, int, int, bytes], COMPLAINT_SIZE_MAX_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One holder's proof against one dealing."""

    ceremony: Digest
    dealer: int
    """From 1."""
    holder: int
    """From 1."""
    point: bytes
    """The holder's secret times the dealing's ephemeral key, 48 bytes."""

    def __post_init__(self) -> None:
        check_size(self.ceremony, DIGEST_SIZE_BYTES, "ceremony")
        if not (0 < self.dealer <= HOLDERS_MAX and 0 < self.holder <= HOLDERS_MAX):
            raise MalformedMessageError("there is no such dealer or holder")
        check_size(self.point, G1_SIZE_BYTES, "shared point")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Complaint":
        """Return the complaint that ``data`` encodes.

        Raises:
            MalformedMessageError: Not canonical, or of another shape or size.
        """
        ceremony, dealer, holder, point = _FORMAT.read(data)
        return cls(ceremony=Digest(ceremony), dealer=dealer, holder=holder, point=point)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _FORMAT.encoded(self.ceremony, self.dealer, self.holder, self.point)


def open_share(curve: Curve, dealing: Dealing, holder: int, key: ShareKey) -> int | Complaint:
    """Return what an accepted dealing has for us, holder ``holder``; or our complaint about it."""
    point = key.shared_point(curve, dealing.ephemeral)
    share = unsealed(dealing, holder, point)
    if _is_dealt(curve, dealing, holder, share):
        return share
    return Complaint(ceremony=dealing.ceremony, dealer=dealing.dealer, holder=holder, point=point)


def judge_complaint(
    curve: Curve, ceremony: Ceremony, dealing: Dealing, complaint: Complaint
) -> ComplaintVerdict:
    """Return whether ``complaint`` proves that ``dealing``, which was accepted, is wrong."""
    if not complaint.ceremony == dealing.ceremony == ceremony.digest:
        return ComplaintVerdict.WRONG_CEREMONY
    if complaint.holder > len(ceremony.holders):
        return ComplaintVerdict.NOT_A_HOLDER
    assert complaint.dealer == dealing.dealer, "a complaint is judged by its dealing"
    try:
        point = curve.decode_g1(complaint.point)
    except MalformedMessageError:
        return ComplaintVerdict.NO_POINT
    ephemeral = curve.negate(curve.decode_g1(dealing.ephemeral))
    key_g2 = curve.decode_g2(ceremony.holders[complaint.holder - 1].key_g2)
    if not curve.is_one([(point, curve.generator_g2), (ephemeral, key_g2)]):
        return ComplaintVerdict.WRONG_POINT
    share = unsealed(dealing, complaint.holder, complaint.point)
    if _is_dealt(curve, dealing, complaint.holder, share):
        return ComplaintVerdict.SHARE_IS_RIGHT
    return ComplaintVerdict.UPHELD


def _is_dealt(curve: Curve, dealing: Dealing, holder: int, share: int) -> bool:
    """Return whether ``share`` is the holder's value of what the dealer committed to."""
    commitments = [curve.decode_g1(each) for each in dealing.commitments]
    return is_committed_value(curve, commitments, holder, share)
