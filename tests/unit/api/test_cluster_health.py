"""How the cluster is, over HTTP: for people, and for monitors that collect."""

from dataclasses import replace

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bftcluster.api.health_views import Finding, HealthGrade
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_service import MemoryService
from tests.unit.api.ordered import PEERS


async def test_a_healthy_cluster_says_what_the_next_failure_would_cost(
    client: httpx.AsyncClient,
) -> None:
    shown = (await client.get("/health/cluster")).json()

    assert (shown["grade"], shown["findings"]) == ("healthy", [])
    assert shown["voters"] == {"count": 4, "reached": 4, "quorum": 3, "may_fail": 1}
    [loss] = shown["next_failure"]
    assert loss == {
        "of": "peer-2",
        "peers": [peer_id_text(PEERS[1])],
        "pins_short": 2,
        "moved_bytes": 1 << 30,
        "room_bytes": 2 << 40,
        "fits": True,
    }


async def test_the_worst_finding_is_the_grade(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    findings = tuple(
        Finding(grade=grade, code=grade.word, text="so") for grade in list(HealthGrade)[1:]
    )
    service.cluster = replace(service.cluster, findings=findings, counts=None)

    answer = await client.get("/health/cluster")

    assert answer.status_code == 200
    assert answer.json()["grade"] == "endangered"
    assert answer.json()["pins"]["counted"] is None


async def test_metrics_are_read_by_the_official_parser(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    assert families["bftcluster_pins"].type == "gauge"
    requests = families["bftcluster_requests_executed"]
    assert requests.type == "counter"
    found = {s.labels["kind"]: s.value for s in requests.samples if s.name.endswith("_total")}
    assert found == {"join": 3.0, 'a "b"\\\nc': 1.0}
