"""Measure the CPU time of each layer of the service: `python -m bench.layers BATCHES`.

Each application has one layer more than the previous one. Prints the microseconds of CPU per
request to stderr, by the name of the outermost layer, and the log of the service to stdout. The
applications run in this process and without a server: two processes of the same program differ by
more than a layer costs.
"""

# mypy: ignore-errors
# It runs with the packages of the generated service.

import asyncio
import gc
import json
import sys
import time
from statistics import median

import uvloop
from fastapi import FastAPI
from measured_service.app import create_service
from measured_service.health import Probes
from measured_service.items import items_router
from measured_service.items.memory import MemoryItems
from measured_service.settings import read_settings
from measured_service.telemetry import configure_logging
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Scope

from . import baseline

BATCH_SIZE = 200
"""Requests through one layer before the next layer is measured."""


def applications_by_layer() -> dict[str, ASGIApp]:
    """Return one application per layer. The service itself lists its middleware."""
    service = create_service(read_settings())
    memory, complete_app = baseline.memory_router(), service.api
    by_layer: dict[str, FastAPI] = {"bare FastAPI": baseline.create_app()}
    for count in range(1, len(complete_app.user_middleware) + 1):
        middleware = complete_app.user_middleware[-count:]
        by_layer[layer_name(middleware[0])] = baseline.create_app(middleware)
    baseline.add_comparison_routes(complete_app, memory)
    for app in by_layer.values():
        app.include_router(items_router(MemoryItems()))  # as many routes as the service has
        baseline.add_comparison_routes(app, memory)
    *_, all_middleware = by_layer.values()
    probes = Probes(all_middleware, service.app.registry)
    return {**by_layer, "Probes": probes, "tracing, 1 % sampled": service.app}


def layer_name(middleware: Middleware) -> str:
    """Return the names of a middleware and of the request observers that it calls."""
    observers = middleware.kwargs.get("observers", ())
    return ", ".join([middleware.cls.__name__, *(type(each).__name__ for each in observers)])


def make_request(method: str, path: str, body: bytes = b"") -> tuple[Scope, Message]:
    """Return a request as an ASGI server passes it to the application."""
    length = str(len(body)).encode()
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [*headers, (b"content-length", length)] if body else headers[:1],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    return scope, {"type": "http.request", "body": body, "more_body": False}


async def respond(app: ASGIApp, scope: Scope, message: Message) -> list[Message]:
    """Return the messages of a response. It runs in a task of its own, as under a server."""
    response: list[Message] = []

    async def receive() -> Message:
        return message

    async def send(part: Message) -> None:
        response.append(part)

    await asyncio.create_task(app(scope, receive, send))
    return response


async def measure(by_layer: dict[str, ASGIApp], batches: int) -> dict[str, list[float]]:
    """Return the microseconds per request of each batch. The layers take turns."""
    request = make_request("POST", "/memory/items", b'{"name": "Lamp"}')
    created = await respond(by_layer["bare FastAPI"], *request)
    path = f"/memory/items/{json.loads(created[1]['body'])['id']}"
    microseconds: dict[str, list[float]] = {name: [] for name in by_layer}
    for number in range(batches + 1):  # one additional batch, as a warm-up
        for name in microseconds if number % 2 else reversed(microseconds):
            started = time.process_time()
            for _ in range(BATCH_SIZE):
                response = await respond(by_layer[name], *make_request("GET", path))
                assert response[0]["status"] == 200, response
            duration = time.process_time() - started
            if number:
                microseconds[name].append(1e6 * duration / BATCH_SIZE)
    return microseconds


if __name__ == "__main__":
    configure_logging(json_lines=True, level="INFO")
    by_layer = applications_by_layer()
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        microseconds = runner.run(measure(by_layer, int(sys.argv[1])))
    medians = {name: median(values) for name, values in microseconds.items()}
    print(json.dumps(medians), file=sys.stderr)  # noqa: T201 - the parent process reads it
