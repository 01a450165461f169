"""``/members``, ``/invites``: who belongs to the cluster and votes, and who may come."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.member_views import MemberView
from bftcluster.api.ports import MembersPort
from bftcluster.api.routes.reputations import standing_shape
from bftcluster.api.shapes import Shape, peer_text
from bftcluster.ledger.state.loans.invitations import InviteRecord


class MemberRoutes:
    """Tells maintainers about members what `/peers` does not."""

    def __init__(self, members: MembersPort) -> None:
        self._members = members

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/members", self.members), Route("/invites", self.invites)]

    async def members(self, _: Request) -> Response:
        """Return every admitted peer."""
        return json_response([member_shape(view) for view in await self._members.members()])

    async def invites(self, _: Request) -> Response:
        """Return the invitations that have not expired."""
        return json_response([invite_shape(record) for record in await self._members.invites()])


def invite_shape(record: InviteRecord) -> Shape:
    """Return one invitation, without its secret, which no peer knows."""
    invite = record.invite
    return {
        "key": invite.key.hex(),
        "name": invite.subject,
        "uses": invite.uses,
        "uses_left": record.uses_left,
        "revoked": record.is_revoked,
        "expires": time_text(invite.expires_ms),
        "place_open": invite.is_place_open,
        **invite.terms.to_json(),
        "came": [peer_text(peer) for peer in record.came],
    }


def member_shape(view: MemberView) -> Shape:
    """Return one member; of what it announces as free, what counts."""
    record, evidence = view.record, view.reputation.evidence
    return {
        "id": peer_text(record.peer),
        "name": record.name,
        "addresses": list(record.addresses),
        "role": "replica" if view.votes else "storage",
        "votes": view.votes,
        "since_epoch": view.since_epoch,
        "barred": view.is_barred,
        "joined": record.joined_ms > 0,
        "connected": view.is_connected,
        "absent": view.is_absent,
        **record.terms.to_json(),
        "tags": dict(record.tags),
        "announced_bytes": record.capacity_bytes,
        "free_bytes": record.usable_free_bytes,
        "used_bytes": view.used_bytes,
        **standing_shape(view.reputation),
        "under_way": view.under_way,
        "contradicted_itself": evidence is not None,
        "evidence": None if evidence is None else evidence.hex(),
    }
