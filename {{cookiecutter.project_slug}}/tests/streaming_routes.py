"""WebSockets and event streams for the tests of the parts; `tests.faulty` serves them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, WebSocket
from fastapi.responses import StreamingResponse

from reference_service.traffic import CircuitOpenError

streaming = APIRouter(prefix="/faults")


@streaming.websocket("/ws/{name}/echo")
async def echo(websocket: WebSocket, name: str) -> None:
    """Send back each message, and fail on one that says so."""
    await websocket.accept()
    while True:
        match await websocket.receive_text():
            case "raise":
                raise ValueError("secret")
            case "reject":
                raise HTTPException(418)
            case "down":
                raise CircuitOpenError
            case "return":
                return
            case "context":
                await websocket.send_text(websocket.scope["root_path"])
            case text:
                await websocket.send_text(text)


async def forbid(kind: str) -> None:
    """Fail before a WebSocket is accepted."""
    if kind == "raise":
        raise ValueError("secret")
    if kind == "unauthorized":
        raise HTTPException(401, "Log in first.")
    if kind == "down":
        raise CircuitOpenError
    if kind == "hang":
        await asyncio.Event().wait()


@streaming.websocket("/ws/before/{kind}")
async def before(websocket: WebSocket, _: Annotated[None, Depends(forbid)]) -> None:
    """Return, or be forbidden, without accepting."""


@streaming.websocket("/ws/push")
async def push(websocket: WebSocket) -> None:
    """Send all the time and receive nothing."""
    await websocket.accept()
    while True:
        await websocket.send_text("tick")
        await asyncio.sleep(0.05)


@streaming.get("/events")
async def events() -> StreamingResponse:
    """Send server-sent events forever."""

    async def body() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(body(), media_type="text/event-stream")
