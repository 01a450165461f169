"""``/proposals``, ``/policy``, ``/genesis`` and certificates."""

import json
from base64 import b64decode, b64encode

import httpx

from bftcluster.signing.keys import maintainer_text, peer_id_text
from tests.unit.api.memory_service import MAINTAINER, ME, MemoryService
from tests.unit.api.ordered import GENESIS, POLICY

CID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
SIGNER = {
    "maintainer": maintainer_text(MAINTAINER),
    "name": "ada",
    "signature": "VVVV" * 21 + "VQ==",
}


async def test_open_proposals_are_listed_without_their_bytes(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    assert (await client.get("/proposals")).status_code == 204
    service.approvals_needed = 2
    digest = (await client.post(f"/pins/{CID}?name=thesis")).headers["X-Bftcluster-Proposal"]

    (proposal,) = [json.loads(line) for line in (await client.get("/proposals")).text.splitlines()]

    assert proposal == {
        "digest": digest,
        "kind": "pin",
        "cid": CID,
        "name": "thesis",
        "state": "pending",
        "threshold": 2,
        "approvals": [SIGNER],
        "rejections": [],
        "proposed_at": "2027-01-15T08:00:00Z",
        "not_before": "0001-01-01T00:00:00Z",
        "expires_at": "2027-01-15T09:00:00Z",
        "seq": 9,
    }


async def test_one_proposal_has_the_exact_bytes_to_sign(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.approvals_needed = 2
    digest = (await client.post(f"/pins/{CID}")).headers["X-Bftcluster-Proposal"]

    proposal = (await client.get(f"/proposals/{digest}")).json()

    (kept,) = service.open_proposals.values()
    assert b64decode(proposal["intent"]) == kept.intent


async def test_an_unknown_digest_is_404_and_a_malformed_one_400(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/proposals/" + "0" * 64)).status_code == 404
    assert (await client.get("/proposals/123")).status_code == 400


async def test_a_certificate_has_everything_that_a_verifier_needs(
    client: httpx.AsyncClient,
) -> None:
    await client.post(f"/pins/{CID}")

    certificate = (await client.get(f"/pins/{CID}/certificate")).json()

    assert certificate == {
        "cid": CID,
        "digest": "dd" * 32,
        "threshold": 1,
        "approvers": [SIGNER],
        "seq": 5,
        "timestamp": "2027-01-15T08:00:00Z",
        "intent": "aW50ZW50",
        "approval_certificate": "Y2VydGlmaWNhdGU=",
        "policy": "cG9saWN5",
        "log_entry": "ZW50cnk=",
    }


async def test_the_policy_is_readable_and_exact(client: httpx.AsyncClient) -> None:
    assert (await client.get("/policy")).json() == {
        "version": 3,
        "hash": POLICY.hash.hex(),
        "threshold": 1,
        "maintainers": [{"name": "ada", "key": maintainer_text(MAINTAINER)}],
        "bytes": b64encode(POLICY.to_bytes()).decode(),
    }


async def test_the_genesis_is_readable_and_exact(client: httpx.AsyncClient) -> None:
    assert (await client.get("/genesis")).json() == {
        "cluster_id": GENESIS.cluster_id.hex(),
        "name": "archive",
        "created": "2027-01-15T08:00:00Z",
        "replication_factor_min": 2,
        "replication_factor_max": 3,
        "period_ms": 3_600_000,
        "peers": [
            {
                "id": peer_id_text(ME),
                "name": "peer-1",
                "addresses": ["/ip4/1.2.3.4/tcp/9096"],
                "capacity_bytes": 1 << 40,
                "quota_class": "partner",
                "domain": "attic",
                "operator": "Jane Doe",
            }
        ],
        "bytes": b64encode(GENESIS.to_bytes()).decode(),
    }
