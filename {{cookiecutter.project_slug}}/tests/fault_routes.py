"""Routes that fail on request; `tests.faulty` serves them."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

FAMILIES: dict[str, BaseException] = {
    "ValueError": ValueError("secret"),
    "ExceptionGroup": ExceptionGroup("several", [ValueError("secret")]),
    "SystemExit": SystemExit(7),
    "CancelledError": asyncio.CancelledError(),
}

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


@faults.get("/tasks")
async def tasks() -> int:
    return len(asyncio.all_tasks())
