"""``/metrics``: this peer and the cluster, in the text format of Prometheus."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster.api.health_views import MetricFamily
from bftcluster.api.ports import ExpositionPort

_PREFIX = "bftcluster_"
_CONTENT_TYPE = str(CONTENT_TYPE_PLAIN_0_0_4)


def metrics_route(port: ExpositionPort) -> Route:
    """Return the route that answers monitors which collect."""

    async def metrics(_: Request) -> Response:
        """Return all samples as of now, and what the process takes."""
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Once(await port.metric_families()))
        return Response(generate_latest(registry), headers={"content-type": _CONTENT_TYPE})

    return Route("/metrics", metrics)


class _Once(Collector):
    """Samples that were taken already: a registry of their own shows them once."""

    def __init__(self, families: Sequence[MetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them as the library has them."""
        for family in self._families:
            kind = CounterMetricFamily if family.is_counter else GaugeMetricFamily
            metric = kind(_PREFIX + family.name, family.text, labels=family.labels)
            for labels, value in family.samples:
                metric.add_metric(labels, value)
            yield metric
