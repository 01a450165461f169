"""The requests that clients of ipfs-cluster make, as they make them, and what they read back.

Seen from npm ``@nftstorage/ipfs-cluster`` 5.0.1, PyPI ``asyncipfscluster`` 0.1.2 and PyPI
``ipfscluster`` 0.2.0, which were all run against this server.
"""

import json

import httpx
import pytest

from bftcluster import cid as cids
from tests.integration.api.conftest import Server

CID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
HELLO = cids.text(cids.of_block(b"hello"))


class TestNftStorage:
    """Its objects are one JSON value; its lists are split into lines."""

    async def test_add_reads_an_array_and_takes_its_first(self, client: httpx.AsyncClient) -> None:
        response = await client.post(
            "/add?stream-channels=false&raw-leaves=true&cid-version=1&name=n&replication-min=1"
            "&replication-max=2&user-allocations=&meta-a=b",
            files={"file": ("hello.txt", b"hello", "application/octet-stream")},
        )

        assert response.is_success
        (result,) = response.json()
        assert result["cid"] == HELLO
        assert isinstance(result["size"], int)

    async def test_add_directory_reads_the_root_last(self, client: httpx.AsyncClient) -> None:
        response = await client.post(
            "/add?stream-channels=false&raw-leaves=true&cid-version=1&wrap-with-directory=true",
            files=[("file", ("a.txt", b"a")), ("file", ("sub/b.txt", b"b"))],
        )

        names = [result["name"] for result in response.json()]
        assert names == ["a.txt", "sub/b.txt", "sub", ""]

    async def test_lists_are_lines_of_objects(self, client: httpx.AsyncClient) -> None:
        await client.post(f"/pins/{CID}")

        for path in (
            "/peers",
            "/pins?local=false&filter=pinned,pinning&cids=",
            f"/pins?cids={CID}&filter=pinned&local=true",
        ):
            response = await client.get(path)
            assert response.is_success
            assert all(isinstance(json.loads(line), dict) for line in response.text.splitlines())

    async def test_status_reads_a_map_of_peers(self, client: httpx.AsyncClient) -> None:
        await client.post(f"/pins/{CID}")

        for response in (
            await client.get(f"/pins/{CID}?local=false"),
            await client.post(f"/pins/{CID}/recover?local=false"),
        ):
            status = response.json()
            assert status["cid"] == CID
            for peer in status["peer_map"].values():
                assert {"peername", "ipfs_peer_id", "status", "timestamp", "error"} <= set(peer)

    async def test_info_throws_on_an_error_that_is_not_empty(
        self, client: httpx.AsyncClient
    ) -> None:
        info = (await client.get("/id")).json()

        assert info["error"] == info["ipfs"]["error"] == ""
        assert {
            "id", "addresses", "version", "commit", "peername", "rpc_protocol_version",
            "cluster_peers", "cluster_peers_addresses", "ipfs",
        } <= set(info)  # fmt: skip

    async def test_unpin_needs_a_json_body(self, client: httpx.AsyncClient) -> None:
        await client.post(f"/pins/{CID}")

        assert (await client.delete(f"/pins/{CID}")).json()["cid"] == CID

    async def test_metric_names_are_one_array(self, client: httpx.AsyncClient) -> None:
        assert isinstance((await client.get("/monitor/metrics")).json(), list)


class TestAsyncIpfsCluster:
    """Basic authentication, one JSON object from ``/add``, and paths for removal."""

    async def test_add_reads_one_object(self, client: httpx.AsyncClient) -> None:
        response = await client.post(
            "/add?quieter=true&name=n",
            files={"file": ("file", b"hello", "text/plain")},
            auth=("user", "password"),
        )

        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert len(response.json()["cid"]) in (46, 59)

    async def test_removal_is_200_or_404(self, client: httpx.AsyncClient) -> None:
        await client.post(f"/pins/{CID}")

        assert (await client.delete(f"/pins/ipfs/{CID}")).status_code == 200
        assert (await client.delete(f"/pins/ipfs/{CID}")).status_code == 404


class TestIpfsCluster:
    """Every call says ``stream-channels=true``; it was written for ipfs-cluster 0.10."""

    @pytest.mark.parametrize(
        "path", ["/version", "/id", "/peers", "/pins", "/allocations", "/health/graph"]
    )
    async def test_gets_are_json_lines(self, client: httpx.AsyncClient, path: str) -> None:
        await client.post(f"/pins/{CID}")

        response = await client.get(f"{path}?stream-channels=true")

        assert response.status_code == 200
        assert all(isinstance(json.loads(line), dict) for line in response.text.splitlines())

    async def test_add_sends_all_its_options(
        self, client: httpx.AsyncClient, server: Server
    ) -> None:
        response = await client.post(
            "/add?stream-channels=true&name=n&replication-min=-1&replication-max=-1&shard-size=0"
            "&raw-leaves=False&cid-version=0&hash=sha2-256&layout=&hidden=False"
            "&wrap-with-directory=False&shard=False&progress=False&nocopy=False&chunker=",
            files={"file": ("hello.txt", b"hello")},
        )

        assert response.json()["cid"] == HELLO
        assert cids.parse(HELLO) in server.service.kept

    async def test_calls_that_are_gone_since_ipfs_cluster_0_13_are_refused(
        self, client: httpx.AsyncClient
    ) -> None:
        assert (await client.post("/pins/sync")).status_code == 400
        assert (await client.post(f"/pins/{CID}/sync")).status_code == 404
