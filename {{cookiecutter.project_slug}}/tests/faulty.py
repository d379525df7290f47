"""The service with routes that fail on request. `python -m tests.faulty` runs it."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.responses import Response, StreamingResponse

from reference_service.app import (
    Service,
    create_service,
)
from reference_service.server.serve import (
    exit_process,
    run,
)
from reference_service.settings import (
    Settings,
    read_settings,
)
from reference_service.telemetry import configure_logging

FAMILIES: dict[str, BaseException] = {
    "ValueError": ValueError("secret"),
    "ExceptionGroup": ExceptionGroup("several", [ValueError("secret")]),
    "SystemExit": SystemExit(7),
    "CancelledError": asyncio.CancelledError(),
}

LEAKED: list[asyncio.Task[None]] = []

faults = APIRouter(prefix="/faults")


@faults.get("/raise/{family}")
async def raise_one(family: str) -> None:
    raise FAMILIES[family]


@faults.get("/raise-in-thread")
def raise_in_thread() -> None:
    raise SystemExit(7)


@faults.get("/break-off")
async def break_off() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError

    return StreamingResponse(body())


@faults.get("/sleep/{seconds}")
async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@faults.get("/block/{seconds}")
async def block(seconds: float) -> str:
    block_the_loop(seconds)
    return "blocked"


def block_the_loop(seconds: float) -> None:
    time.sleep(seconds)


@faults.post("/read-after/{seconds}")
async def read_after(seconds: float, request: Request) -> int:
    await asyncio.sleep(seconds)
    return len(await request.body())


@faults.get("/bytes/{count}")
async def large_body(count: int) -> Response:
    return Response(b"x" * count)


@faults.get("/stream")
async def endless_stream(pause: float = 0) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 4096
            await asyncio.sleep(pause)

    return StreamingResponse(body())


@faults.get("/leak/{count}")
async def leak(count: int) -> int:
    """Leak this many tasks; 0 ends the tasks that were leaked before."""
    while LEAKED and not count:
        LEAKED.pop().cancel()
    LEAKED.extend(asyncio.create_task(asyncio.sleep(3600)) for _ in range(count))
    return len(LEAKED)


@faults.post("/background/{seconds}")
async def background(seconds: float, tasks: BackgroundTasks, *, fail: bool = False) -> None:
    """Answer at once, and go on in the background."""

    async def work() -> None:
        await asyncio.sleep(seconds)
        if fail:
            raise ValueError("secret")

    tasks.add_task(work)


@faults.get("/tasks")
async def tasks() -> int:
    return len(asyncio.all_tasks())


def create_faulty_service(settings: Settings) -> Service:
    """Create the service with the failing routes."""
    service = create_service(settings)
    service.api.include_router(faults)
    return service


if __name__ == "__main__":
    settings = read_settings()
    configure_logging(json_lines=True, level="INFO")
    service = create_faulty_service(settings)
    run(service.app, service.management, settings.service, service.on_slow_client)
    exit_process(0)
