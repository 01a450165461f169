"""``/operations``: one request, or many, and a line for each."""

import hashlib
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from bftcluster.api.frames import write_frame
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES
from bftcluster.shell_limits import SUBMIT_PAGE_REQUESTS
from tests.unit.api.memory_service import MemoryService

FRAMES = {"Content-Type": "application/vnd.bftcluster.frames"}


def lines(response: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(line) for line in response.text.splitlines()]


async def test_one_request_is_answered_by_one_line(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    response = await client.post("/operations", content=b"signed")

    digest = hashlib.sha256(b"signed").hexdigest()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == f'{{"digest":"{digest}","code":"committed","detail":"","seq":1}}\n'
    assert service.submitted == [b"signed"]


@pytest.mark.parametrize(
    ("query", "code"), [("wait=none", "accepted"), ("timeout=0", "timeout"), ("", "committed")]
)
async def test_the_client_chooses_what_to_wait_for(
    client: httpx.AsyncClient, query: str, code: str
) -> None:
    assert lines(await client.post(f"/operations?{query}", content=b"x"))[0]["code"] == code


@pytest.mark.parametrize(
    "query", ["wait=forever", "timeout=soon", "timeout=-1", "timeout=601", "timeout=1e3"]
)
async def test_bad_parameters_submit_nothing(
    client: httpx.AsyncClient, service: MemoryService, query: str
) -> None:
    response = await client.post(f"/operations?{query}", content=b"x")

    assert response.status_code == 400
    assert service.submitted == []


async def test_a_request_that_is_none_is_an_outcome_and_no_error(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/operations", content=b"\xff")

    assert response.status_code == 200
    assert lines(response) == [
        {"digest": None, "code": "malformed", "detail": "not CBOR", "seq": 0}
    ]


async def test_an_empty_or_oversized_body_is_refused(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    assert (await client.post("/operations")).status_code == 400

    response = await client.post("/operations", content=bytes(REQUEST_SIZE_MAX_BYTES + 1))
    assert response.status_code == 413
    assert service.submitted == []


async def test_no_quorum_is_503(client: httpx.AsyncClient) -> None:
    assert (await client.post("/operations", content=b"unreachable")).status_code == 503


@pytest.mark.parametrize("size", [1, 5, 1000, 1 << 20])
async def test_many_requests_are_answered_in_order_however_the_body_is_cut(
    client: httpx.AsyncClient, service: MemoryService, size: int
) -> None:
    requests = [f"request {number}".encode() for number in range(50)]

    response = await client.post(
        "/operations",
        content=in_chunks(b"".join(map(write_frame, requests)), size),
        headers=FRAMES,
    )

    assert service.submitted == requests
    assert [line["seq"] for line in lines(response)] == list(range(1, 51))


async def test_many_requests_are_submitted_in_bounded_pages(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    count = 2 * SUBMIT_PAGE_REQUESTS + 1

    response = await client.post("/operations", content=write_frame(b"x") * count, headers=FRAMES)

    assert len(lines(response)) == count
    assert service.pages_submitted == [SUBMIT_PAGE_REQUESTS, SUBMIT_PAGE_REQUESTS, 1]


@pytest.mark.parametrize(
    "rest", [b"\x00\x00\x00", b"\x00\x00\x00\x05abc", b"\x00" * 4, b"\xff" * 10]
)
async def test_a_broken_frame_is_told_after_the_outcomes_of_those_before_it(
    client: httpx.AsyncClient, service: MemoryService, rest: bytes
) -> None:
    response = await client.post(
        "/operations",
        content=write_frame(b"good") + rest,
        headers={**FRAMES, "Accept": "application/x-ndjson"},
    )

    good, last = lines(response)
    assert good["code"] == "committed"
    assert last["error"]["code"] == 400
    assert service.submitted == [b"good"]


async def test_a_broken_frame_alone_is_400(client: httpx.AsyncClient) -> None:
    response = await client.post("/operations", content=b"\xff" * 10, headers=FRAMES)

    assert response.status_code == 400


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
