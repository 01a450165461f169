"""``/audits``: who was asked for which blocks, what it said, and what came of it."""

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import cid as cids
from bftcluster.api.audit_views import AuditedView, AuditView
from bftcluster.api.http.gates import Gate
from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.http.list_stream import JsonLines
from bftcluster.api.http.query import integer
from bftcluster.api.ports import AuditsPort
from bftcluster.api.shapes import Shape, peer_text
from bftcluster.api.views import Pages
from bftcluster.errors import UsageError
from bftcluster.ledger.state.audit_rows import Asked, AuditVerdict
from bftcluster.limits import AUDITS_LISTED_MAX

_DIGITS_MAX = 18


class AuditRoutes:
    """Tells who asks what audits are drawn, and what came of them."""

    def __init__(self, audits: AuditsPort, lists_gate: Gate) -> None:
        self._audits = audits
        self._lists_gate = lists_gate

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/audits", self.audits, middleware=[Middleware(self._lists_gate)]),
            Route("/audits/{number}", self.audit),
        ]

    async def audits(self, request: Request) -> Response:
        """Stream the last audits, the newest first."""
        query, most = request.query_params, AUDITS_LISTED_MAX
        limit = integer(query, "limit", default=most, lowest=1, highest=most)
        return JsonLines(self._pages(limit), audit_shape)

    async def audit(self, request: Request) -> Response:
        """Return one audit; 404 of one that nothing is kept of."""
        number = request.path_params["number"]
        if not number.isascii() or not number.isdigit() or len(number) > _DIGITS_MAX:
            raise UsageError("an audit has a number", hint="`bftcluster audit ls` lists them")
        return json_response(audit_shape(await self._audits.audit(int(number))))

    async def _pages(self, limit: int) -> Pages[AuditView]:
        yield await self._audits.audits(limit)


def audit_shape(view: AuditView) -> Shape:
    """Return an audit, and how far each of those that are asked is."""
    challenge = view.challenge
    return {
        "number": view.number,
        "period": view.period,
        "cid": cids.text(view.cid),
        "phase": "over" if challenge is None else challenge.phase.name.lower(),
        "until": None
        if challenge is None or not challenge.until_ms
        else time_text(challenge.until_ms),
        "seed": None if challenge is None else challenge.seed.hex(),
        "asked_times": 0 if challenge is None else challenge.asked_times,
        "peers": [_audited_shape(each) for each in view.peers],
    }


def _audited_shape(view: AuditedView) -> Shape:
    asked = view.asked
    return {
        "id": peer_text(view.peer),
        "name": view.peername,
        "state": "settled" if asked is None else _state_of(asked),
        "word_seq": None if asked is None or not asked.word else asked.word_seq,
        "word": None if asked is None or not asked.word else asked.word.hex(),
        "sights": {}
        if asked is None
        else {peer_text(voter): bool(digest) for voter, digest in asked.sights},
        "verdicts": [_verdict_shape(each) for each in view.verdicts],
    }


def _state_of(asked: Asked) -> str:
    if asked.is_settled:
        return "settled"
    if asked.is_suspect:
        return "suspect"
    if asked.digest:
        return "answered"
    return "pledged" if asked.commitment else "asked"


def _verdict_shape(verdict: AuditVerdict) -> Shape:
    return {
        "outcome": verdict.outcome.name.lower(),
        "grounds": verdict.grounds.name.lower(),
        "word_seq": verdict.word_seq or None,
        "seq": verdict.seq,
        "voters": verdict.voters,
    }
