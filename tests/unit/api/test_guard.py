"""What every request passes: slashes, hosts, origins, unknown routes, bugs."""

import httpx
import pytest

from bftcluster.api.app import create_app
from bftcluster.api.settings import ApiSettings
from bftcluster.api.views import IdView
from tests.unit.api.memory_service import MemoryService

CID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/pins/", "/pins"),
        (f"/pins/{CID}/?name=a%20b", f"/pins/{CID}?name=a%20b"),
        ("//evil.example/", "/evil.example"),
    ],
)
async def test_a_trailing_slash_is_a_307_on_the_same_server(
    client: httpx.AsyncClient, path: str, location: str
) -> None:
    response = await client.post(f"http://127.0.0.1:9094{path}")

    assert response.status_code == 307
    assert response.headers["location"] == location


async def test_an_unknown_route_is_404_with_an_object_and_a_wrong_method_405_with_nothing(
    client: httpx.AsyncClient,
) -> None:
    unknown = await client.get("/nope")
    assert unknown.status_code == 404
    assert unknown.json() == {"code": 404, "message": "not found"}

    wrong = await client.put("/version")
    assert (wrong.status_code, wrong.content) == (405, b"")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9094", 200),
        ("[::1]:9094", 200),
        ("localhost", 200),
        ("app.localhost:9094", 200),
        ("PINS.example.org", 200),
        ("rebound.attacker.example:9094", 403),
        ("127.0.0.1.attacker.example", 403),
        ("[::1].evil.example", 403),
        ("[::1]evil.example:80", 403),
        ("[127.0.0.1]", 403),
        ("[::1", 403),
        ("localhost:80:80", 403),
        ("evil.example/localhost", 403),
        ("", 403),
    ],
)
async def test_only_under_known_hosts_is_anything_answered(
    client: httpx.AsyncClient, host: str, status: int
) -> None:
    response = await client.post(f"/pins/{CID}", headers={"Host": host})

    assert response.status_code == status
    for path in ("/version", "/pins/"):
        read = await client.get(path, headers={"Host": host})
        assert (read.status_code == 403) == (status == 403)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:9094", 200),
        ("https://console.example.org", 200),
        ("https://evil.example", 403),
        ("http://127.0.0.1:8080", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://[::1]:x", 403),
        ("http://127.0.0.1:9094@evil.example", 403),
    ],
)
async def test_pages_of_other_sites_may_not_change_anything(
    client: httpx.AsyncClient, service: MemoryService, origin: str, status: int
) -> None:
    response = await client.post(f"/pins/{CID}", headers={"Origin": origin})

    assert response.status_code == status
    assert bool(service.kept) == (status == 200)
    assert "access-control-allow-origin" not in response.headers


async def test_of_two_origins_neither_counts(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    own, evil = ("Origin", "http://127.0.0.1:9094"), ("Origin", "https://evil.example")
    for headers in ([own, evil], [evil, own], [own, own]):
        response = await client.post(f"/pins/{CID}", headers=headers)

        assert response.status_code == 403
    assert service.kept == {}


class FaultyService(MemoryService):
    """A peer with a bug."""

    def id(self) -> IdView:
        raise RuntimeError("the password is hunter2")


async def test_a_bug_is_500_and_tells_nothing() -> None:
    transport = httpx.ASGITransport(app=create_app(FaultyService().ports, ApiSettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/id")

    assert response.status_code == 500
    assert response.json() == {
        "code": 500,
        "message": "internal error",
        "hint": "the peer's log has the details",
    }


async def test_by_default_no_name_and_no_origin_is_trusted(service: MemoryService) -> None:
    transport = httpx.ASGITransport(app=create_app(service.ports, ApiSettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://pins.example.org") as client:
        assert (await client.post(f"/pins/{CID}")).status_code == 403
