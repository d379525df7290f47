"""The layers that most FastAPI services have: ids, log lines, metrics and traces.

Each layer is written as in the documentation of its library: functions for Starlette's
`BaseHTTPMiddleware`, structlog, prometheus_client, and the contrib instrumentation.
"""

# mypy: ignore-errors
# It runs with the packages of the generated service, and with those in `__main__.py`.

import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI, Request, Response
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from prometheus_client import Histogram

SAMPLED_RATIO = 0.01

CallNext = Callable[[Request], Awaitable[Response]]


def add_layers(app: FastAPI) -> FastAPI:
    """Add the layers to an application, and return it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger()
    durations = Histogram("request_seconds", "Duration.", ("method", "route", "status_code"))

    @app.middleware("http")
    async def measure(request: Request, call_next: CallNext) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path_format", "other")
        labels = request.method, route, str(response.status_code)
        durations.labels(*labels).observe(time.perf_counter() - started)
        return response

    @app.middleware("http")
    async def write_log(request: Request, call_next: CallNext) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        log.info(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            duration_ms=round(1000 * (time.perf_counter() - started), 1),
        )
        return response

    @app.middleware("http")
    async def set_request_id(request: Request, call_next: CallNext) -> Response:
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = await call_next(request)
        response.headers["x-request-id"] = request_id
        return response

    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(SAMPLED_RATIO))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app
