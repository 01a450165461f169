"""``/content``: files, directories, and nothing a browser would run."""

import io
import tarfile

import httpx
import pytest

from bftcluster import cid as cids
from tests.unit.api.memory_service import MemoryService

PAGE = cids.of_block(b"<script>alert(1)</script>")
DIRECTORY = cids.of_block(b"directory", codec=cids.DAG_PB)
INNER = cids.of_block(b"inner", codec=cids.DAG_PB)


@pytest.fixture
def service() -> MemoryService:
    service = MemoryService()
    service.content_of[PAGE] = b"<script>alert(1)</script>"
    service.content_of[INNER] = {"ä" * 120: PAGE}
    service.content_of[DIRECTORY] = {"index.html": PAGE, "inner": INNER}
    return service


async def test_a_file_is_an_attachment_of_no_type(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/content/{cids.text(PAGE)}")

    assert response.content == b"<script>alert(1)</script>"
    headers = {
        "content-type": "application/octet-stream",
        "content-length": "25",
        "content-disposition": f"attachment; filename*=utf-8''{cids.text(PAGE)}",
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "cache-control": "public, max-age=29030400, immutable",
        "etag": f'"{cids.text(PAGE)}"',
    }
    assert headers.items() <= dict(response.headers).items()


async def test_head_says_the_same_and_reads_nothing(client: httpx.AsyncClient) -> None:
    response = await client.head(f"/content/{cids.text(PAGE)}")

    assert response.headers["content-length"] == "25"
    assert response.content == b""


async def test_a_path_leads_to_a_file(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/content/{cids.text(DIRECTORY)}/index.html")

    assert response.content == b"<script>alert(1)</script>"
    assert "filename*=utf-8''index.html" in response.headers["content-disposition"]
    assert (await client.get(f"/content/{cids.text(DIRECTORY)}/nope")).status_code == 404


async def test_a_directory_needs_a_format(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/content/{cids.text(DIRECTORY)}")

    assert response.status_code == 400
    assert response.json()["hint"] == "add ?format=tar or ?format=car"
    assert (await client.get(f"/content/{cids.text(PAGE)}?format=zip")).status_code == 400


async def test_a_tar_holds_the_directory_and_is_the_same_each_time(
    client: httpx.AsyncClient,
) -> None:
    first = await client.get(f"/content/{cids.text(DIRECTORY)}?format=tar")
    second = await client.get(f"/content/{cids.text(DIRECTORY)}?format=tar")

    top = cids.text(DIRECTORY)
    with tarfile.open(fileobj=io.BytesIO(first.content)) as archive:
        names = archive.getnames()
        page = archive.extractfile(f"{top}/inner/{'ä' * 120}")
        assert page is not None
        assert page.read() == b"<script>alert(1)</script>"
    assert names == [top, f"{top}/index.html", f"{top}/inner", f"{top}/inner/{'ä' * 120}"]
    assert first.content == second.content
    assert first.headers["content-type"] == "application/x-tar"
    assert "content-length" not in first.headers


async def test_a_symlink_is_its_target_also_in_a_tar(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    link = cids.of_block(b"index.html")
    service.content_of[link] = b"index.html"
    service.symlinks.add(link)
    service.content_of[DIRECTORY] = {"latest": link}

    assert (await client.get(f"/content/{cids.text(link)}")).content == b"index.html"

    tar = await client.get(f"/content/{cids.text(DIRECTORY)}?format=tar")
    with tarfile.open(fileobj=io.BytesIO(tar.content)) as archive:
        assert archive.getmember(f"{cids.text(DIRECTORY)}/latest").linkname == "index.html"


async def test_a_car_comes_from_the_store(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/content/{cids.text(PAGE)}?format=car")

    assert response.content == b"car of " + cids.text(PAGE).encode()
    assert response.headers["content-type"] == "application/vnd.ipld.car; version=1"


@pytest.mark.parametrize("query", ["", "?format=car", "?format=tar"])
async def test_missing_content_is_404(client: httpx.AsyncClient, query: str) -> None:
    missing = cids.text(cids.of_block(b"missing"))

    response = await client.get(f"/content/{missing}{query}")

    assert response.status_code == 404
    assert response.json()["message"] == f"{missing} is not to be had"
