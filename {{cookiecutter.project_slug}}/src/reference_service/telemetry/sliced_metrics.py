"""Serve metrics to Prometheus, a few lines at a time.

Hundreds of routes have tens of thousands of lines. The event loop serves requests between them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qs

from prometheus_client import Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

END = b"# EOF\n"  # of OpenMetrics


class SlicedHistogram(Collector):
    """A histogram with many series, each of which is collected alone, for `MetricsPage`."""

    def __init__(
        self, name: str, description: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        self._histogram = Histogram(name, description, labels, buckets=buckets, registry=None)
        self._label_names = labels
        self._series: dict[tuple[str, ...], Histogram] = {}

    def labels(self, *values: str) -> Histogram:
        """Return the series with these values of its labels. It starts at 0."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = self._histogram.labels(*values)
        return series

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each series, as it is at that moment."""
        for values, series in list(self._series.items()):
            labels = dict(zip(self._label_names, values, strict=True))
            for family in series.collect():
                own = [each._replace(labels=labels | each.labels) for each in family.samples]
                family.samples = own
                yield family


class MetricsPage:
    """Serves the metrics of a registry, family by family. Other tasks run in between.

    Families of one name that follow each other are shown as one. `?name[]=` selects samples. The
    response is not compressed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        encode, content_type = choose_encoder(",".join(Headers(scope=scope).getlist("accept")))
        names = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("name[]", [])
        headers = [(b"content-type", content_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        previous = ""
        for family in self._registry.collect():
            if names:
                family.samples = [each for each in family.samples if each.name in names]
            if family.samples:
                text = encode(_Families([family])).removesuffix(END)
                text = _without_header(text) if family.name == previous else text
                previous = family.name
                await send({"type": "http.response.body", "body": text, "more_body": True})
                await asyncio.sleep(0)
        end = END if encode(_Families([])) else b""
        await send({"type": "http.response.body", "body": end})


class _Families(Collector):
    """What an encoder reads."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families


def _without_header(text: bytes) -> bytes:
    """Return the lines of a family behind those that describe it."""
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"# "))
