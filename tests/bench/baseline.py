"""Minimal applications for comparison: `python -m bench.baseline NAME PORT`.

asgi            the shortest ASGI application that returns the response of a probe
fastapi         the service's routes and stores in a FastAPI application without middleware
fastapi-probed  the same, behind the shortest possible probe
usual           the same, in the layers that most services have: see `usual_stack.py`
collector       a trace collector that discards everything
"""

# mypy: ignore-errors
# It runs with the packages of the generated service.

import gc
import sys
import time
from collections.abc import Iterable

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from measured_service.dependencies.postgres import Postgres, PostgresSettings
from measured_service.items import items_router
from measured_service.items.memory import MemoryItems
from measured_service.items.postgres import PostgresItems
from measured_service.server.serve import GC_THRESHOLDS
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

UVICORN_OPTIONS = {
    "loop": "uvloop",
    "http": "httptools",
    "access_log": False,
    "log_level": "warning",
    "proxy_headers": False,
    "server_header": False,
}
"""The fastest options."""

BLOCKING_SECONDS = 0.05

PROBE_RESPONSE = (
    {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"application/health+json"),
            (b"content-length", b"18"),
            (b"cache-control", b"no-store"),
        ],
    },
    {"type": "http.response.body", "body": b'{"status": "pass"}'},
)
"""The same bytes as the response of the service's probes."""


async def asgi(scope: Scope, _: Receive, send: Send) -> None:
    """Send the same response to every request."""
    if scope["type"] == "http":
        for message in PROBE_RESPONSE:
            await send(message)


async def collector(scope: Scope, receive: Receive, send: Send) -> None:
    """Read and discard every request."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})


def create_app(middleware: Iterable[Middleware] = ()) -> FastAPI:
    """Return a FastAPI application without its own telemetry, which costs time even if unused."""
    off = TelemetryConfig(tracing=False, metrics=False, logs=False)
    return FastAPI(middleware=list(middleware), telemetry=off)


def memory_router() -> APIRouter:
    """Return the routes of items on a store in memory, to measure a service without a database."""
    return items_router(MemoryItems())


def add_comparison_routes(app: FastAPI, memory: APIRouter) -> FastAPI:
    """Add what the service lacks: routes on a store in memory, a probe, and a `def` handler."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "pass"}

    @app.get("/blocking")
    def blocking() -> None:
        time.sleep(BLOCKING_SECONDS)

    app.include_router(memory, prefix="/memory")
    return app


def fastapi() -> FastAPI:
    """Return the service's routes and database engine in a FastAPI application."""
    app = create_app()
    app.include_router(items_router(PostgresItems(Postgres(PostgresSettings()))))
    return add_comparison_routes(app, memory_router())


def fastapi_probed() -> ASGIApp:
    """Return the same application behind a probe that reads no state."""
    app = fastapi()

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        is_probe = scope["type"] == "http" and scope["path"] == "/health/ready"
        await (asgi if is_probe else app)(scope, receive, send)

    return respond


def usual() -> ASGIApp:
    """Return the same application in the layers that most services have."""
    from .usual_stack import add_layers  # noqa: PLC0415 - with packages of its own

    return add_layers(fastapi())


if __name__ == "__main__":
    name, port = sys.argv[1:]
    applications = {
        "asgi": lambda: asgi,
        "collector": lambda: collector,
        "fastapi": fastapi,
        "fastapi-probed": fastapi_probed,
        "usual": usual,
    }
    app = applications[name]()
    gc.collect()  # the garbage collector has the settings that it has in the service
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    uvicorn.run(app, port=int(port), **UVICORN_OPTIONS)
