"""``/proposals`` and certificates: what waits for approvals, and who gave them."""

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import cid as cids
from bftcluster.api.http.errors import PinNotFoundError
from bftcluster.api.http.gates import lists_gate
from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.http.list_stream import JsonLines
from bftcluster.api.http.query import parse_digest
from bftcluster.api.ports import ProposalsPort
from bftcluster.api.shapes import Shape, base64_text
from bftcluster.api.views import CertificateView, ProposalView, SignerView
from bftcluster.errors import NotFoundError
from bftcluster.signing.keys import maintainer_text


class ProposalRoutes:
    """Shows proposals to maintainers, and certificates to whoever wants proof later."""

    def __init__(self, proposals: ProposalsPort) -> None:
        self._proposals = proposals

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/proposals", self.proposals, middleware=[Middleware(lists_gate())]),
            Route("/proposals/{digest}", self.proposal),
            Route("/pins/{cid}/certificate", self.certificate),
        ]

    async def proposals(self, _: Request) -> Response:
        """Stream the open proposals, oldest first."""
        return JsonLines(self._proposals.proposals(), proposal_shape)

    async def proposal(self, request: Request) -> Response:
        """Return one proposal with the bytes to sign."""
        view = await self._proposals.proposal(parse_digest(request.path_params["digest"]))
        return json_response(proposal_shape(view) | {"intent": base64_text(view.intent)})

    async def certificate(self, request: Request) -> Response:
        """Return who approved a pin, and the proof that the cluster ordered it."""
        try:
            view = await self._proposals.certificate(cids.parse(request.path_params["cid"]))
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


def certificate_shape(view: CertificateView) -> Shape:
    """Return a proof: every byte string in it can be checked without this peer."""
    return {
        "cid": cids.text(view.cid),
        "digest": view.intent_digest.hex(),
        "threshold": view.threshold,
        "approvers": [_signer_shape(signer) for signer in view.approvers],
        "seq": view.seq,
        "timestamp": time_text(view.timestamp_ms),
        "intent": base64_text(view.intent),
        "approval_certificate": base64_text(view.approval_certificate),
        "policy": base64_text(view.policy),
        "log_entry": base64_text(view.log_entry) if view.log_entry else None,
    }


def _signer_shape(signer: SignerView) -> Shape:
    return {
        "maintainer": maintainer_text(signer.maintainer),
        "name": signer.name,
        "signature": base64_text(signer.signature),
    }
