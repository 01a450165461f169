"""The ASGI application: ipfs-cluster's routes, and ours for proposals, approvals and proofs."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from bftcluster.api.errors import answer_bug, answer_cluster_error, answer_http_error
from bftcluster.api.guard import Guard
from bftcluster.api.ports import ClusterService
from bftcluster.api.routes_add import AddRoutes
from bftcluster.api.routes_content import ContentRoutes
from bftcluster.api.routes_garbage import GarbageRoutes
from bftcluster.api.routes_health import HealthRoutes
from bftcluster.api.routes_members import MemberRoutes
from bftcluster.api.routes_operations import OperationRoutes
from bftcluster.api.routes_peers import PeerRoutes
from bftcluster.api.routes_pins import PinRoutes
from bftcluster.api.routes_policy import PolicyRoutes
from bftcluster.api.routes_proposals import ProposalRoutes
from bftcluster.api.settings import ApiSettings
from bftcluster.errors import ClusterError


def create_app(service: ClusterService, settings: ApiSettings) -> ASGIApp:
    """Return the application that serves ``service``."""
    routes: list[Route] = [
        *OperationRoutes(service.operations).routes(),
        *PeerRoutes(service.peers).routes(),
        *MemberRoutes(service.members).routes(),
        *ProposalRoutes(service.proposals).routes(),
        *PolicyRoutes(service.policy, service.genesis).routes(),
        *PinRoutes(service.pinset, service.pins, service.content, settings).routes(),
        *AddRoutes(service.uploads, settings).routes(),
        *ContentRoutes(service.content).routes(),
        *GarbageRoutes(service.garbage).routes(),
        *HealthRoutes(service.health).routes(),
    ]
    application = Starlette(
        routes=routes,
        exception_handlers={
            ClusterError: answer_cluster_error,
            HTTPException: answer_http_error,
            Exception: answer_bug,
        },
    )
    application.router.redirect_slashes = False
    return Guard(
        application,
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
    )
