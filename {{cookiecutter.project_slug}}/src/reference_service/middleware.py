"""The layers between the probes and the routes, with their settings and metrics."""

from collections.abc import Iterable
from math import inf

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from .api import HeadRequests
from .health import Registry
from .operations import ReadOnlyMode, Switches
from .resilience import (
    AdaptiveLimit,
    BodyLimit,
    ConcurrencyLimit,
    ConnectionClose,
    EventStreams,
    OpenStreams,
    Recovery,
    Timeout,
    WebSocketGuard,
)
from .settings import SLOW_REQUEST_SECONDS, ServiceSettings
from .telemetry import Counters, Metric, RequestId
from .traffic import RequestObserver, Traffic

REJECTED = "http_requests_rejected_total", "Requests rejected."


def concurrency_limit(settings: ServiceSettings, counters: Counters) -> AdaptiveLimit:
    """Return the limit of requests in flight, learned or fixed, and add its metrics."""
    fixed, objective = settings.concurrency_limit, SLOW_REQUEST_SECONDS
    limit = AdaptiveLimit(objective) if fixed == "auto" else AdaptiveLimit(inf, fixed, fixed)
    value = Metric("http_concurrency_limit", "Limit in flight.", lambda: limit.value)
    rejected = Metric(*REJECTED, lambda: limit.rejected, {"reason": "concurrency_limit"})
    counters.metrics.extend([value, rejected])
    return limit


def middleware(  # noqa: PLR0913, PLR0917 - all that the layers need
    settings: ServiceSettings,
    registry: Registry,
    limit: AdaptiveLimit,
    streams: OpenStreams,
    observers: Iterable[RequestObserver],
    counters: Counters,
    switches: Switches,
) -> list[Middleware]:
    """Return the layers between the probes and the routes, outermost first."""
    origins = _split(settings.cors_origins)
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=_split(settings.cors_headers),
        expose_headers=_split(settings.cors_exposed_headers),
    )
    count = counters.add
    errors = count("http_unhandled_exceptions_total", "Requests whose handler failed.")
    aborts = count("http_responses_aborted_total", "Responses that failed after their start.")
    task_errors = count("background_task_failures_total", "Background tasks that failed.")
    timeouts = count("http_request_timeouts_total", "Requests answered 504.")
    rejects = count(*REJECTED, reason="body_memory")
    too_many = count(*REJECTED, reason="websocket_limit")
    read_only = []
    if switches.token:
        on_reject = count(*REJECTED, reason="read_only")
        read_only = [Middleware(ReadOnlyMode, switch=switches.read_only, on_reject=on_reject)]
    return [
        Middleware(HeadRequests),
        Middleware(Traffic, registry=registry, observers=observers),
        Middleware(RequestId),
        *([cors] if origins else []),
        Middleware(ConnectionClose, unready=registry.unready),
        *read_only,
        Middleware(
            WebSocketGuard,
            limit=limit,
            seconds=settings.request_timeout,
            max_open=settings.max_websockets,
            on_timeout=timeouts,
            on_error=errors,
            on_reject=too_many,
        ),
        Middleware(EventStreams, streams=streams),
        Middleware(ConcurrencyLimit, limit=limit),
        Middleware(BodyLimit, max_bytes=settings.max_body_bytes, on_reject=rejects),
        Middleware(Recovery, on_error=errors, on_abort=aborts, on_background_error=task_errors),
        Middleware(Timeout, seconds=settings.request_timeout, on_timeout=timeouts),
    ]


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
