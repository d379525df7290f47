"""Whatever is raised becomes a 500 with a body, and is logged once."""

import asyncio
import json
import logging

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_service.resilience import Recovery

from .client import Answer, call

FAMILIES = [
    ValueError("secret"),
    ExceptionGroup("several", [ValueError("secret"), KeyError("secret")]),
    BaseExceptionGroup("several", [SystemExit(1)]),
    SystemExit(1),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    TimeoutError("secret"),
]


def counting(app: ASGIApp, counted: list[str]) -> Recovery:
    """Return a recovery that notes what it counts."""
    return Recovery(
        app,
        on_error=lambda: counted.append("error"),
        on_abort=lambda: counted.append("abort"),
        on_background_error=lambda: counted.append("background"),
    )


@pytest.mark.parametrize("error", FAMILIES, ids=lambda error: type(error).__name__)
async def test_any_exception_is_answered_500_without_its_message(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with caplog.at_level(logging.INFO):
        answer = await call(Recovery(app))
    assert (answer.status, answer.complete) == (500, True)
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The service failed to handle the request.",
        "request_id": "abc",
    }
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None


async def test_client_disconnect_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, gone).body()

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    counted: list[str] = []
    with caplog.at_level(logging.INFO):
        answer = await call(counting(app, counted))
    assert answer.status is None
    assert not counted
    assert not caplog.records


async def test_cancellation_of_the_task_passes_through() -> None:
    started = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    answer = Answer()
    task = asyncio.create_task(call(Recovery(app), answer=answer))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answer.status is None


async def test_failure_after_response_started_leaves_it_incomplete(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError

    counted: list[str] = []
    answer = await call(counting(app, counted))
    assert (answer.status, answer.body, answer.complete) == (200, b"half", False)
    assert [record.message for record in caplog.records] == [
        "request failed after its response started"
    ]
    assert counted == ["error", "abort"]


async def test_failure_after_complete_response_is_a_failed_background_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})
        raise ValueError

    counted: list[str] = []
    answer = await call(counting(app, counted))
    assert (answer.status, answer.body, answer.complete) == (200, b"whole", True)
    assert [record.message for record in caplog.records] == ["background task failed"]
    assert counted == ["background"]


async def test_other_scopes_pass_unchanged() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError(scope["type"])

    async def nothing(*_: object) -> None: ...

    with pytest.raises(LookupError, match="lifespan"):
        await Recovery(app)({"type": "lifespan"}, nothing, nothing)  # type: ignore[arg-type]
