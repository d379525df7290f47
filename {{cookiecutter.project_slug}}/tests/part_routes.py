"""Routes that only the tests of the parts request; `tests.faulty` serves them."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextvars import ContextVar

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from opentelemetry import trace
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .streaming_routes import streaming

CONTEXT = ContextVar("context", default="new")
LEAKED: list[asyncio.Task[None]] = []
ECHOED: list[str] = []

part_faults = APIRouter(prefix="/faults")


class FailAlternately:
    """Middleware that raises for every second request of each client, and for any for the stock.

    Only while `active`, and only for items.
    """

    active = False

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.counts: Counter[object] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if FailAlternately.active and scope.get("path", "").startswith("/items"):
            self.counts[scope["client"]] += 1
            if self.counts[scope["client"]] % 2 == 0 or scope["path"].endswith("/stock"):
                raise ValueError("secret")
        await self.app(scope, receive, send)


def add_part_faults(api: FastAPI) -> None:
    """Add the routes and the middleware inside all other layers of the service."""
    api.include_router(part_faults)
    api.include_router(streaming)
    api.mount("/faults/echo", echo)
    api.user_middleware.append(Middleware(FailAlternately))


@part_faults.get("/alternate/{active}")
async def alternate(*, active: bool) -> bool:
    FailAlternately.active = active
    return active


@part_faults.get("/url")
async def url(request: Request) -> str:
    return str(request.url_for("url"))


@part_faults.get("/raise-in-thread")
def raise_in_thread() -> None:
    raise SystemExit(7)


@part_faults.get("/cancel")
async def cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@part_faults.get("/context")
async def context() -> str:
    previous = CONTEXT.get()
    CONTEXT.set("used")
    return previous


@part_faults.get("/break-off")
async def break_off() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError

    return StreamingResponse(body())


@part_faults.get("/block/{seconds}")
async def block(seconds: float) -> str:
    block_the_loop(seconds)
    return "blocked"


@part_faults.get("/block-thread/{seconds}")
def block_thread(seconds: float) -> str:
    time.sleep(seconds)
    return "blocked"


def block_the_loop(seconds: float) -> None:
    time.sleep(seconds)


@part_faults.post("/read-after/{seconds}")
async def read_after(seconds: float, request: Request) -> int:
    await asyncio.sleep(seconds)
    return len(await request.body())


@part_faults.get("/bytes/{count}")
async def large_body(count: int) -> Response:
    return Response(b"x" * count)


@part_faults.get("/stream")
async def endless_stream(pause: float = 0) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 4096
            await asyncio.sleep(pause)

    return StreamingResponse(body())


@part_faults.get("/leak/{count}")
async def leak(count: int) -> int:
    """Leak this many tasks; 0 ends the tasks that were leaked before."""
    while LEAKED and not count:
        LEAKED.pop().cancel()
    LEAKED.extend(asyncio.create_task(asyncio.sleep(3600)) for _ in range(count))
    return len(LEAKED)


@part_faults.get("/show/{variable}")
async def show(variable: str, *, reject: bool = False) -> None:
    """Fail with a message that contains a variable, as a driver could."""
    message = f"the server said: {os.environ[variable]}"
    span = trace.get_current_span()
    span.set_attribute("db.query.text", message)
    span.set_attribute("db.query.parameters", [message])
    span.record_exception(RuntimeError(message))
    if reject:
        raise HTTPException(503, message)
    raise RuntimeError(message)


@part_faults.post("/background/{seconds}")
async def background(seconds: float, tasks: BackgroundTasks, *, fail: bool = False) -> None:
    """Answer at once, and go on in the background."""

    async def work() -> None:
        await asyncio.sleep(seconds)
        if fail:
            raise ValueError("secret")

    tasks.add_task(work)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request below /faults/echo with what the service understood, and remember it."""
    body = await Request(scope, receive).body()
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    ECHOED.append(target.decode())
    understood = [scope["method"], target.decode(), headers, body.decode("latin-1")]
    await JSONResponse(understood)(scope, receive, send)


@part_faults.get("/echoed")
async def echoed() -> list[str]:
    """Return the targets of all requests that were echoed."""
    return ECHOED
