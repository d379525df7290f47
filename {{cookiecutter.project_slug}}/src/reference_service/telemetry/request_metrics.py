"""Measure requests for Prometheus."""

from functools import partial

from fastapi import FastAPI
from opentelemetry import trace

from ..traffic import RequestRecord
from .metrics import Metrics
from .route import OTHER, route_of

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
FAILURES = ("500", "503", "504")  # status codes that any route can answer


class RequestMetrics:
    """Observe duration, method, route and status code, and the trace of a sampled request.

    Of a WebSocket, observe duration, route and close code. It has no trace: it lasts too long.

    Whatever clients send, the labels have few values: existing routes and known methods.
    traced: whether requests have spans, which exemplars then name.
    """

    def __init__(self, metrics: Metrics, *, traced: bool = False) -> None:
        self._exemplar = _trace_id if traced else lambda: None
        self._series = partial(metrics.requests.labels, metrics.service_id)
        self._websockets, self._service_id = metrics.websockets, metrics.service_id

    def __call__(self, record: RequestRecord) -> None:
        """Observe one request."""
        scope = record.scope
        if record.close_code:
            labels = self._service_id, route_of(scope), str(record.close_code)
            self._websockets.labels(*labels).observe(record.duration)
            return
        sent = scope.get("method", "GET")  # the handshake of a WebSocket is a GET
        method = sent if sent in METHODS else OTHER
        series = self._series(method, route_of(scope), str(record.status))
        series.observe(record.latency, self._exemplar())

    def initialize_series(self, app: FastAPI) -> None:
        """Start every series that a route can have at 0: `rate()` does not see a first event."""
        for route, operations in app.openapi()["paths"].items():
            for method, operation in operations.items():
                if method.upper() in METHODS:
                    for status in filter(str.isdigit, {*operation["responses"], *FAILURES}):
                        self._series(method.upper(), route, status)
        for status in FAILURES:
            self._series("GET", OTHER, status)


def _trace_id() -> dict[str, str] | None:
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}"} if span.trace_flags.sampled else None
