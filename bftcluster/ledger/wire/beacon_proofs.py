"""What of a peer's words takes pairings to check, and depends on its bytes alone."""

from typing import assert_never

from bftcluster.ledger.wire.audit_requests import AUDIT_DOMAINS, AuditRequest
from bftcluster.ledger.wire.beacon_requests import BeaconRequest, Complain, Contribute, Deal
from bftcluster.ledger.wire.requests import Join, ReportPinned
from bftcluster.signing.envelope import Domain
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.dealings import judge_points
from bftcluster.signing.threshold.partials import is_point
from bftcluster.signing.threshold.share_key import is_registration
from bftcluster.signing.threshold.verdicts import DealingVerdict


def proves_itself(curve: Curve, request: ReportPinned | Join | BeaconRequest) -> bool:
    """Return whether the points in a request are points, and its signer has their secrets.

    What a complaint reveals is no such thing: it is judged with the dealing that it is about.
    """
    match request:
        case Join(registration=registration):
            return registration is None or is_registration(curve, registration)
        case Deal(dealing=dealing):
            return judge_points(curve, dealing) is DealingVerdict.ACCEPTED
        case Contribute(partial=partial):
            return is_point(curve, partial)
        case ReportPinned() | Complain():
            return True
        case _ as unreachable:
            assert_never(unreachable)


def domain_of(request: ReportPinned | Join | BeaconRequest | AuditRequest) -> Domain:
    """Return what a peer's signature is for."""
    match request:
        case ReportPinned():
            return Domain.REPORT
        case Join():
            return Domain.JOIN
        case Deal():
            return Domain.DEAL
        case Complain():
            return Domain.COMPLAIN
        case Contribute():
            return Domain.CONTRIBUTE
        case _:
            return AUDIT_DOMAINS[type(request)]
