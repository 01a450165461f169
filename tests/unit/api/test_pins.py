"""``/pins`` and ``/allocations``: JSON to the letter, and what bad options do not do."""

import json

import httpx
import pytest

from bftcluster import cid as cids
from bftcluster.ledger.wire.operations import PinMode, PinOperation
from bftcluster.pins.status import TrackerStatus
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_service import ME, NOW_MS, PEERS, MemoryService

CID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
OTHER = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
MISSING = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
PEER_1, PEER_2 = (peer_id_text(peer) for peer in PEERS[:2])


def lines(response: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(line) for line in response.text.splitlines()]


async def test_pinning_answers_ipfs_clusters_pin_object_field_for_field(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(
        f"/pins/{CID}",
        params={
            "name": "täst",
            "replication-min": "2",
            "replication-max": "3",
            "meta-b": "2",
            "meta-a": "1",
            "user-allocations": PEER_1,
            "expire-at": "2030-01-31T12:00:00+02:00",
            "origins": f"/ip4/1.2.3.4/tcp/4001/p2p/{PEER_2}",
            "pin-update": OTHER,
            "mode": "direct",
            "shard-size": "0",
        },
    )

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == (
        '{"replication_factor_min":2,"replication_factor_max":3,"name":"täst","mode":"direct",'
        f'"shard_size":0,"user_allocations":["{PEER_1}"],"expire_at":"2030-01-31T10:00:00Z",'
        f'"metadata":{{"a":"1","b":"2"}},"pin_update":"{OTHER}",'
        f'"origins":["/ip4/1.2.3.4/tcp/4001/p2p/{PEER_2}"],"cid":"{CID}","type":"pin",'
        f'"allocations":["{PEER_1}","{PEER_2}"],"max_depth":0,"reference":null,'
        '"timestamp":"2027-01-15T08:00:00Z"}'
    )


async def test_options_that_were_not_given_are_null_or_zero_as_go_writes_them(
    client: httpx.AsyncClient,
) -> None:
    pin = (await client.post(f"/pins/{CID}")).json()

    assert list(pin) == [
        "replication_factor_min", "replication_factor_max", "name", "mode", "shard_size",
        "user_allocations", "expire_at", "metadata", "pin_update", "origins", "cid", "type",
        "allocations", "max_depth", "reference", "timestamp",
    ]  # fmt: skip
    assert (pin["replication_factor_min"], pin["replication_factor_max"]) == (0, 0)
    assert (pin["mode"], pin["max_depth"], pin["name"]) == ("recursive", -1, "")
    assert pin["expire_at"] == "0001-01-01T00:00:00Z"
    assert [pin[key] for key in ("user_allocations", "metadata", "pin_update", "origins")] == [
        None, None, None, None,
    ]  # fmt: skip


async def test_the_empty_options_that_gos_client_always_sends_are_tolerated(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    response = await client.post(
        f"/pins/{CID}?name=&mode=recursive&replication-min=0&replication-max=0&shard-size=0"
        "&user-allocations=&pin-update=&origins=&expire-at=0001-01-01T00:00:00Z"
    )

    assert response.status_code == 200
    assert service.kept[cids.parse(CID)].options == PinOperation(cid=cids.parse(CID))


@pytest.mark.parametrize(
    "query",
    [
        "expire-in=1ms",
        "expire-in=soon",
        "expire-at=yesterday",
        "expire-at=2030-01-31",
        "expire-at=2020-01-31T00:00:00Z",
        "replication-min=x",
        "replication-min=3&replication-max=2",
        "replication-min=-1&replication-max=2",
        "replication=-2",
        "mode=sideways",
        "user-allocations=12D3KooWnobody",
        "origins=/ip4/1.2.3.4/tcp/4001",
        "pin-update=Qmnothing",
        "meta-=x",
        "name=" + "x" * 1025,
    ],
)
@pytest.mark.parametrize("path", [f"/pins/{CID}", f"/pins/ipfs/{CID}"])
async def test_a_bad_option_is_one_400_and_pins_nothing(
    client: httpx.AsyncClient, service: MemoryService, path: str, query: str
) -> None:
    response = await client.post(f"{path}?{query}")

    assert response.status_code == 400
    assert response.json()["code"] == 400
    assert response.json()["message"]
    assert service.kept == {}


async def test_an_expiry_may_be_a_go_duration(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(f"/pins/{CID}?expire-in=1h30m2.5s&replication=2")

    options = service.kept[cids.parse(CID)].options
    assert options.expire_at_ms == NOW_MS + 5_402_500
    assert (options.replication_min, options.replication_max) == (2, 2)


async def test_a_pin_that_needs_more_approvals_is_accepted_with_the_digest_of_its_proposal(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.approvals_needed = 2

    response = await client.post(f"/pins/{CID}?name=thesis")

    assert response.status_code == 202
    assert response.json()["cid"] == CID
    digest = response.headers["X-Bftcluster-Proposal"]
    assert (await client.get(f"/proposals/{digest}")).json()["name"] == "thesis"
    assert service.kept == {}


async def test_a_peer_without_a_key_refuses_and_says_what_to_do(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.has_key = False

    response = await client.post(f"/pins/{CID}")

    assert response.status_code == 403
    assert response.json() == {
        "code": 403,
        "message": "this peer holds no maintainer key",
        "hint": "sign with `bftcluster pin add`",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_malformed_cid_is_refused(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/pins/nonsense")

    assert response.status_code == 400
    assert response.json()["message"] == "not a CID: 'nonsense'"


async def test_unpinning_answers_the_pin_as_it_was(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(f"/pins/{CID}?name=old")

    response = await client.delete(f"/pins/{CID}")

    assert response.status_code == 200
    assert response.json()["name"] == "old"
    assert service.kept == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"/pins/{MISSING}"),
        ("DELETE", f"/pins/ipfs/{MISSING}"),
        ("GET", f"/allocations/{MISSING}"),
        ("POST", f"/pins/{MISSING}/recover?local=true"),
        ("GET", f"/pins/{MISSING}/certificate"),
    ],
)
async def test_a_missing_pin_is_404_in_exactly_ipfs_clusters_words(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path)

    assert response.status_code == 404
    assert response.json() == {"code": 404, "message": "pin is not part of the pinset"}


async def test_the_status_of_an_unknown_cid_is_200_and_unpinned_everywhere(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get(f"/pins/{MISSING}")

    assert response.status_code == 200
    status = response.json()
    assert [peer["status"] for peer in status["peer_map"].values()] == ["unpinned", "unpinned"]
    assert (await client.post(f"/pins/{MISSING}/recover")).json() == status


async def test_a_status_is_ipfs_clusters_global_pin_info_field_for_field(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(f"/pins/{CID}?name=thesis&meta-by=ada")

    response = await client.get(f"/pins/{CID}?local=true")

    assert response.text == (
        f'{{"cid":"{CID}","name":"thesis","allocations":["{PEER_1}","{PEER_2}"],"origins":[],'
        '"created":"2027-01-15T08:00:00Z","metadata":{"by":"ada"},'
        f'"peer_map":{{"{PEER_1}":{{"peername":"peer-1","ipfs_peer_id":"12D3KooWipfs",'
        '"ipfs_peer_addresses":["/ip4/127.0.0.1/tcp/4001"],"status":"pinned",'
        '"timestamp":"2027-01-15T08:00:00Z","error":"","attempt_count":0,"priority_pin":false}}}'
    )


async def test_lists_are_one_object_a_line_and_204_when_there_is_none(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/pins", "/allocations"):
        empty = await client.get(path)
        assert (empty.status_code, empty.content) == (204, b"")

    for cid in (CID, OTHER, MISSING):
        await client.post(f"/pins/{cid}")

    for path in ("/pins", "/allocations"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.text.endswith("\n")
        assert {line["cid"] for line in lines(response)} == {CID, OTHER, MISSING}


async def test_a_status_filter_keeps_only_the_peers_that_match(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(f"/pins/{CID}")
    await client.post(f"/pins/{OTHER}")
    service.statuses[cids.parse(CID), ME] = TrackerStatus.PIN_ERROR

    found = lines(await client.get("/pins?filter=error,nonsense"))

    assert [line["cid"] for line in found] == [CID]
    assert [list(line["peer_map"]) for line in found] == [[PEER_1]]
    assert len(lines(await client.get("/pins?filter=undefined"))) == 2
    assert (await client.get("/pins?filter=unpinning")).status_code == 204


async def test_a_filter_without_one_known_word_is_refused(client: httpx.AsyncClient) -> None:
    for path in ("/pins", "/allocations"):
        response = await client.get(f"{path}?filter=nonsense")
        assert response.status_code == 400
        assert response.json()["message"].startswith("invalid filter value")


async def test_a_type_filter_lets_pins_through_or_nothing(client: httpx.AsyncClient) -> None:
    await client.post(f"/pins/{CID}")

    for text in ("", "all", "pin", "pin,meta-pin"):
        assert len(lines(await client.get(f"/allocations?filter={text}"))) == 1
    assert (await client.get("/allocations?filter=shard-pin")).status_code == 204


async def test_a_list_of_cids_answers_each_and_ignores_the_filter(
    client: httpx.AsyncClient,
) -> None:
    await client.post(f"/pins/{CID}")

    found = lines(await client.get(f"/pins?cids={CID},{MISSING}&filter=pinning"))

    assert [line["cid"] for line in found] == [CID, MISSING]


async def test_a_listing_that_fails_at_once_is_an_error_with_its_own_status(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(f"/pins/{CID}")
    service.fails_after_pages = 0

    response = await client.get("/pins")

    assert response.status_code == 503
    assert response.json() == {"code": 503, "message": "the store stopped answering"}
    assert service.closed_listings == 1


async def test_a_listing_that_fails_later_ends_with_a_line_for_clients_that_ask_for_ndjson(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    for cid in (CID, OTHER, MISSING):
        await client.post(f"/pins/{cid}")
    service.fails_after_pages = 1

    response = await client.get("/allocations", headers={"Accept": "application/x-ndjson"})

    assert response.headers["content-type"] == "application/x-ndjson"
    *items, last = lines(response)
    assert len(items) == 2
    assert last == {"error": {"code": 503, "message": "the store stopped answering"}}


async def test_recovering_queues_what_failed(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(f"/pins/{CID}")
    assert (await client.post("/pins/recover?local=true")).status_code == 204
    service.statuses[cids.parse(CID), ME] = TrackerStatus.PIN_ERROR

    found = lines(await client.post("/pins/recover?local=true"))

    assert [line["peer_map"][PEER_1]["status"] for line in found] == ["pin_queued"]


async def test_a_plain_ipfs_path_pins_its_cid_and_a_longer_one_what_it_leads_to(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    leaf = cids.parse(OTHER)
    service.content_of[cids.parse(CID)] = {"a b": leaf}

    assert (await client.post(f"/pins/ipfs/{CID}?mode=direct")).json()["mode"] == "direct"
    assert (await client.post(f"/pins/ipfs/{CID}/a%20b")).json()["cid"] == OTHER
    assert (await client.post(f"/pins/ipfs/{CID}/missing")).status_code == 404
    assert (await client.post(f"/pins/ipns/{CID}")).status_code == 400
    assert (await client.post(f"/pins/nope/{CID}")).status_code == 404
    assert (await client.delete(f"/pins/ipfs/{CID}/a%20b")).status_code == 200
    assert list(service.kept) == [cids.parse(CID)]
    assert service.kept[cids.parse(CID)].options.mode is PinMode.DIRECT


async def test_garbage_collection_names_the_blocks_it_deleted(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.content_of[cids.parse(OTHER)] = b"unpinned"

    response = await client.post("/ipfs/gc?local=true")

    assert response.json() == {
        "peer_map": {PEER_1: {"peer": PEER_1, "peername": "peer-1", "keys": [{"key": OTHER}]}}
    }


async def test_a_pin_shows_by_what_its_holders_are_chosen_if_it_says_so(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(
        f"/pins/{CID}",
        params={
            "allocate-by": "tags",
            "require-tags": "disk:ssd,rack:9",
            "prefer-tags": "region:eu",
            "spread-over": "room",
            "domains-min": "2",
        },
    )

    assert response.json()["place"] == [
        "strategy=tags",
        "require=disk:ssd",
        "require=rack:9",
        "prefer=region:eu",
        "spread=room",
        "domains=2",
    ]
    for query in ("allocate-by=best", "domains-min=x", "require-tags=ssd"):
        assert (await client.post(f"/pins/{OTHER}?{query}")).status_code == 400
