"""The ASGI application: ipfs-cluster's routes, and ours for proposals, approvals and proofs."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from bftcluster.api.http.errors import answer_bug, answer_cluster_error, answer_http_error
from bftcluster.api.http.gates import lists_gate
from bftcluster.api.http.guard import Guard
from bftcluster.api.ports import ClusterService
from bftcluster.api.routes.add import AddRoutes
from bftcluster.api.routes.allocations import AllocationRoutes
from bftcluster.api.routes.audits import AuditRoutes
from bftcluster.api.routes.cluster_health import cluster_health_route
from bftcluster.api.routes.content import ContentRoutes
from bftcluster.api.routes.garbage import GarbageRoutes
from bftcluster.api.routes.health import HealthRoutes
from bftcluster.api.routes.members import MemberRoutes
from bftcluster.api.routes.metrics import metrics_route
from bftcluster.api.routes.operations import OperationRoutes
from bftcluster.api.routes.peers import PeerRoutes
from bftcluster.api.routes.pins import PinRoutes
from bftcluster.api.routes.policy import PolicyRoutes
from bftcluster.api.routes.proposals import ProposalRoutes
from bftcluster.api.routes.reputations import reputation_route
from bftcluster.api.settings import ApiSettings
from bftcluster.errors import ClusterError


def create_app(service: ClusterService, settings: ApiSettings) -> ASGIApp:
    """Return the application that serves ``service``."""
    pinset_gate = lists_gate()
    routes: list[Route] = [
        *OperationRoutes(service.operations).routes(),
        *PeerRoutes(service.peers).routes(),
        *MemberRoutes(service.members).routes(),
        reputation_route(service.members),
        *AuditRoutes(service.audits, pinset_gate).routes(),
        *ProposalRoutes(service.proposals).routes(),
        *PolicyRoutes(service.policy, service.genesis).routes(),
        *AllocationRoutes(service.pinset, pinset_gate).routes(),
        *PinRoutes(service.pins, service.content, pinset_gate, settings).routes(),
        *AddRoutes(service.uploads, settings).routes(),
        *ContentRoutes(service.content).routes(),
        *GarbageRoutes(service.garbage).routes(),
        *HealthRoutes(service.health).routes(),
        cluster_health_route(service.cluster_health),
        metrics_route(service.exposition),
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
