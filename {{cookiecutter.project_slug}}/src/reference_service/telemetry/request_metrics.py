"""Measures each request."""

import time
from typing import Any

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
OTHER = "other"
"""Stands for a route that does not exist, and for a method that nobody uses."""
CLIENT_GONE = 499
"""What nginx calls it: the client left before it had an answer."""
FAILURES = ("500", "503", "504")
"""Answers that may come from any route, and are the first of their kind only once."""


class RequestMetrics:
    """Notes duration, method, route and status code, and the trace of a sampled request.

    Whatever clients send, the labels have few values: the routes that there are, and known methods.
    A series that begins at 1 hides its first event from `rate()`: so what every route may answer
    begins at 0, when the application starts. traced: whether requests have spans to be named.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, traced: bool = False) -> None:
        self.app = app
        self.metrics = metrics
        self.exemplar = _trace_id if traced else _nothing
        self._children: dict[tuple[str, str, str], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request and note it when it is over, however that was."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                self._initialize_series(scope["app"].openapi())
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_GONE

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            method = scope["method"] if scope["method"] in METHODS else OTHER
            child = self._child(method, route_of(scope), str(status))
            child.observe(time.perf_counter() - started, self.exemplar())

    def _child(self, method: str, route: str, status: str) -> Any:
        """Return the series; looking it up by its labels each time would cost as much again."""
        key = (method, route, status)
        if key not in self._children:
            labels = (self.metrics.service_id, *key)
            self._children[key] = self.metrics.requests.labels(*labels)
        return self._children[key]

    def _initialize_series(self, openapi: dict[str, Any]) -> None:
        for route, operations in openapi["paths"].items():
            for method, operation in operations.items():
                if method.upper() in METHODS:
                    for status in filter(str.isdigit, {*operation["responses"], *FAILURES}):
                        self._child(method.upper(), route, status)
        for status in FAILURES:
            self._child("GET", OTHER, status)


def route_of(scope: Scope) -> str:
    """Return the template of the path that FastAPI has found for a request, as `/items/{item_id}`.

    `scope["route"].path` would lack the prefix that its router was included with.
    """
    context = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(context or scope.get("route"), "path_format", OTHER))


def _nothing() -> None:
    """Name no trace."""


def _trace_id() -> dict[str, str] | None:
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}"} if span.trace_flags.sampled else None
