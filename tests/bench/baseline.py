"""The least that could do the same: `python -m bench.baseline WHAT PORT`.

asgi      the shortest ASGI application that answers what a probe does
fastapi   the service's routes, on the same stores, in a FastAPI application and nothing else
probed    the same behind the shortest probe that there could be
sink      a collector of traces, which takes all and keeps nothing
"""

# mypy: ignore-errors
# It runs where its packages are, in the generated service's environment.

import sys
from collections.abc import Iterable

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from measured_service.dependencies.postgres import Postgres, PostgresSettings
from measured_service.items import items_router
from measured_service.items.memory import MemoryItems
from measured_service.items.postgres import PostgresItems
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

SETTINGS = {
    "loop": "uvloop",
    "http": "httptools",
    "access_log": False,
    "log_level": "warning",
    "proxy_headers": False,
    "server_header": False,
}
"""uvicorn's, as quick as it can be."""

# A probe's own, to the byte.
ANSWER = (
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


async def asgi(scope: Scope, _: Receive, send: Send) -> None:
    """Answer everything alike."""
    if scope["type"] == "http":
        for message in ANSWER:
            await send(message)


async def sink(scope: Scope, receive: Receive, send: Send) -> None:
    """Take whatever is brought."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})


def application(layers: Iterable[Middleware] = ()) -> FastAPI:
    """Return a FastAPI application, without its own telemetry, which costs even when unused."""
    off = TelemetryConfig(tracing=False, metrics=False, logs=False)
    return FastAPI(middleware=list(layers), telemetry=off)


def in_memory() -> APIRouter:
    """Return the routes of items over memory: what a service does without a database."""
    return items_router(MemoryItems())


def add_routes(app: FastAPI, memory: APIRouter) -> FastAPI:
    """Add what the service has not: routes over memory, and a probe that is a route."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "pass"}

    app.include_router(memory, prefix="/memory")
    return app


def fastapi() -> FastAPI:
    """Return the service's routes and its engine, and nothing else of it."""
    app = application()
    app.include_router(items_router(PostgresItems(Postgres(PostgresSettings()).engine)))
    return add_routes(app, in_memory())


def probed() -> ASGIApp:
    """Return the same, and answer a probe before it without a look at anything."""
    app = fastapi()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        probes = scope["type"] == "http" and scope["path"] == "/health/ready"
        await (asgi if probes else app)(scope, receive, send)

    return answer


if __name__ == "__main__":
    what, port = sys.argv[1:]
    app = {"asgi": asgi, "sink": sink}.get(what) or {"fastapi": fastapi, "probed": probed}[what]()
    uvicorn.run(app, port=int(port), **SETTINGS)
