"""``/policy`` and ``/genesis``: who may decide, and what the cluster began with."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.shapes import Shape, base64_text, peer_text, strategy_shape
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.signing.keys import maintainer_text
from bftcluster.signing.policies import Policy


class PolicyRoutes:
    """Shows policy and genesis to whoever checks what maintainers signed."""

    def __init__(self, policy: Callable[[], Policy], genesis: Callable[[], Genesis]) -> None:
        self._policy = policy
        self._genesis = genesis

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/policy", self.policy), Route("/genesis", self.genesis)]

    async def policy(self, _: Request) -> Response:
        """Return the policy in force."""
        return json_response(policy_shape(self._policy()))

    async def genesis(self, _: Request) -> Response:
        """Return the genesis."""
        return json_response(genesis_shape(self._genesis()))


def policy_shape(policy: Policy) -> Shape:
    """Return a policy, readable and as the bytes its hash is over."""
    return {
        "version": policy.version,
        "hash": policy.hash.hex(),
        "threshold": policy.threshold,
        "maintainers": [
            {"name": each.name, "key": maintainer_text(each.key)} for each in policy.maintainers
        ],
        "bytes": base64_text(policy.to_bytes()),
    }


def genesis_shape(genesis: Genesis) -> Shape:
    """Return a genesis, readable and as the bytes its id is over."""
    return {
        "cluster_id": genesis.cluster_id.hex(),
        "name": genesis.name,
        "created": time_text(genesis.created_ms),
        "replication_factor_min": genesis.replication_min,
        "replication_factor_max": genesis.replication_max,
        "period_ms": genesis.period_ms,
        **strategy_shape(genesis.strategy),
        "peers": [
            {"id": peer_text(each.peer), "name": each.name, "addresses": list(each.addresses)}
            | each.terms.to_json()
            for each in genesis.peers
        ],
        "bytes": base64_text(genesis.to_bytes()),
    }
