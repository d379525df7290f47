"""Serve metrics a few lines at a time: hundreds of routes have tens of thousands of lines."""

import asyncio
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import cast
from urllib.parse import parse_qs

from prometheus_client import Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

END = b"# EOF\n"  # of OpenMetrics


class SlicedHistogram(Collector):
    """A histogram that yields each of its series as a family of its own, for `MetricsPage`."""

    def __init__(
        self, name: str, description: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        self._histogram = Histogram(name, description, labels, buckets=buckets, registry=None)
        self._label_names = labels
        self._series: dict[tuple[str, ...], Histogram] = {}

    def labels(self, *values: str) -> Histogram:
        """Return the series with these values of its labels. It starts at 0."""
        if values not in self._series:
            self._series[values] = self._histogram.labels(*values)
        return self._series[values]

    def collect(self) -> Iterator[Metric]:
        """Yield each series as it is at that moment."""
        for values, series in list(self._series.items()):
            labels = dict(zip(self._label_names, values, strict=True))
            for family in series.collect():
                family.samples = [s._replace(labels=labels | s.labels) for s in family.samples]
                yield family


class MetricsPage:
    """Serves a registry, family by family. Other tasks run in between.

    Families of one name that follow each other are shown as one. `?name[]=` selects samples.
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
            family.samples = [s for s in family.samples if not names or s.name in names]
            if family.samples or not names:
                # An encoder reads a registry, and of that only what it collects.
                text = encode(cast(Collector, SimpleNamespace(collect=[family].copy)))
                lines = text.removesuffix(END).splitlines(keepends=True)
                if family.name == previous:
                    lines = [line for line in lines if not line.startswith(b"# ")]
                previous = family.name
                body = b"".join(lines)
                await send({"type": "http.response.body", "body": body, "more_body": True})
                await asyncio.sleep(0)
        end = END if "openmetrics" in content_type else b""
        await send({"type": "http.response.body", "body": end})
