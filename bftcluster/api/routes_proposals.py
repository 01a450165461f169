"""``/proposals``, ``/policy``, ``/genesis`` and certificates: who decides, and who decided."""

from base64 import b64encode

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import cid as cids
from bftcluster.api.errors import PinNotFoundError
from bftcluster.api.gates import lists_gate
from bftcluster.api.json_text import json_response, time_text
from bftcluster.api.ports import ClusterService
from bftcluster.api.query import parse_digest
from bftcluster.api.shapes import Shape, peer_text
from bftcluster.api.streaming import JsonLines
from bftcluster.api.views import (
    CertificateView,
    GenesisView,
    PolicyView,
    ProposalView,
    SignerView,
)
from bftcluster.errors import NotFoundError
from bftcluster.signing.keys import maintainer_text


class ProposalRoutes:
    """For maintainers, and for whoever wants proof later."""

    def __init__(self, service: ClusterService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/proposals", self.proposals, middleware=[Middleware(lists_gate())]),
            Route("/proposals/{digest}", self.proposal),
            Route("/policy", self.policy),
            Route("/genesis", self.genesis),
            Route("/pins/{cid}/certificate", self.certificate),
        ]

    async def proposals(self, _: Request) -> Response:
        """Stream the open proposals, oldest first."""
        return JsonLines(self._service.proposals(), proposal_shape)

    async def proposal(self, request: Request) -> Response:
        """Return one proposal with the bytes to sign."""
        view = await self._service.proposal(parse_digest(request.path_params["digest"]))
        return json_response(proposal_shape(view) | {"intent": _base64(view.intent)})

    async def policy(self, _: Request) -> Response:
        """Return the policy in force."""
        return json_response(policy_shape(self._service.policy()))

    async def genesis(self, _: Request) -> Response:
        """Return the genesis."""
        return json_response(genesis_shape(self._service.genesis()))

    async def certificate(self, request: Request) -> Response:
        """Return who approved a pin, and the proof that the cluster ordered it."""
        try:
            view = await self._service.certificate(cids.parse(request.path_params["cid"]))
        except NotFoundError:
            raise PinNotFoundError from None
        return json_response(certificate_shape(view))


def proposal_shape(view: ProposalView) -> Shape:
    """Return a proposal without its intent's bytes."""
    return {
        "digest": view.digest.hex(),
        "kind": view.kind,
        "cid": None if view.cid is None else cids.text(view.cid),
        "name": view.name,
        "state": view.state,
        "threshold": view.threshold,
        "approvals": [_signer_shape(signer) for signer in view.approvals],
        "rejections": [_signer_shape(signer) for signer in view.rejections],
        "proposed_at": time_text(view.proposed_ms),
        "not_before": time_text(view.not_before_ms),
        "expires_at": time_text(view.expires_ms),
        "seq": view.seq,
    }


def policy_shape(view: PolicyView) -> Shape:
    """Return a policy, readable and as the bytes its hash is over."""
    return {
        "version": view.version,
        "hash": view.hash.hex(),
        "threshold": view.threshold,
        "maintainers": [
            {"name": each.name, "key": maintainer_text(each.maintainer)}
            for each in view.maintainers
        ],
        "bytes": _base64(view.data),
    }


def genesis_shape(view: GenesisView) -> Shape:
    """Return a genesis, readable and as the bytes its id is over."""
    return {
        "cluster_id": view.cluster_id.hex(),
        "name": view.name,
        "created": time_text(view.created_ms),
        "replication_factor_min": view.replication_min,
        "replication_factor_max": view.replication_max,
        "peers": [
            {"id": peer_text(each.peer), "name": each.name, "addresses": list(each.addresses)}
            for each in view.peers
        ],
        "bytes": _base64(view.data),
    }


def certificate_shape(view: CertificateView) -> Shape:
    """Return a proof: every byte string in it can be checked without this peer."""
    return {
        "cid": cids.text(view.cid),
        "digest": view.intent_digest.hex(),
        "threshold": view.threshold,
        "approvers": [_signer_shape(signer) for signer in view.approvers],
        "seq": view.seq,
        "timestamp": time_text(view.timestamp_ms),
        "intent": _base64(view.intent),
        "approval_certificate": _base64(view.approval_certificate),
        "policy": _base64(view.policy),
        "log_entry": _base64(view.log_entry) if view.log_entry else None,
    }


def _signer_shape(signer: SignerView) -> Shape:
    return {
        "maintainer": maintainer_text(signer.maintainer),
        "name": signer.name,
        "signature": _base64(signer.signature),
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
