"""What becomes of a dealing, complaint or partial as far as comparing tells, without a pairing."""

from collections.abc import Mapping
from typing import Final, assert_never

from bftcluster.ids import Seq
from bftcluster.ledger.state.beacon_state import BeaconState, OpenCeremony
from bftcluster.ledger.wire.beacon_requests import (
    BeaconRequest,
    Complain,
    Contribute,
    Deal,
    dealing_digest,
)
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.signing.threshold.transcript import foreseen_complaint, foreseen_dealing
from bftcluster.signing.threshold.verdicts import ComplaintVerdict, DealingVerdict

_CODES: Final[Mapping[str, OutcomeCode]] = {
    DealingVerdict.OUT_OF_TIME.value: OutcomeCode.EXPIRED,
    DealingVerdict.WRONG_CEREMONY.value: OutcomeCode.EXPIRED,
    DealingVerdict.ALREADY.value: OutcomeCode.REPLAYED,
}
"""Of verdicts that mean more than that something is wrong; those on complaints have these words."""


def foreseen_refusal(
    beacon: BeaconState, request: BeaconRequest, seq: Seq, period: int
) -> Outcome | None:
    """Return why a member's request would not count in ``seq`` and ``period``, if that is plain."""
    match request:
        case Deal():
            return _of_deal(beacon, request, seq)
        case Complain():
            return _of_complain(beacon, request, seq)
        case Contribute():
            return _of_contribute(beacon, request, period)
        case _ as unreachable:
            assert_never(unreachable)


def refused_as(verdict: DealingVerdict | ComplaintVerdict) -> Outcome:
    """Return the outcome of what has this verdict."""
    code = _CODES.get(verdict.value, OutcomeCode.INVALID_OPERATION)
    return Outcome(code, verdict.value.replace("-", " "))


def _of_deal(beacon: BeaconState, request: Deal, seq: Seq) -> Outcome | None:
    opened, dealing = beacon.open, request.dealing
    if opened is None or dealing.ceremony != opened.transcript.ceremony.digest:
        return _closed()
    if not _is_at(beacon.dealers(opened), dealing.dealer, request.peer):
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not that dealer")
    verdict = foreseen_dealing(opened.transcript, seq, dealing)
    return None if verdict is DealingVerdict.ACCEPTED else refused_as(verdict)


def _of_complain(beacon: BeaconState, request: Complain, seq: Seq) -> Outcome | None:
    opened, complaint = beacon.open, request.complaint
    if opened is None or complaint.ceremony != opened.transcript.ceremony.digest:
        return _closed()
    if not _is_at(_holders(opened), complaint.holder, request.peer):
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not that holder")
    verdict = foreseen_complaint(opened.transcript, seq, complaint)
    if verdict is not None:
        return refused_as(verdict)
    dealing = opened.transcript.dealing_of(complaint.dealer)
    assert dealing is not None, "a complaint that is heard is about a dealing"
    if dealing_digest(dealing) != request.dealing_digest:
        return Outcome(OutcomeCode.INVALID_OPERATION, "it is about another dealing")
    return None


def _of_contribute(beacon: BeaconState, request: Contribute, period: int) -> Outcome | None:
    group, holder = beacon.group_named(request.group_digest), request.partial.holder
    if group is None:
        return Outcome(OutcomeCode.EXPIRED, "no such group holds a key")
    if not _is_at([each.owner for each in group.ceremony.holders], holder, request.peer):
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not that holder")
    if request.period != period:
        is_early = request.period > period
        code = OutcomeCode.NOT_YET_VALID if is_early else OutcomeCode.EXPIRED
        return Outcome(code, f"for period {request.period}, it is period {period}")
    if period < group.since_period:
        detail = f"these holders begin in period {group.since_period}"
        return Outcome(OutcomeCode.NOT_YET_VALID, detail)
    if beacon.has_heard(group, holder) or (beacon.has(period) and group is beacon.groups[0]):
        return Outcome(OutcomeCode.REPLAYED, "this part is there, or not needed any more")
    return None


def _holders(opened: OpenCeremony) -> list[bytes]:
    return [holder.owner for holder in opened.transcript.ceremony.holders]


def _is_at(peers: "list[bytes] | tuple[bytes, ...]", place: int, peer: bytes) -> bool:
    """Return whether ``peer`` is the one at ``place``, from 1."""
    return place <= len(peers) and peers[place - 1] == peer


def _closed() -> Outcome:
    return Outcome(OutcomeCode.EXPIRED, "no such ceremony is open")
