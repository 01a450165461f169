"""``/repairs``: pins that lost holders and wait for others."""

import json

import httpx

from bftcluster import cid as cids
from bftcluster.api.views import RepairView
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.limits import REPAIRS_LISTED_MAX
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_service import PEERS, MemoryService
from tests.unit.api.ordered import pin_record


def waiting_pin(number: int) -> RepairView:
    operation = PinOperation(
        cid=cids.of_block(b"%d" % number), name="thesis", replication_min=2, replication_max=3
    )
    return RepairView(pin=pin_record(operation), live=1, needed=2)


async def test_pins_that_wait_are_listed_with_their_live_copies(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    assert (await client.get("/repairs")).status_code == 204
    service.waiting = [waiting_pin(1)]

    (shown,) = [json.loads(line) for line in (await client.get("/repairs")).text.splitlines()]

    assert shown == {
        "cid": cids.text(cids.of_block(b"1")),
        "name": "thesis",
        "live": 1,
        "needed": 2,
        "urgent": True,
        "allocations": [peer_id_text(peer) for peer in PEERS[:2]],
    }


async def test_so_many_of_them_are_listed_as_were_asked_for_and_never_all(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.waiting = [waiting_pin(number) for number in range(3)]

    listed = (await client.get("/repairs?limit=2")).text.splitlines()

    assert [json.loads(line)["cid"] for line in listed] == [
        cids.text(each.pin.cid) for each in service.waiting[:2]
    ]
    for limit in ("0", "-1", str(REPAIRS_LISTED_MAX + 1), "many"):
        assert (await client.get(f"/repairs?limit={limit}")).status_code == 400
