"""``/add``: what clients send, and what they read back."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from bftcluster import cid as cids
from bftcluster.api.views import ContentKind, PinOptions, UploadFormat, UploadOptions
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_service import PEERS, MemoryService

HELLO = cids.text(cids.of_block(b"hello"))
PEER_1, PEER_2 = (peer_id_text(peer) for peer in PEERS[:2])

Files = list[tuple[str, tuple[str, bytes] | tuple[str, bytes, str]]]

HELLO_FILE: Files = [("file", ("hello.txt", b"hello"))]
TREE: Files = [
    ("file", ("site", b"", "application/x-directory")),
    ("file", ("site/index.html", b"<html>")),
    ("file", ("site/img%2Fa+b.png", b"png")),
    ("file", ("site/.git%2Fconfig", b"secret")),
    ("file", ("site/latest", b"index.html", "application/symlink")),
]


def lines(response: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(line) for line in response.text.splitlines()]


async def test_one_file_is_answered_by_one_object_and_the_streams_headers(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    response = await client.post("/add?name=greeting&replication=2", files=HELLO_FILE)

    assert response.status_code == 200
    assert response.text == (
        f'{{"name":"hello.txt","cid":"{HELLO}","size":5,"allocations":["{PEER_1}","{PEER_2}"]}}\n'
    )
    headers = {
        "content-type": "application/json",
        "cache-control": "no-cache",
        "connection": "close",
        "x-chunked-output": "1",
    }
    assert headers.items() <= dict(response.headers).items()
    assert service.kept[cids.parse(HELLO)].options == PinOperation(
        cid=cids.parse(HELLO), name="greeting", replication_min=2, replication_max=2
    )


async def test_without_stream_channels_the_answer_is_an_array(client: httpx.AsyncClient) -> None:
    response = await client.post("/add?stream-channels=false", files=HELLO_FILE)

    assert response.headers["content-type"] == "application/json"
    assert [event["cid"] for event in response.json()] == [HELLO]


async def test_a_directory_arrives_in_parts_without_its_hidden_names(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    response = await client.post("/add", files=TREE)

    assert service.added_parts == [
        (ContentKind.DIRECTORY, "site", 0),
        (ContentKind.FILE, "site/index.html", 6),
        (ContentKind.FILE, "site/img/a b.png", 3),
        (ContentKind.SYMLINK, "site/latest", 10),
    ]
    assert [line["name"] for line in lines(response)][-2:] == ["site/img", "site"]


async def test_hidden_names_are_added_when_asked_for(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post("/add?hidden=true&wrap-with-directory=true", files=TREE)

    assert (ContentKind.FILE, "site/.git/config", 6) in service.added_parts


async def test_progress_has_null_for_the_cid(client: httpx.AsyncClient) -> None:
    first, *_ = lines(await client.post("/add?progress=true", files=HELLO_FILE))

    assert first == {"name": "hello.txt", "cid": None, "bytes": 5}


async def test_every_option_reaches_the_service(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post(
        "/add?cid-version=1&raw-leaves=false&chunker=size-1048576&wrap-with-directory=true"
        "&progress=true&local=true&no-pin=true&layout=balanced&hash=sha2-256&format=unixfs"
        "&recursive=true&quieter=true",
        files=HELLO_FILE,
    )

    assert service.last_add == UploadOptions(
        pin=PinOptions(),
        chunk_size_bytes=1 << 20,
        cid_version=1,
        wrap_with_directory=True,
        progress=True,
        local=True,
        no_pin=True,
    )
    assert service.kept == {}


async def test_cids_of_version_1_have_raw_leaves_unless_told_otherwise(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    await client.post("/add?cid-version=1", files=HELLO_FILE)
    assert service.last_add is not None
    assert service.last_add.raw_leaves

    await client.post("/add", files=HELLO_FILE)
    assert not service.last_add.raw_leaves


async def test_a_car_is_one_part(client: httpx.AsyncClient, service: MemoryService) -> None:
    await client.post("/add?format=car", files=HELLO_FILE)

    assert service.last_add is not None
    assert service.last_add.format is UploadFormat.CAR


@pytest.mark.parametrize(
    "query",
    [
        "chunker=rabin",
        "chunker=size-0",
        "chunker=size-3000000",
        "cid-version=2",
        "layout=trickle",
        "hash=blake3",
        "format=zip",
        "format=car&wrap-with-directory=true",
        "shard=true",
        "nocopy=true",
        "raw-leaves=maybe",
        "stream-channels=maybe",
        "expire-in=1ms",
    ],
)
async def test_a_bad_option_is_400_and_adds_nothing(
    client: httpx.AsyncClient, service: MemoryService, query: str
) -> None:
    response = await client.post(f"/add?{query}", files=HELLO_FILE)

    assert response.status_code == 400
    assert service.last_add is None


async def test_a_root_that_waits_for_approvals_says_so(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.approvals_needed = 2

    (streamed,) = lines(await client.post("/add", files=HELLO_FILE))
    buffered = await client.post("/add?stream-channels=false", files=HELLO_FILE)

    first, second = service.open_proposals
    assert streamed["proposal"] == first.hex()
    assert buffered.json()[0]["proposal"] == buffered.headers["X-Bftcluster-Proposal"]
    assert buffered.headers["X-Bftcluster-Proposal"] == second.hex()


@pytest.mark.parametrize("query", ["", "?stream-channels=false"])
async def test_a_refusal_before_the_first_event_has_its_own_status(
    client: httpx.AsyncClient, service: MemoryService, query: str
) -> None:
    service.has_key = False
    assert (await client.post(f"/add{query}", files=HELLO_FILE)).status_code == 403

    service.has_key, service.quota_bytes = True, 4
    response = await client.post(f"/add{query}", files=HELLO_FILE)
    assert response.status_code == 507
    assert response.json()["hint"]


async def test_a_full_store_after_the_first_event_is_told_in_the_last_line(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    service.quota_bytes = 6

    response = await client.post(
        "/add?wrap-with-directory=true",
        files=[*HELLO_FILE, ("file", ("more", b"more")), ("file", ("big", b"too big"))],
        headers={"Accept": "application/x-ndjson"},
    )

    first, last = lines(response)
    assert first["name"] == "hello.txt"
    assert last["error"]["code"] == 507


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "ends early"),
        (b"--B--\r\n", "no files"),
        (b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhal', "early"),
        (b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--B--\r\n', "no file name"),
        (b"no boundary at all", "malformed"),
        (
            b'--B\r\nContent-Disposition: form-data; filename="\xff"\r\n\r\n1\r\n--B--\r\n',
            "not UTF-8",
        ),
        (b"--B\r\nX: " + b"y" * (17 << 10) + b"\r\n\r\n1\r\n--B--\r\n", "header"),
    ],
)
async def test_a_malformed_upload_is_refused_with_what_is_wrong(
    client: httpx.AsyncClient, service: MemoryService, body: bytes, message: str
) -> None:
    response = await client.post(
        "/add", content=body, headers={"Content-Type": "multipart/form-data; boundary=B"}
    )

    assert response.status_code == 400
    assert message in response.json()["message"]
    assert service.kept == {}


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data"])
async def test_another_kind_of_body_is_refused(
    client: httpx.AsyncClient, content_type: str
) -> None:
    response = await client.post("/add", content=b"hello", headers={"Content-Type": content_type})

    assert response.status_code == 400
    assert response.json()["hint"] == "send files as `curl -F file=@name` does"


@pytest.mark.parametrize(
    ("filename", "path"),
    [
        ("a.txt", "a.txt"),
        ("/abs/a.txt", "abs/a.txt"),
        ("../../etc/passwd", "etc/passwd"),
        ("a%2F..%2F..%2Fb", "b"),
        ("100%.txt", "100%.txt"),
        ("a+b%20c", "a b c"),
        ("%C3%A4.txt", "ä.txt"),
        ("ä.txt", "ä.txt"),
    ],
)
async def test_file_names_are_read_as_kubo_reads_them_and_never_leave_the_upload(
    client: httpx.AsyncClient, service: MemoryService, filename: str, path: str
) -> None:
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'

    await client.post(
        "/add",
        content=head.encode() + b"x\r\n--B--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=B"},
    )

    assert service.added_parts == [(ContentKind.FILE, path, 1)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_an_upload_may_be_cut_into_chunks_anywhere(
    client: httpx.AsyncClient, service: MemoryService, size: int
) -> None:
    content = b"\r\n--A\r\r\n--\r\n-B-\r\n--"
    body = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + content
        + b'\r\n--B\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\n'
        + b"\r\n--B--\r\nepilogue"
    )
    content_type = "multipart/form-data; boundary=B"

    response = await client.post(
        "/add", content=in_chunks(body, size), headers={"Content-Type": content_type}
    )

    assert response.status_code == 200
    assert [name for _, name, _ in service.added_parts] == ["a", "b"]
    assert list(service.content_of.values()) == [content, b""]


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
