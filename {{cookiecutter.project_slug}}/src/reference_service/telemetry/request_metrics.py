"""Measure requests for Prometheus."""

from functools import cache, partial

from fastapi import FastAPI
from opentelemetry import trace

from ..health.asgi import Scope
from ..traffic import RequestRecord
from .metrics import Metrics

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
OTHER = "other"  # the label of a route that does not exist, and of a method not in `METHODS`
FAILURES = ("500", "503", "504")  # status codes that any route can answer


class RequestMetrics:
    """Observe duration, method, route and status code, and the trace of a sampled request.

    Whatever clients send, the labels have few values: existing routes and known methods.
    traced: whether requests have spans, which exemplars then name.
    """

    def __init__(self, metrics: Metrics, *, traced: bool = False) -> None:
        self._exemplar = _trace_id if traced else lambda: None
        # A lookup by labels without the cache would double the cost of an observation.
        self._series = cache(partial(metrics.requests.labels, metrics.service_id))

    def __call__(self, record: RequestRecord) -> None:
        """Observe one request."""
        scope = record.scope
        method = scope["method"] if scope["method"] in METHODS else OTHER
        series = self._series(method, route_of(scope), str(record.status))
        series.observe(record.duration, self._exemplar())

    def initialize_series(self, app: FastAPI) -> None:
        """Start every series that a route can have at 0: `rate()` does not see a first event."""
        for route, operations in app.openapi()["paths"].items():
            for method, operation in operations.items():
                if method.upper() in METHODS:
                    for status in filter(str.isdigit, {*operation["responses"], *FAILURES}):
                        self._series(method.upper(), route, status)
        for status in FAILURES:
            self._series("GET", OTHER, status)


def route_of(scope: Scope) -> str:
    """Return the path template of a request's route, for example `/items/{item_id}`.

    `scope["route"].path` lacks the prefix that its router was included with.
    """
    context = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(context or scope.get("route"), "path_format", OTHER))


def _trace_id() -> dict[str, str] | None:
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}"} if span.trace_flags.sampled else None
