"""``/reputation/{peer}``: how far a peer is trusted, and what on the log that goes back to."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.ports import MembersPort
from bftcluster.api.reputation_views import ReputationView
from bftcluster.api.shapes import Shape, peer_text
from bftcluster.reputation import OrderedEvidence
from bftcluster.reputation.arithmetic import ONE, PART_MAX, elapsed
from bftcluster.signing.keys import parse_peer_id

_DAY_MS: Final = 86_400_000
_DIGITS: Final = 1000
"""Shares are shown in thousandths, rounded down: .8999 is not .9."""


def reputation_route(port: MembersPort) -> Route:
    """Return the route that tells who asks about one peer all that is kept about it."""

    async def reputation(request: Request) -> Response:
        """Return a peer's reputation; 404 of one that nothing is known about."""
        peer = parse_peer_id(request.path_params["peer"])
        return json_response(reputation_shape(await port.reputation(peer)))

    return Route("/reputation/{peer}", reputation)


def standing_shape(view: ReputationView) -> Shape:
    """Return where a peer stands, for a list of them."""
    reputation = view.reputation
    last = reputation.last_change
    age_ms = elapsed(reputation.admitted, view.period) * view.period_ms
    return {
        "standing": last.standing.name.lower(),
        "standing_since": time_text(last.since * view.period_ms),
        "cause": last.cause.name.lower().replace("_", "-"),
        "waits_for_eviction": view.waits_for_eviction,
        "score": _share(reputation.integrity.score, ONE),
        "answered": _share(reputation.unknown.score, ONE),
        "availability": _share(reputation.availability.mean, ONE),
        "age_days": age_ms // _DAY_MS,
        "weight": view.weight,
        "share": _share(view.weight, max(1, view.weight_of_all)),
        "last_seen": time_text(view.seen_ms),
    }


def reputation_shape(view: ReputationView) -> Shape:
    """Return all that is kept about a peer."""
    reputation, back = view.reputation, view.first_period_back
    integrity, present = reputation.integrity, reputation.availability
    return {
        "id": peer_text(view.peer),
        "name": view.peername,
        "member": view.is_member,
        **standing_shape(view),
        "cause_evidence": _evidence_shape(reputation.last_change.evidence),
        "evictions": reputation.evictions,
        "admissible_from": None if back is None else time_text(back * view.period_ms),
        "audits": integrity.audits,
        "last_passed": _evidence_shape(integrity.passed),
        "last_failed": _evidence_shape(integrity.failed),
        "last_unanswered": _evidence_shape(reputation.unknown.unanswered),
        "last_missed": _evidence_shape(present.missed),
        "windows": [_share(part, PART_MAX) for part in present.parts],
        "window_seen": present.seen,
        "window_observed": present.observed,
        "evidence": None if view.evidence is None else view.evidence.hex(),
    }


def _evidence_shape(evidence: OrderedEvidence | None) -> Shape | None:
    return None if evidence is None else {"digest": evidence.digest.hex(), "seq": evidence.seq}


def _share(part: int, whole: int) -> float:
    return part * _DIGITS // whole / _DIGITS
