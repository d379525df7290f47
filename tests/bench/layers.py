"""What each layer of the service costs: `python -m bench.layers BATCHES`.

Writes the service's log to stdout. Then, to stderr, microseconds of CPU a request, by the outermost
layer of each of several applications, each with one layer more than the one before. They run in
this process and without a server: two processes of the same program, or its clients' whims, differ
by more than a layer costs.
"""

# mypy: ignore-errors
# It runs where its packages are, in the generated service's environment.

import asyncio
import gc
import json
import sys
import time
from statistics import median

import uvloop
from fastapi import FastAPI
from measured_service.app import SETTINGS, create_service
from measured_service.environment import read
from measured_service.health import Probes
from measured_service.items import items_router
from measured_service.items.memory import MemoryItems
from measured_service.telemetry import configure_logging
from starlette.types import ASGIApp, Message, Scope

from . import baseline

BATCH = 200
"""Requests of one layer before it is the next one's turn."""


def named_layers() -> dict[str, ASGIApp]:
    """Return applications by the layers that the service itself names: none can be forgotten."""
    made = create_service(read(SETTINGS))
    memory, whole = baseline.in_memory(), made.app.app.app
    named: dict[str, FastAPI] = {"bare FastAPI": baseline.application()}
    for count in range(1, len(whole.user_middleware) + 1):
        inner = whole.user_middleware[-count:]
        named[inner[0].cls.__name__] = baseline.application(inner)
    baseline.add_routes(whole, memory)
    for app in named.values():
        app.include_router(items_router(MemoryItems()))  # as many routes as the service has
        baseline.add_routes(app, memory)
    *_, layered = named.values()
    probes = Probes(layered, made.app.registry)
    return {**named, "Probes, Traffic": probes, "tracing, 1 % sampled": made.app}


def request(method: str, path: str, body: bytes = b"") -> tuple[Scope, Message]:
    """Return a request as a server hands it on."""
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


async def ask(app: ASGIApp, scope: Scope, message: Message) -> list[Message]:
    """Return the messages of a response, which comes in a task of its own as under a server."""
    answer: list[Message] = []

    async def receive() -> Message:
        return message

    async def send(part: Message) -> None:
        answer.append(part)

    await asyncio.create_task(app(scope, receive, send))
    return answer


async def measure(named: dict[str, ASGIApp], batches: int) -> dict[str, list[float]]:
    """Return the microseconds of a request in each batch, in turns."""
    made = await ask(named["bare FastAPI"], *request("POST", "/memory/items", b'{"name": "Lamp"}'))
    path = f"/memory/items/{json.loads(made[1]['body'])['id']}"
    costs: dict[str, list[float]] = {name: [] for name in named}
    for number in range(batches + 1):  # one more, which warms everything up
        for name in costs if number % 2 else reversed(costs):
            began = time.process_time()
            for _ in range(BATCH):
                answer = await ask(named[name], *request("GET", path))
                assert answer[0]["status"] == 200, answer
            took = time.process_time() - began
            if number:
                costs[name].append(1e6 * took / BATCH)
    return costs


if __name__ == "__main__":
    configure_logging(json_lines=True, level="INFO")
    named = named_layers()
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        costs = runner.run(measure(named, int(sys.argv[1])))
    print(json.dumps({name: median(each) for name, each in costs.items()}), file=sys.stderr)  # noqa: T201
