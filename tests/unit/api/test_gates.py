"""Who may be inside at once, and which connections make room."""

from contextlib import ExitStack

import httpx
import pytest
import trio
from starlette.types import Message

from bftcluster import cid as cids
from bftcluster.api.app import create_app
from bftcluster.api.frames import write_frame
from bftcluster.api.http.admission import Admission
from bftcluster.api.http.errors import BusyError
from bftcluster.api.http.gates import Gate, network_of
from bftcluster.api.routes.operations import FRAMES_MEDIA_TYPE
from bftcluster.api.settings import ApiSettings
from bftcluster.shell_limits import (
    BULKS_PER_ADDRESS_MAX,
    LISTS_PER_ADDRESS_MAX,
    READS_PER_ADDRESS_MAX,
    UPLOADS_PER_ADDRESS_MAX,
)
from tests.unit.api.memory_service import MemoryService


class Connection:
    """One that has been waited for since some time, or waits itself."""

    def __init__(self, waiting_since_s: float | None = None) -> None:
        self.waiting_since_s = waiting_since_s
        self.is_turned_away = False

    def turn_away(self) -> None:
        self.is_turned_away = True


def test_one_address_has_its_share_and_leaves_the_rest() -> None:
    gate = Gate("uploads", at_once_max=4, per_address_max=3)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(gate.enter("10.0.0.1"))
        with pytest.raises(BusyError, match="3 uploads at once from one address"):
            inside.enter_context(gate.enter("10.0.0.1"))
        inside.enter_context(gate.enter("10.0.0.2"))
        with pytest.raises(BusyError, match="4 uploads at once are as many as go"):
            inside.enter_context(gate.enter("10.0.0.3"))

    with gate.enter("10.0.0.1"):
        pass


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_of_ipv6_a_network_counts_as_an_address(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) == same


def test_who_was_waited_for_longest_makes_room_for_another_of_its_address() -> None:
    admission = Admission(total_max=10, per_address_max=3)
    served, slow, slower = Connection(), Connection(7.0), Connection(3.0)
    for connection in (served, slow, slower):
        assert admission.admit("a", connection)

    assert admission.admit("a", Connection())

    assert [one.is_turned_away for one in (served, slow, slower)] == [False, False, True]
    assert admission.count == 3


def test_clients_that_wait_for_us_are_never_turned_away() -> None:
    admission = Admission(total_max=10, per_address_max=2)
    served = [Connection(), Connection()]
    for connection in served:
        assert admission.admit("a", connection)

    assert not admission.admit("a", Connection())

    assert admission.admit("b", Connection())
    assert not any(connection.is_turned_away for connection in served)


def test_when_all_is_full_the_address_with_most_connections_makes_room() -> None:
    admission = Admission(total_max=5, per_address_max=4)
    many = [Connection(9.0) for _ in range(4)]
    few = Connection(1.0)
    for address, connection in [*(("many", one) for one in many), ("few", few)]:
        assert admission.admit(address, connection)

    assert admission.admit("new", Connection())

    assert not few.is_turned_away
    assert sum(one.is_turned_away for one in many) == 1


def test_who_leaves_is_forgotten() -> None:
    admission = Admission(total_max=1, per_address_max=1)
    for _ in range(3):
        connection = Connection()
        assert admission.admit("a", connection)
        admission.leave("a", connection)
    assert admission.count == 0


async def test_an_upload_too_many_is_told_to_come_again(
    client: httpx.AsyncClient, service: MemoryService, nursery: trio.Nursery
) -> None:
    service.stalled = trio.Event()

    async def add() -> httpx.Response:
        return await client.post("/add", files={"file": ("f", b"content")})

    for _ in range(UPLOADS_PER_ADDRESS_MAX):
        nursery.start_soon(add)
    await trio.testing.wait_all_tasks_blocked()

    refused = await add()

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert "at once from one address" in refused.json()["message"]
    assert (await client.get("/version")).status_code == 200
    nursery.cancel_scope.cancel()


async def test_reads_at_once_are_bounded(
    client: httpx.AsyncClient, service: MemoryService, nursery: trio.Nursery
) -> None:
    cid = cids.of_block(b"content")
    service.content_of[cid] = b"content"
    service.stalled = trio.Event()

    async def read() -> httpx.Response:
        return await client.get(f"/content/{cids.text(cid)}")

    for _ in range(READS_PER_ADDRESS_MAX):
        nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()

    assert (await read()).status_code == 503
    service.stalled.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (await read()).status_code == 200


async def test_streams_of_requests_at_once_are_bounded_and_a_lone_request_passes_by(
    client: httpx.AsyncClient, service: MemoryService, nursery: trio.Nursery
) -> None:
    service.stalled = trio.Event()
    statuses: list[int] = []

    async def submit(kind: str) -> None:
        headers = {"content-type": kind}
        answer = await client.post("/operations", content=write_frame(b"x"), headers=headers)
        statuses.append(answer.status_code)

    for _ in range(BULKS_PER_ADDRESS_MAX):
        nursery.start_soon(submit, FRAMES_MEDIA_TYPE)
    await trio.testing.wait_all_tasks_blocked()

    nursery.start_soon(submit, FRAMES_MEDIA_TYPE)
    nursery.start_soon(submit, "application/cbor")
    await trio.testing.wait_all_tasks_blocked()

    service.stalled.set()
    await trio.testing.wait_all_tasks_blocked()
    assert statuses == [503] + [200] * (BULKS_PER_ADDRESS_MAX + 1)


@pytest.mark.parametrize("path", ["/pins", "/allocations", "/proposals", "/peers"])
async def test_lists_at_once_are_bounded(settings: ApiSettings, path: str) -> None:
    app = create_app(MemoryService(approvals_needed=2).ports, settings)
    statuses: list[int] = []
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "scheme": "http", "headers": [(b"host", b"127.0.0.1")]}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with trio.open_nursery() as nursery:
        for _ in range(LISTS_PER_ADDRESS_MAX + 1):
            nursery.start_soon(app, scope, trio.sleep_forever, send)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert statuses == [503]
