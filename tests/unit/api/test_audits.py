"""``/audits``: who is asked for which blocks, and what came of it."""

import json

import httpx

from bftcluster import cid as cids
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_audits import CID, SEED, closed_audit, open_audit
from tests.unit.api.memory_service import PEERS, MemoryService


async def test_audits_are_listed_with_what_came_of_each(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    assert (await client.get("/audits")).status_code == 204
    service.drawn = [open_audit(5), closed_audit(4)]

    listed = [json.loads(line) for line in (await client.get("/audits")).text.splitlines()]

    assert [each["number"] for each in listed] == [5, 4]
    assert [each["phase"] for each in listed] == ["sighting", "over"]
    [peer] = listed[1]["peers"]
    assert peer["id"] == peer_id_text(PEERS[2])
    assert peer["verdicts"] == [
        {
            "outcome": "failed",
            "grounds": "contradiction",
            "word_seq": 5,
            "seq": 9,
            "voters": 3,
        }
    ]
    assert len((await client.get("/audits?limit=1")).text.splitlines()) == 1


async def test_one_audit_shows_how_far_each_is_that_is_asked(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.drawn = [open_audit(5)]

    shown = (await client.get("/audits/5")).json()

    assert (shown["cid"], shown["seed"]) == (cids.text(CID), SEED.hex())
    assert [each["state"] for each in shown["peers"]] == ["pledged", "suspect"]
    assert shown["peers"][0]["word_seq"] == 7
    assert shown["peers"][1]["sights"] == {peer_id_text(PEERS[0]): False}
    assert (await client.get("/audits/6")).status_code == 404


async def test_what_is_no_number_names_no_audit(client: httpx.AsyncClient) -> None:
    for number in ("-1", "x", "1e3", "9" * 30, "%C2%B2"):
        assert (await client.get(f"/audits/{number}")).status_code == 400
    for limit in ("0", "1001", "many"):
        assert (await client.get(f"/audits?limit={limit}")).status_code == 400
