"""Routes that fail on request; `tests.faulty` serves them."""

import asyncio

from fastapi import APIRouter

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


@faults.get("/sleep/{seconds}")
async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@faults.get("/tasks")
async def tasks() -> int:
    return len(asyncio.all_tasks())
