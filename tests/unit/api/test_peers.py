"""``/id``, ``/version``, ``/peers``, ``/health``, ``/monitor`` and ``/status``."""

import json

import httpx

from bftcluster.ids import PeerId
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_service import NOW_MS, PEERS, MemoryService

TEXTS = [peer_id_text(peer) for peer in PEERS]


async def test_the_id_is_ipfs_clusters_field_for_field(client: httpx.AsyncClient) -> None:
    address = f"/ip4/10.0.0.1/tcp/9096/p2p/{TEXTS[0]}"

    response = await client.get("/id")

    assert list(response.json().items()) == [
        ("id", TEXTS[0]),
        ("addresses", [address]),
        ("cluster_peers", TEXTS),
        ("cluster_peers_addresses", [address]),
        ("version", "0.1.0"),
        ("commit", ""),
        ("rpc_protocol_version", "/ipfscluster/1.0/rpc"),
        ("error", ""),
        ("ipfs", {"id": "12D3KooWipfs", "addresses": ["/ip4/127.0.0.1/tcp/4001"], "error": ""}),
        ("peername", "peer-1"),
    ]


async def test_the_version_is_one_field(client: httpx.AsyncClient) -> None:
    response = await client.get("/version")

    assert (response.status_code, response.text) == (200, '{"version":"0.1.0"}')


async def test_peers_are_one_a_line_and_an_unreachable_one_says_why(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/peers")

    peers = [json.loads(line) for line in response.text.splitlines()]
    assert [peer["id"] for peer in peers] == TEXTS
    assert [peer["error"] for peer in peers] == ["", "", "", "not connected"]
    assert "id" not in peers[3]["ipfs"]


async def test_peers_are_not_added_or_removed_by_whoever_can_reach_the_port(
    client: httpx.AsyncClient,
) -> None:
    added = await client.post("/peers", json={"peer_id": TEXTS[1]})
    removed = await client.delete(f"/peers/{TEXTS[1]}")

    assert (added.status_code, removed.status_code) == (403, 403)


async def test_health_is_204_or_503_with_the_reason(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    response = await client.get("/health")
    assert (response.status_code, response.content) == (204, b"")

    service.why_not_well = "two valid certificates for sequence 7"
    response = await client.get("/health")
    assert response.status_code == 503
    assert response.json() == {"code": 503, "message": service.why_not_well}


async def test_the_graph_has_this_peers_links(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/graph")).json() == {
        "cluster_id": TEXTS[0],
        "id_to_peername": {text: f"peer-{n}" for n, text in enumerate(TEXTS, 1)},
        "ipfs_links": {},
        "cluster_links": {TEXTS[0]: sorted(TEXTS[1:3])},
        "cluster_trust_links": dict.fromkeys(TEXTS, True),
        "cluster_to_ipfs": {TEXTS[0]: "12D3KooWipfs"},
    }


async def test_an_alert_is_a_peer_that_is_not_connected(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/alerts")).json() == [
        {
            "name": "ping",
            "peer": TEXTS[3],
            "value": "",
            "expire": NOW_MS * 1_000_000,
            "valid": False,
            "weight": 0,
            "partitionable": False,
            "received_at": NOW_MS * 1_000_000,
            "triggered_at": "2027-01-15T07:59:56Z",
        }
    ]
    assert (await client.get("/health/bandwidth")).json() == {}


async def test_metrics_are_listed_by_name_then_by_valid_peer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/monitor/metrics")).json() == ["freespace", "ping"]

    first, *others = (await client.get("/monitor/metrics/freespace")).json()

    assert first == {
        "name": "freespace",
        "peer": TEXTS[0],
        "value": "1000",
        "expire": (NOW_MS + 30_000) * 1_000_000,
        "valid": True,
        "weight": 1000,
        "partitionable": False,
        "received_at": NOW_MS * 1_000_000,
    }
    assert [metric["peer"] for metric in others] == TEXTS[1:3]
    assert (await client.get("/monitor/metrics/nope")).status_code == 404


async def test_the_status_says_where_this_peer_is(client: httpx.AsyncClient) -> None:
    status = (await client.get("/status")).json()

    links = status.pop("links")
    assert status == {
        "cluster_id": "cc" * 32,
        "peer": TEXTS[0],
        "peername": "peer-1",
        "role": "replica",
        "epoch": 0,
        "view": 2,
        "primary": TEXTS[2],
        "last_executed": 17,
        "last_stable": 0,
        "pins": 0,
        "proposals": 0,
        "storage": {
            "used_bytes": 0,
            "quota_bytes": 1 << 40,
            "log_bytes": 5,
            "log_budget_bytes": 20,
            "log_full_in_ms": None,
            "blocks": 0,
            "damaged_blocks": 1,
            "damaged_found": 3,
            "damaged_healed": 2,
        },
        "tracker": {"pinned": 0},
        "uptime_ms": 60_000,
        "problem": "",
        "silence": "",
        "beacon": {"period": None, "value": "", "holders": 0, "threshold": 0, "ceremony": ""},
    }
    assert links[0] == {
        "peer": TEXTS[1],
        "peername": "peer-2",
        "connected": True,
        "rtt_ms": 0.25,
        "since": "2027-01-15T07:59:58Z",
        "last_seen": "2027-01-15T08:00:00Z",
        "queued_frames": 0,
        "dropped_frames": 0,
    }


async def test_a_member_is_listed_with_where_it_stands(client: httpx.AsyncClient) -> None:
    [first, *_] = (await client.get("/members")).json()

    assert first["standing"] == "active"
    assert first["cause"] == "founded"
    assert (first["score"], first["availability"]) == (1.0, 1.0)
    assert (first["age_days"], first["share"]) == (180, 0.333)
    assert first["last_seen"] == "2027-01-15T08:00:00Z"
    assert first["used_bytes"] + first["free_bytes"] == first["capacity_bytes"]


async def test_a_reputation_names_what_on_the_log_it_goes_back_to(
    client: httpx.AsyncClient,
) -> None:
    record = (await client.get(f"/reputation/{TEXTS[2]}")).json()

    assert record["cause_evidence"] == {"digest": "ee" * 32, "seq": 7}
    assert record["evidence"] == "ee" * 32
    assert record["admissible_from"] is None
    assert record["windows"] == []


async def test_the_reputation_of_a_stranger_is_not_found(client: httpx.AsyncClient) -> None:
    stranger = peer_id_text(PeerId(bytes(32)))

    assert (await client.get(f"/reputation/{stranger}")).status_code == 404
    assert (await client.get("/reputation/nobody")).status_code == 400


async def test_invitations_are_shown_without_their_secret(client: httpx.AsyncClient) -> None:
    [shown] = (await client.get("/invites")).json()

    assert (shown["uses"], shown["uses_left"], shown["revoked"]) == (3, 2, False)
    assert shown["key"].startswith(shown["name"])
    assert len(shown["came"]) == 1
    assert shown["quota_class"] == "volunteer"
    assert not {"seed", "secret"} & shown.keys()
