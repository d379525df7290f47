"""Whatever is raised becomes a 500 with a body, and is logged once."""

import asyncio
import json
import logging

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_service.resilience import Recovery

from ..health.client import Answer, call

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


async def test_cancelled_task_is_answered_500_and_stays_cancelled() -> None:
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
    assert (answer.status, answer.complete) == (500, True)


async def test_handler_that_cancels_its_own_task_is_answered_500() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    answer = Answer()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(call(Recovery(app), answer=answer))
    assert (answer.status, answer.complete) == (500, True)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("parts", [0, 1])
async def test_application_that_returns_early_is_counted_and_logged(
    parts: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if parts:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})

    counted: list[str] = []
    answer = await call(counting(app, counted))
    assert (answer.status, answer.complete) == ((200, False) if parts else (500, True))
    assert counted == (["error", "abort"] if parts else ["error"])
    assert len(caplog.records) == 1


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_handler_of_the_application_makes_the_response(*, asynchronous: bool) -> None:
    app = Starlette(routes=[Route("/", fail, methods=["POST"])], middleware=[Middleware(Recovery)])
    app.add_exception_handler(Exception, teapot if asynchronous else teapot_in_thread)
    answer = await call(app)
    assert (answer.status, answer.body) == (418, b"short and stout")


async def test_handler_of_the_application_that_fails_is_answered_500() -> None:
    app = Starlette(routes=[Route("/", fail, methods=["POST"])], middleware=[Middleware(Recovery)])
    app.add_exception_handler(Exception, fail)
    assert (await call(app)).status == 500


async def fail(*_: object) -> Response:
    raise LookupError


async def teapot(request: Request, error: Exception) -> Response:
    return PlainTextResponse("short and stout", 418)


def teapot_in_thread(request: Request, error: Exception) -> Response:
    return PlainTextResponse("short and stout", 418)


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


async def test_last_part_that_the_server_refuses_is_an_aborted_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"longer than declared"})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise RuntimeError("Response content longer than Content-Length")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    counted: list[str] = []
    await counting(app, counted)({"type": "http", "method": "GET", "path": "/"}, receive, send)
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
